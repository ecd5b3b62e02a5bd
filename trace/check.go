package trace

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what a timeline may hold, beside [MaxRate] and [MaxName].
const (
	MaxDelay  = time.Hour // longest delay and jitter
	MaxLabel  = 64        // longest label, in bytes
	MaxFaults = 100       // faults that a [FaultsError] lists in full
)

// Fault is one thing wrong with a timeline.
type Fault struct {
	At      time.Duration // instant of the step; negative when the fault is in the metadata
	LinkDir               // direction of the step; zero when the fault is in the metadata
	Field   string        // what is wrong: rate, ge_p, link, …
	Value   string        // its value, as written in the message; may be empty
	Problem string        // what is wrong with it
}

// String returns one line, such as "att.up at 1.2s: loss 1.5: outside 0 to 1".
func (f Fault) String() string {
	var b strings.Builder
	if f.At >= 0 || f.Link != "" {
		fmt.Fprintf(&b, "%v at %v: ", f.LinkDir, f.At)
	}
	b.WriteString(f.Field)
	if f.Value != "" {
		b.WriteString(" " + f.Value)
	}
	return b.String() + ": " + f.Problem
}

// FaultsError holds the faults of a timeline in the order found.
type FaultsError struct {
	Faults []Fault // at most [MaxFaults]
	More   int     // further faults that were only counted
}

// Error returns one line for each fault.
func (e *FaultsError) Error() string {
	var b strings.Builder
	for i, f := range e.Faults {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.String())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nand %d more", e.More)
	}
	return b.String()
}

func (e *FaultsError) add(f Fault) {
	if len(e.Faults) < MaxFaults {
		e.Faults = append(e.Faults, f)
	} else {
		e.More++
	}
}

func (e *FaultsError) err() error {
	if len(e.Faults) == 0 {
		return nil
	}
	return e
}

// Checker verifies a timeline while it streams by and collects every fault.
type Checker struct {
	duration time.Duration
	dirs     directions
	seen     []bool // by direction: a step at 0
	seenAll  bool
	started  bool
	prevAt   time.Duration
	prev     LinkDir
	label    string // the last label found valid
	faults   FaultsError
}

// NewChecker returns a checker for the steps of a timeline with this metadata.
// Faults of the metadata are returned together as a [*FaultsError].
func NewChecker(meta Meta) (*Checker, error) {
	c := &Checker{duration: meta.Duration}
	checkMeta(&meta, &c.faults)
	if err := c.faults.err(); err != nil {
		return nil, err
	}
	c.dirs = newDirections(meta.Directions())
	c.seen = make([]bool, len(c.dirs.list))
	return c, nil
}

// Step verifies the next step.
func (c *Checker) Step(s *Step) {
	ld := LinkDir{s.Link, s.Dir}
	if c.started {
		switch n := cmpStep(c.prevAt, c.prev, s.At, ld); {
		case n == 0:
			c.fault(s, "step", "", "the same direction has another step at this instant")
		case n > 0:
			c.fault(s, "step", "", fmt.Sprintf("out of order: follows %v at %v; sort by instant, link and direction", c.prev, c.prevAt))
		}
	}
	c.started, c.prevAt, c.prev = true, s.At, ld

	if s.At < 0 || s.At >= c.duration {
		c.fault(s, "instant", s.At.String(), fmt.Sprintf("outside the timeline, which lasts from 0 to %v", c.duration))
	}
	if i := c.dirs.index(ld); i < 0 {
		c.fault(s, "direction", strconv.Quote(ld.String()), "not among the timeline's links")
	} else if !c.seenAll && s.At == 0 {
		c.seen[i] = true
	}
	st := &s.State
	if st.Rate < 0 || st.Rate > MaxRate {
		c.fault(s, "rate", strconv.FormatInt(int64(st.Rate), 10), fmt.Sprintf("outside 0 to %v", MaxRate))
	}
	c.delay(s, "delay", st.Delay)
	c.delay(s, "jitter", st.Jitter)
	// One comparison chain for the valid case; NaN fails every comparison.
	if !(st.Loss.Valid() && st.GE.P.Valid() && st.GE.R.Valid() && st.GE.LossBad.Valid() && st.GE.LossGood.Valid() &&
		st.Duplicate.Valid() && st.Corrupt.Valid() && st.Reorder.Valid()) {
		c.prob(s, "loss", st.Loss)
		c.prob(s, "ge_p", st.GE.P)
		c.prob(s, "ge_r", st.GE.R)
		c.prob(s, "ge_loss_bad", st.GE.LossBad)
		c.prob(s, "ge_loss_good", st.GE.LossGood)
		c.prob(s, "duplicate", st.Duplicate)
		c.prob(s, "corrupt", st.Corrupt)
		c.prob(s, "reorder", st.Reorder)
	}
	if st.Loss != 0 && st.GE.Enabled() {
		c.fault(s, "loss", formatProb(st.Loss), "set together with a Gilbert–Elliott chain, which replaces it; leave one of them 0")
	}
	if st.Label != c.label {
		if problem := checkLabel(st.Label); problem != "" {
			c.fault(s, "label", strconv.Quote(clip(st.Label)), problem)
		} else {
			c.label = st.Label
		}
	}
}

// Finish verifies what only the end shows and returns all faults together as a
// [*FaultsError], or nil.
func (c *Checker) Finish() error {
	if !c.seenAll {
		c.seenAll = true
		for i, ok := range c.seen {
			if !ok {
				c.faults.add(Fault{LinkDir: c.dirs.list[i], Field: "step", Problem: "missing: every direction needs a step at instant 0"})
			}
		}
	}
	return c.faults.err()
}

// full reports whether the list of faults is.
func (c *Checker) full() bool { return len(c.faults.Faults) >= MaxFaults }

func (c *Checker) fault(s *Step, field, value, problem string) {
	c.faults.add(Fault{At: s.At, LinkDir: s.LinkDir(), Field: field, Value: value, Problem: problem})
}

func (c *Checker) delay(s *Step, field string, d time.Duration) {
	switch {
	case d < 0:
		c.fault(s, field, d.String(), "negative")
	case d > MaxDelay:
		c.fault(s, field, d.String(), fmt.Sprintf("above %v", MaxDelay))
	}
}

func (c *Checker) prob(s *Step, field string, p Prob) {
	if !p.Valid() {
		c.fault(s, field, formatProb(p), "outside 0 to 1")
	}
}

func formatProb(p Prob) string { return strconv.FormatFloat(float64(p), 'g', -1, 64) }

func cmpStep(at1 time.Duration, ld1 LinkDir, at2 time.Duration, ld2 LinkDir) int {
	switch {
	case at1 < at2:
		return -1
	case at1 > at2:
		return 1
	}
	return ld1.Compare(ld2)
}

// Check verifies the whole timeline and returns all faults together as a
// [*FaultsError], or nil.
func (t *Timeline) Check() error {
	c, err := NewChecker(t.Meta)
	if err != nil {
		return err
	}
	for i := range t.Steps {
		c.Step(&t.Steps[i])
	}
	return c.Finish()
}

// CheckLabel verifies a label: valid UTF-8 that can be printed, of at most
// [MaxLabel] bytes.
func CheckLabel(s string) error {
	if problem := checkLabel(s); problem != "" {
		return fmt.Errorf("label %q: %s", clip(s), problem)
	}
	return nil
}

func checkLabel(s string) string {
	if len(s) > MaxLabel {
		return fmt.Sprintf("longer than %d bytes", MaxLabel)
	}
	if !utf8.ValidString(s) {
		return "not valid UTF-8"
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return "holds a character that cannot be printed"
		}
	}
	return ""
}

// clip shortens what a message quotes.
func clip(s string) string {
	if len(s) > 2*MaxLabel {
		return s[:2*MaxLabel] + "…"
	}
	return s
}

func checkMeta(m *Meta, faults *FaultsError) {
	add := func(field, value, problem string) {
		faults.add(Fault{At: -1, Field: field, Value: value, Problem: problem})
	}
	if m.Duration <= 0 {
		add("duration", m.Duration.String(), "not above 0")
	}
	if len(m.Directions()) == 0 {
		add("links", "", "none with a direction")
	}
	for i, l := range m.Links {
		link := "link " + strconv.Quote(clip(l.Name))
		if err := CheckName(l.Name); err != nil {
			add("link", "", err.Error())
		}
		if i > 0 {
			switch c := strings.Compare(m.Links[i-1].Name, l.Name); {
			case c == 0:
				add(link, "", "listed twice")
			case c > 0:
				add(link, "", fmt.Sprintf("out of order: follows %q; sort links by name", clip(m.Links[i-1].Name)))
			}
		}
		if s := l.Slot; s != nil && !(s.Min >= 0 && s.Min <= s.Max && s.Max > 0 && s.Max <= MaxDelay &&
			s.Packets >= 0 && s.Packets <= MaxSlotPackets && s.Bytes >= 0 && s.Bytes <= MaxSlotBytes) {
			add(link+" slot", fmt.Sprintf("%v to %v, %d packets, %d bytes", s.Min, s.Max, s.Packets, s.Bytes),
				fmt.Sprintf("write a time above 0 and up to %v, min first, and numbers up to %d", MaxDelay, MaxSlotPackets))
		}
		if l.Queue == nil {
			continue
		}
		q := *l.Queue
		if q.Kind != "" && q.Kind != DropTail {
			add(link+" queue kind", strconv.Quote(clip(string(q.Kind))), fmt.Sprintf("unknown: write %q", DropTail))
		}
		if q.LimitBytes < 0 {
			add(link+" queue limit", strconv.FormatInt(q.LimitBytes, 10)+"B", "negative")
		}
		if q.LimitTime < 0 || q.LimitTime > MaxDelay {
			add(link+" queue limit", q.LimitTime.String(), fmt.Sprintf("outside 0 to %v", MaxDelay))
		}
		switch {
		case q.LimitBytes != 0 && q.LimitTime != 0:
			add(link+" queue limit", "", "given in bytes and as a time: choose one")
		case q.LimitBytes == 0 && q.LimitTime == 0 && q.Kind != "":
			add(link+" queue limit", "", "missing: give bytes or a time")
		}
	}
	text := func(field, s string) {
		if !utf8.ValidString(s) {
			add(field, strconv.Quote(clip(s)), "not valid UTF-8")
		}
	}
	text("generator", m.Generator)
	text("scenario", m.Scenario)
	for i, s := range m.Sources {
		ld, err := ParseLinkDir(s.Link + "." + s.Dir)
		if err != nil {
			add("source", "", err.Error())
		} else if i > 0 {
			if p, err := ParseLinkDir(m.Sources[i-1].Link + "." + m.Sources[i-1].Dir); err == nil && p.Compare(ld) > 0 {
				add("source", ld.String(), fmt.Sprintf("out of order: follows %v; sort sources by link and direction", p))
			}
		}
		text("source format", s.Format)
		text("source file", s.File)
		text("source sha256", s.SHA256)
		for k, v := range s.Choices {
			text("source choice", k)
			text("source choice "+k, v)
		}
	}
	if m.Edit != nil {
		c := historyChecker{add: add}
		c.edit(m.Edit, 0)
	}
}

// directions finds the index of a direction, quickly when the directions take
// turns in canonical order, as they do in most tapes.
type directions struct {
	list  []LinkDir
	byDir map[LinkDir]int
	next  int // the guess
}

func newDirections(list []LinkDir) directions {
	d := directions{list: list, byDir: make(map[LinkDir]int, len(list))}
	for i, ld := range list {
		d.byDir[ld] = i
	}
	return d
}

// index returns -1 for an unknown direction.
func (d *directions) index(ld LinkDir) int {
	i := d.next
	if i >= len(d.list) || d.list[i] != ld {
		var ok bool
		if i, ok = d.byDir[ld]; !ok {
			return -1
		}
	}
	if d.next = i + 1; d.next == len(d.list) {
		d.next = 0
	}
	return i
}
