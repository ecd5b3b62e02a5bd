package report

import (
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"linktape/replay"
	"linktape/trace"
)

// Comparison says whether two replays applied the same conditions.
type Comparison struct {
	A         string         `json:"a"`
	B         string         `json:"b"`
	Same      bool           `json:"same"`
	Tolerance time.Duration  `json:"tolerance_ns"` // of the instants at which a step was applied
	Settings  []Setting      `json:"settings"`     // that differ
	Links     []LinkCompared `json:"links"`
	Examples  []StepCompared `json:"examples"` // the first steps that differ
	Remarks   []string       `json:"remarks"`  // what differs and is no condition, or cannot be compared
}

// Setting is something of the two runs that differs.
type Setting struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// LinkCompared counts one direction's steps.
type LinkCompared struct {
	Link     string        `json:"link"`
	Dir      string        `json:"dir"`
	Steps    int64         `json:"steps"`     // in both
	OnlyA    int64         `json:"only_a"`    // applied by one of the two
	OnlyB    int64         `json:"only_b"`    // the same
	Values   int64         `json:"values"`    // with other values
	Timing   int64         `json:"timing"`    // applied at instants that lie further apart than the tolerance
	Apart    time.Duration `json:"apart_ns"`  // the most that a step's instants lie apart
	PacketsA int64         `json:"packets_a"` // delivered by the bottleneck
	PacketsB int64         `json:"packets_b"`
	LostA    int64         `json:"lost_a"` // by the path and outages; −1: not read
	LostB    int64         `json:"lost_b"`
	Losses   bool          `json:"losses"` // the same packets came, and others were lost
}

// StepCompared is a step that differs.
type StepCompared struct {
	Due  time.Duration `json:"due_ns"` // since the epoch
	Link string        `json:"link"`
	Dir  string        `json:"dir"`
	What string        `json:"what"`
}

// mostExamples of each direction are listed.
const mostExamples = 3

// DefaultTolerance is what the instants of a step may lie apart.
const DefaultTolerance = 10 * time.Millisecond

// mostApart is the number of a direction's steps that one log may be ahead of the
// other: they are logged in the order in which they were sent, which is the same.
const mostApart = 1 << 16

// Compare reads the folders of two replays side by side. Two replays applied the
// same conditions when their links have the same shapers, each direction got the same steps, with the same values, due
// at the same instants since the epoch, and applied no further apart than the
// tolerance; and when their paths, where the same number of packets came, lost as
// many. The tapes may have other names and hashes when the steps are the same, and
// what the traffic made of the conditions is not compared.
func Compare(a, b string, tolerance time.Duration) (*Comparison, error) {
	c := &Comparison{A: a, B: b, Tolerance: tolerance, Settings: []Setting{}, Examples: []StepCompared{}, Remarks: []string{}}
	var m [2]*replay.Manifest
	for i, dir := range []string{a, b} {
		var err error
		if m[i], err = replay.ReadManifest(filepath.Join(dir, replay.ManifestFile)); err != nil {
			return nil, fmt.Errorf("%w: name folders that replay run --out wrote", err)
		}
	}
	c.settings(m[0], m[1])
	links := make(map[trace.LinkDir]*LinkCompared)
	for i := range m {
		for _, l := range m[i].Links {
			links[linkDir(l.Link, l.Dir)] = &LinkCompared{Link: l.Link, Dir: l.Dir, LostA: -1, LostB: -1}
		}
	}
	if err := c.byHand(); err != nil {
		return nil, err
	}
	if err := c.steps(links); err != nil {
		return nil, err
	}
	if err := c.losses(m, links); err != nil {
		return nil, err
	}
	c.Same = len(c.Settings) == 0
	for _, ld := range slices.SortedFunc(maps.Keys(links), trace.LinkDir.Compare) {
		l := links[ld]
		c.Same = c.Same && l.OnlyA+l.OnlyB+l.Values+l.Timing == 0 && !l.Losses
		c.Links = append(c.Links, *l)
	}
	return c, nil
}

// settings compares what the runs were asked for. What says which steps to apply is
// a remark: the steps themselves are compared.
func (c *Comparison) settings(a, b *replay.Manifest) {
	differ := func(name string, x, y any) {
		if s, t := fmt.Sprint(x), fmt.Sprint(y); s != t {
			c.Settings = append(c.Settings, Setting{name, s, t})
		}
	}
	remark := func(name string, x, y any) {
		if s, t := fmt.Sprint(x), fmt.Sprint(y); s != t {
			c.Remarks = append(c.Remarks, fmt.Sprintf("%s: A %s, B %s", name, s, t))
		}
	}
	remark("tape's SHA-256", a.SHA256, b.SHA256)
	remark("window from", a.From, b.From)
	remark("window", a.Window, b.Window)
	remark("over and over", a.Loop, b.Loop)
	differ("rates only", a.RatesOnly, b.RatesOnly)
	shapers := func(m *replay.Manifest) map[string]string {
		out := make(map[string]string)
		for _, l := range m.Links {
			out[l.Link+"."+l.Dir] = l.Shaper
		}
		return out
	}
	sa, sb := shapers(a), shapers(b)
	for _, k := range slices.Sorted(maps.Keys(sa)) {
		if _, ok := sb[k]; ok {
			differ("shaper of "+k, sa[k], sb[k])
		} else {
			differ(k, "played", "not played")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(sb)) {
		if _, ok := sa[k]; !ok {
			differ(k, "not played", "played")
		}
	}
	remark("tape", a.Tape, b.Tape)
	remark("version", a.Version, b.Version)
	remark("kernel", a.Kernel, b.Kernel)
	remark("host", a.Host, b.Host)
}

// byHand says whether somebody has given commands while they played.
func (c *Comparison) byHand() error {
	a, err := replay.ReadActs(filepath.Join(c.A, replay.ActsFile))
	if err != nil {
		return err
	}
	b, err := replay.ReadActs(filepath.Join(c.B, replay.ActsFile))
	if err != nil {
		return err
	}
	switch {
	case len(a) != len(b):
		c.Settings = append(c.Settings, Setting{"commands given by hand", fmt.Sprint(len(a)), fmt.Sprint(len(b))})
	case len(a) > 0:
		c.Remarks = append(c.Remarks, fmt.Sprintf("commands given by hand: %d in each", len(a)))
	}
	return nil
}

// steps compares the logs, direction by direction.
func (c *Comparison) steps(links map[trace.LinkDir]*LinkCompared) error {
	next := [2]func() (*replay.LogRow, error, bool){}
	for i, dir := range []string{c.A, c.B} {
		pull, stop := iter.Pull2(replay.LogRows(filepath.Join(dir, replay.LogFile)))
		defer stop()
		next[i] = pull
	}
	// What one log has and the other has not come to yet.
	waiting := [2]map[trace.LinkDir][]replay.LogRow{{}, {}}
	ended := [2]bool{}
	for !ended[0] || !ended[1] {
		for i := range next {
			if ended[i] {
				continue
			}
			row, err, ok := next[i]()
			switch {
			case !ok:
				ended[i] = true
				continue
			case err != nil:
				return err
			}
			ld := linkDir(row.Link, row.Dir)
			l := links[ld]
			if l == nil {
				return fmt.Errorf("compare %s with %s: a step of %v, which %s does not list", c.A, c.B, ld, replay.ManifestFile)
			}
			mine, others := waiting[i][ld], waiting[1-i][ld]
			if len(others) == 0 {
				waiting[i][ld] = append(mine, *row)
				if len(mine) < mostApart {
					continue
				}
				return fmt.Errorf("compare %s with %s: %v has %d steps in one that the other has not come to: they are not of the same tape", c.A, c.B, ld, len(mine))
			}
			pair := [2]*replay.LogRow{}
			pair[i], pair[1-i] = row, &others[0]
			c.pair(l, pair[0], pair[1])
			if waiting[1-i][ld] = others[1:]; len(others) == 1 {
				waiting[1-i][ld] = nil
			}
		}
	}
	for i := range waiting {
		for _, ld := range slices.SortedFunc(maps.Keys(waiting[i]), trace.LinkDir.Compare) {
			rows, l := waiting[i][ld], links[ld]
			if len(rows) == 0 {
				continue
			}
			*[]*int64{&l.OnlyA, &l.OnlyB}[i] = int64(len(rows))
			c.example(l, &rows[0], fmt.Sprintf("%s ends before it", []string{c.B, c.A}[i]))
		}
	}
	slices.SortStableFunc(c.Examples, func(a, b StepCompared) int { return int(min(max(a.Due-b.Due, -1), 1)) })
	return nil
}

// pair compares a direction's n-th steps.
func (c *Comparison) pair(l *LinkCompared, a, b *replay.LogRow) {
	l.Steps++
	if what := values(a, b); what != "" {
		if l.Values++; l.Values <= mostExamples {
			c.example(l, a, what)
		}
	}
	apart := time.Duration(max(a.Acked-b.Acked, b.Acked-a.Acked))
	l.Apart = max(l.Apart, apart)
	if apart > c.Tolerance {
		if l.Timing++; l.Timing <= mostExamples {
			c.example(l, a, fmt.Sprintf("applied %v apart: A at %v, B at %v", short(apart), at(time.Duration(a.Acked)), at(time.Duration(b.Acked))))
		}
	}
}

func (c *Comparison) example(l *LinkCompared, row *replay.LogRow, what string) {
	c.Examples = append(c.Examples, StepCompared{time.Duration(row.Due), l.Link, l.Dir, what})
}

// values says in what two steps differ first; "" in nothing.
func values(a, b *replay.LogRow) string {
	for _, f := range []struct {
		name string
		a, b any
	}{
		{"due", time.Duration(a.Due), time.Duration(b.Due)},
		{"instant on the tape", time.Duration(a.Tape), time.Duration(b.Tape)},
		{"rate", trace.BitRate(a.Rate), trace.BitRate(b.Rate)},
		{"delay", time.Duration(a.Delay), time.Duration(b.Delay)},
		{"jitter", time.Duration(a.Jitter), time.Duration(b.Jitter)},
		{"loss", trace.Prob(a.Loss), trace.Prob(b.Loss)},
		{"gemodel p", trace.Prob(a.GEP), trace.Prob(b.GEP)},
		{"gemodel r", trace.Prob(a.GER), trace.Prob(b.GER)},
		{"gemodel loss in the bad state", trace.Prob(a.GEBad), trace.Prob(b.GEBad)},
		{"gemodel loss in the good state", trace.Prob(a.GEGood), trace.Prob(b.GEGood)},
		{"duplicate", trace.Prob(a.Double), trace.Prob(b.Double)},
		{"corrupt", trace.Prob(a.Corrupt), trace.Prob(b.Corrupt)},
		{"reorder", trace.Prob(a.Reorder), trace.Prob(b.Reorder)},
		{"carrier", a.Carrier, b.Carrier},
		{"label", a.Label, b.Label},
	} {
		if f.a != f.b {
			return fmt.Sprintf("%s: A %v, B %v", f.name, f.a, f.b)
		}
	}
	return ""
}

// losses compares what the paths lost, where the counters were read.
func (c *Comparison) losses(m [2]*replay.Manifest, links map[trace.LinkDir]*LinkCompared) error {
	if m[0].Counters == 0 || m[1].Counters == 0 {
		c.Remarks = append(c.Remarks, "the counters were not read in both: losses are not compared")
		return nil
	}
	for i, dir := range []string{c.A, c.B} {
		for row, err := range replay.CounterRows(filepath.Join(dir, replay.CountersFile)) {
			if err != nil {
				return err
			}
			if l := links[linkDir(row.Link, row.Dir)]; l != nil {
				*[]*int64{&l.PacketsA, &l.PacketsB}[i] = row.Packets
				*[]*int64{&l.LostA, &l.LostB}[i] = row.PathDrops + row.OutageDrops
			}
		}
	}
	for _, l := range links {
		l.Losses = l.LostA >= 0 && l.LostB >= 0 && l.PacketsA == l.PacketsB && l.LostA != l.LostB
	}
	return nil
}
