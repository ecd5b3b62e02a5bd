package edit

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"linktape/trace"
	"linktape/trace/suggest"
)

// LabelHandover labels the directions that a handover concerns.
const LabelHandover = "handover"

// Forever is later than the end of every timeline.
const Forever = time.Duration(math.MaxInt64)

// Event is something that happens to links at an instant, on top of any
// timeline.
type Event struct {
	At      time.Duration
	For     time.Duration // how long it holds; 0 = to the end
	Targets []Target      // at least one
	Outage  bool          // the directions are in an outage of Mode, which needs For
	Mode    Mode
	Changes [numQuantities]Change // by [Quantity]; made before the outage
	Label   string                // "" = that of the outage, or as it was
}

// clauses lists what an event's text is made of.
func clauses() []string {
	return append([]string{"at", "for", "link", "outage", "handover", "mode", "label"}, Quantities()...)
}

// ParseEvent reads an event: clauses separated by commas, each a word and its
// values, in any order and each at most once.
//
//	at 30s                       when; required
//	link att                     LINK, LINK.up, LINK.down or all; several with blanks between; required
//	outage 5s                    in an outage for so long
//	mode stall                   of the outage; one of [Modes], without it drop-both
//	handover 50ms                an outage of mode stall with the label handover
//	rate 500kbit, rate x0.5      a new rate, or a factor
//	delay 80ms, delay +100ms     a new delay, a difference (also -20ms) or a factor
//	jitter 5ms                   likewise
//	loss 10%, loss x2            in place of what is lost, bursts too; duplicate, corrupt and reorder likewise
//	label tunnel                 the label meanwhile
//	for 10s                      how long it holds; without it, to the end; outage and handover say it themselves
//
// All faults are reported in one error of one line.
func ParseEvent(text string) (Event, error) {
	p := eventParser{given: make(map[string]string)}
	for clause := range strings.SplitSeq(text, ",") {
		p.clause(strings.TrimSpace(clause))
	}
	p.finish()
	if err := p.faults.err(); err != nil {
		return Event{}, err
	}
	return p.event, nil
}

type eventParser struct {
	event  Event
	given  map[string]string // clauses by their word
	faults faults
}

func (p *eventParser) fault(clause, format string, args ...any) {
	p.faults.add("clause %s: %w", quote(clause), fmt.Errorf(format, args...))
}

func (p *eventParser) clause(clause string) {
	words := strings.Fields(clause)
	if len(words) == 0 {
		p.faults.add("a clause is empty: write one between two commas, such as outage 5s")
		return
	}
	word, values := words[0], words[1:]
	if !slices.Contains(clauses(), word) {
		if near := suggest.Nearest(word, clauses()); near != "" {
			p.fault(clause, "unknown: did you mean %q?", near)
		} else {
			p.fault(clause, "unknown: begin with one of %s", suggest.List(clauses()))
		}
		return
	}
	if first, twice := p.given[word]; twice {
		p.fault(clause, "%s is given twice, first as %s: leave one out", word, quote(first))
		return
	}
	p.given[word] = clause
	e := &p.event
	switch word {
	case "link":
		if len(values) == 0 {
			p.fault(clause, "the links are missing: write link att, link att.up or link all")
			return
		}
		targets, err := ParseTargets(values)
		if err != nil {
			p.fault(clause, "%w", err)
		}
		e.Targets = targets
		return
	case "label":
		e.Label = strings.TrimSpace(strings.TrimPrefix(clause, word))
		if e.Label == "" {
			p.fault(clause, "the text is missing: write label tunnel")
		} else if err := trace.CheckLabel(e.Label); err != nil {
			p.fault(clause, "%w", err)
		}
		return
	}
	example := map[string]string{
		"at": "at 30s", "for": "for 10s", "outage": "outage 5s", "handover": "handover 50ms", "mode": "mode stall",
		"rate": "rate 500kbit or rate x0.5", "delay": "delay 80ms, delay +100ms or delay x2", "jitter": "jitter 5ms",
		"loss": "loss 10%", "duplicate": "duplicate 1%", "corrupt": "corrupt 1%", "reorder": "reorder 1%",
	}[word]
	if len(values) != 1 {
		p.fault(clause, "%d values, not one: write %s", len(values), example)
		return
	}
	var err error
	switch word {
	case "at":
		e.At, err = parseTime(values[0])
	case "for", "outage", "handover":
		e.Outage = e.Outage || word != "for"
		if e.For, err = parseTime(values[0]); err == nil && e.For == 0 {
			err = fmt.Errorf("lasts no time: write %s", example)
		}
	case "mode":
		e.Mode, err = ParseMode(values[0])
		if near := suggest.Nearest(values[0], Modes()); err != nil && near != "" {
			err = fmt.Errorf("%w; did you mean %q?", err, near)
		}
	default:
		q := Quantity(slices.Index(Quantities(), word))
		e.Changes[q], err = ParseChange(q, values[0])
	}
	if err != nil {
		p.fault(clause, "%w", err)
	}
}

// finish verifies what concerns several clauses.
func (p *eventParser) finish() {
	e := &p.event
	has := func(word string) bool { _, ok := p.given[word]; return ok }
	if !has("at") {
		p.faults.add("the instant is missing: add at 30s")
	}
	if !has("link") {
		p.faults.add("the links are missing: add link att, link att.up or link all")
	}
	var lengths []string
	for _, word := range []string{"outage", "handover", "for"} {
		if has(word) {
			lengths = append(lengths, word)
		}
	}
	if len(lengths) > 1 {
		p.faults.add("%s: each says how long the event holds: leave one out", strings.Join(lengths, " and "))
	}
	if has("mode") && !has("outage") {
		if has("handover") {
			p.fault(p.given["mode"], "a handover is a stall: leave it out, or write outage in place of handover")
		} else {
			p.fault(p.given["mode"], "there is no outage: add outage 5s")
		}
	}
	if has("handover") {
		e.Mode = Stall
		if e.Label == "" {
			e.Label = LabelHandover
		}
	}
	if len(p.faults) > 0 {
		return
	}
	if err := e.check(); err != nil {
		p.faults = append(p.faults, err)
	}
}

// check verifies that the event does something.
func (e *Event) check() error {
	changes := e.Changes != [numQuantities]Change{}
	if !e.Outage && !changes && e.Label == "" {
		return fmt.Errorf("nothing happens: add outage 5s, rate x0.5, delay +100ms, loss 10%% or label tunnel")
	}
	if !e.Outage {
		return nil
	}
	switch {
	case e.Changes[Rate].Op != Keep && e.Mode == Stall:
		return fmt.Errorf("rate has no effect in a stall, whose rate is 0: leave it out, or choose another mode")
	case e.Changes[Loss].Op != Keep && e.Mode == DropBoth:
		return fmt.Errorf("loss has no effect in an outage of mode %v, which loses every packet: leave it out, or choose another mode", e.Mode)
	}
	for _, t := range e.Targets {
		if !changes && !(t.Up && e.Mode.Concerns(trace.Up)) && !(t.Down && e.Mode.Concerns(trace.Down)) {
			return fmt.Errorf("an outage of mode %v does not concern %v: choose another mode or direction", e.Mode, t)
		}
	}
	return nil
}

// String writes the event as [ParseEvent] reads it.
func (e *Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "at %v, link", e.At)
	for _, t := range e.Targets {
		b.WriteString(" " + t.String())
	}
	if e.Outage {
		fmt.Fprintf(&b, ", outage %v, mode %v", e.For, e.Mode)
	}
	for i, c := range e.Changes {
		if q := Quantity(i); c.Op != Keep {
			fmt.Fprintf(&b, ", %v %s", q, c.text(q))
		}
	}
	if e.Label != "" {
		b.WriteString(", label " + e.Label)
	}
	if !e.Outage && e.For != 0 {
		fmt.Fprintf(&b, ", for %v", e.For)
	}
	return b.String()
}

// Applies reports whether the event changes the direction.
func (e *Event) Applies(ld trace.LinkDir) bool {
	return Selects(e.Targets, ld) && e.concerns(ld.Dir)
}

// concerns reports whether the event changes anything in this direction of a
// link that it names.
func (e *Event) concerns(d trace.Direction) bool {
	return !e.Outage || e.Mode.Concerns(d) || e.Changes != [numQuantities]Change{}
}

// End returns the first instant at which the event is over, [Forever] when it
// holds to the end.
func (e *Event) End() time.Duration {
	if e.For == 0 || e.At > Forever-e.For {
		return Forever
	}
	return e.At + e.For
}

// Apply changes a state of a direction that the event applies to, within At and
// End. Values stay within what a tape may hold.
func (e *Event) Apply(d trace.Direction, s *trace.State) {
	if !e.concerns(d) {
		return
	}
	for q, c := range e.Changes {
		c.Apply(Quantity(q), s)
	}
	if e.Outage {
		e.Mode.Apply(d, s)
	}
	if e.Label != "" {
		s.Label = e.Label
	}
}

// CheckLinks verifies that a timeline of these links has every direction that
// the event names. The error says what there is.
func (e *Event) CheckLinks(links []trace.Link) error {
	if err := CheckTargets(e.Targets, links); err != nil {
		return err
	}
	meta := trace.Meta{Links: links}
	if !slices.ContainsFunc(meta.Directions(), e.Applies) {
		return fmt.Errorf("an outage of mode %v concerns none of the timeline's directions: choose another mode", e.Mode)
	}
	return nil
}

// quote quotes a part of a text for a message, shortened.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
