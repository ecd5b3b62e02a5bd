package convert

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"linktape/trace"
)

// csvTable reads and writes CSV: a tape with all its columns, and, with
// ImportOptions.CSV, any table of samples by a mapping of its columns.
type csvTable struct{}

// csvTapeColumns are those of a tape in CSV. duration_ns is the tape's duration
// on every line.
const csvTapeColumns = "t_ns,link,dir,rate_bit_s,delay_ns,jitter_ns,loss,ge_p,ge_r,ge_loss_bad,ge_loss_good,duplicate,corrupt,reorder,carrier,label,duration_ns"

func (csvTable) Name() string { return "csv" }

func (csvTable) Description() string {
	return "CSV: a tape with all its columns; in, also any table by --columns"
}

func (csvTable) Sniff(head []byte) (string, error) {
	why, err := sniffHeader(head, csvTapeColumns, "a tape in CSV")
	if err != nil {
		return "", errors.New("line 1 is not the header of a tape in CSV; any other CSV file needs --columns")
	}
	return why, nil
}

// List returns the directions of a tape, or those that the mapping names.
func (csvTable) List(r io.Reader, name string, opts ImportOptions) ([]trace.LinkDir, error) {
	if opts.CSV.Columns != "" {
		m, err := parseColumns(opts.CSV)
		if err != nil {
			return nil, err
		}
		return m.directions(), nil
	}
	c := newCSVTape(r, name, opts)
	seen := map[trace.LinkDir]bool{}
	for {
		s, ok := c.next()
		if !ok {
			break
		}
		seen[s.LinkDir()] = true
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	return sortedDirs(seen), nil
}

func sortedDirs(seen map[trace.LinkDir]bool) []trace.LinkDir {
	var out []trace.LinkDir
	for ld := range seen {
		out = append(out, ld)
	}
	slices.SortFunc(out, trace.LinkDir.Compare)
	return out
}

// csvTape reads the steps of a tape in CSV.
type csvTape struct {
	t        *table
	f        *fields
	name     string
	duration time.Duration
	at       trace.Step // of the line before
	any      bool
}

func newCSVTape(r io.Reader, name string, opts ImportOptions) *csvTape {
	c := &csvTape{t: newTable(name, opts), name: name}
	c.f = newFields(c.t, r, ',')
	if c.f.next() && string(trimCR(c.f.in.text)) != csvTapeColumns {
		c.t.fault(c.f.in.n, "the header %s is not that of a tape: say with --columns what the columns are, such as time=1:s,rate=2:Mbit", quote(c.f.in.text))
		c.f.drain()
	}
	return c
}

func trimCR(b []byte) []byte {
	if k := len(b) - 1; k >= 0 && b[k] == '\r' {
		return b[:k]
	}
	return b
}

// next returns the next step without faults.
func (c *csvTape) next() (trace.Step, bool) {
	for c.f.next() {
		n, cells := c.f.in.n, c.f.cells
		c.t.res.Lines++
		before := c.t.faults.Count
		names := strings.Split(csvTapeColumns, ",")
		whole := func(i int, most int64) int64 {
			v, err := parseInt(cells[i], most)
			if err != nil {
				c.t.fault(n, "%s %s is %s: write a whole number up to %d", names[i], quote(cells[i]), numberFault(cells[i], err), most)
			}
			return v
		}
		prob := func(i int) trace.Prob {
			v, err := strconv.ParseFloat(string(cells[i]), 64)
			if err != nil || !trace.Prob(v).Valid() || strings.ContainsAny(string(cells[i]), "xX_") {
				c.t.fault(n, "%s %s is no probability: write 0 to 1", names[i], quote(cells[i]))
				return 0
			}
			return trace.Prob(v)
		}
		var s trace.Step
		s.At = time.Duration(whole(0, int64(MaxDuration)))
		ld, err := trace.ParseLinkDir(string(cells[1]) + "." + string(cells[2]))
		if err != nil {
			c.t.fault(n, "%v", err)
		}
		s.Link, s.Dir = ld.Link, ld.Dir
		s.Rate = trace.BitRate(whole(3, int64(trace.MaxRate)))
		s.Delay = time.Duration(whole(4, int64(trace.MaxDelay)))
		s.Jitter = time.Duration(whole(5, int64(trace.MaxDelay)))
		s.Loss, s.GE = prob(6), trace.GE{P: prob(7), R: prob(8), LossBad: prob(9), LossGood: prob(10)}
		s.Duplicate, s.Corrupt, s.Reorder = prob(11), prob(12), prob(13)
		switch string(cells[14]) {
		case "true":
			s.Carrier = true
		case "false":
		default:
			c.t.fault(n, "carrier %s: write true or false", quote(cells[14]))
		}
		if s.Label = string(cells[15]); cleanLabel(s.Label) != s.Label {
			c.t.fault(n, "label %s is longer than %d bytes or holds what cannot be printed", quote(cells[15]), trace.MaxLabel)
		}
		if s.Loss != 0 && s.GE.Enabled() {
			c.t.fault(n, "loss is set together with a Gilbert–Elliott chain: leave one of them 0")
		}
		d := time.Duration(whole(16, int64(MaxDuration)))
		if c.t.faults.Count > before {
			continue
		}
		switch {
		case !c.any:
			c.duration = d
		case d != c.duration:
			c.t.fault(n, "duration_ns %d differs from %d before: it is the whole tape's", d, c.duration)
			continue
		case trace.Compare(c.at, s) >= 0:
			c.t.fault(n, "the step of %s at %v follows that of %s at %v: sort by t_ns, link, dir", s.LinkDir(), s.At, c.at.LinkDir(), c.at.At)
			continue
		}
		if s.At >= c.duration {
			c.t.fault(n, "t_ns %d is not before duration_ns %d", s.At, c.duration)
			continue
		}
		c.at, c.any = s, true
		return s, true
	}
	return trace.Step{}, false
}

func (c *csvTape) finish() error {
	if err := c.f.finish(c.name); err != nil {
		return err
	}
	if !c.any && c.t.faults.Count == 0 {
		c.t.fault(0, "no step: nothing to import")
	}
	return c.t.faults.err()
}

// Import takes the direction opts.LinkDir of a tape, or its only one; with
// opts.CSV it reads any table.
func (ct csvTable) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	if opts.CSV.Columns != "" {
		return importColumns(r, name, opts)
	}
	all, err := ct.importTape(r, name, []ImportOptions{opts})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (csvTable) importTape(r io.Reader, name string, each []ImportOptions) ([]*Result, error) {
	c := newCSVTape(r, name, each[0])
	p := newDirPicker(each)
	for {
		s, ok := c.next()
		if !ok {
			break
		}
		if err := p.add(s); err != nil {
			c.t.fault(c.f.in.n, "%v", err)
		}
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	out, err := p.results(name, c.duration, each)
	if err != nil {
		return nil, err
	}
	for _, res := range out {
		res.Warnings = append(slices.Clone(c.t.res.Warnings), res.Warnings...)
	}
	return out, nil
}

// dirPicker keeps the steps of some directions of a tape that streams by: the
// wanted ones, and the only one.
type dirPicker struct {
	want map[trace.LinkDir]bool
	seen map[trace.LinkDir]bool
	got  map[trace.LinkDir]*tapeTrack // the wanted ones and the first one
	one  trace.LinkDir                // the first one
}

func newDirPicker(each []ImportOptions) *dirPicker {
	p := &dirPicker{want: map[trace.LinkDir]bool{}, seen: map[trace.LinkDir]bool{}, got: map[trace.LinkDir]*tapeTrack{}}
	for _, o := range each {
		p.want[o.LinkDir] = true
	}
	return p
}

func (p *dirPicker) add(s trace.Step) error {
	ld := s.LinkDir()
	if !p.seen[ld] {
		if len(p.seen) == 0 {
			p.one = ld
		} else if !p.want[p.one] {
			delete(p.got, p.one) // it is not the only one
		}
		p.seen[ld] = true
		if p.want[ld] || p.one == ld {
			p.got[ld] = &tapeTrack{}
		}
	}
	if t := p.got[ld]; t != nil {
		return t.add(s)
	}
	return nil
}

// picked is the direction that is taken for a wanted one.
func (p *dirPicker) picked(want trace.LinkDir) trace.LinkDir {
	if !p.seen[want] && len(p.seen) == 1 {
		return p.one
	}
	return want
}

func (p *dirPicker) results(name string, duration time.Duration, each []ImportOptions) ([]*Result, error) {
	var out []*Result
	for _, o := range each {
		pick := p.picked(o.LinkDir)
		if !p.seen[pick] {
			var names []string
			for _, ld := range sortedDirs(p.seen) {
				names = append(names, ld.String())
			}
			return nil, fmt.Errorf("%s: the tape has no %s: it has %s", name, o.LinkDir, strings.Join(names, ", "))
		}
		t := *p.got[pick] // options may differ for the same direction
		res, err := t.result(name, duration, o)
		if err != nil {
			return nil, err
		}
		if pick != o.LinkDir {
			res.Choices["direction"] = pick.String() + ", the only one of the file"
		}
		out = append(out, res)
	}
	return out, nil
}

// Export writes one direction.
func (c csvTable) Export(w io.Writer, d Direction, opts ExportOptions) (*Exported, error) {
	return c.ExportTape(w, d.tape(), opts)
}

// ExportTape writes every column of every step. Queues and other metadata are
// left out.
func (csvTable) ExportTape(w io.Writer, t Tape, opts ExportOptions) (*Exported, error) {
	bw := bufio.NewWriterSize(w, 64<<10)
	if _, err := bw.WriteString(csvTapeColumns + "\n"); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	duration := int64(t.Meta.Duration) * int64(max(opts.Loops, 1))
	var b []byte
	out, err := tapeSteps(t, opts, func(s *trace.Step) error {
		b = appendCSVStep(b[:0], s, duration)
		_, err := bw.Write(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := bw.Flush(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	for _, l := range t.Meta.Links {
		if l.Queue != nil {
			out.Warnings = append(out.Warnings, Warning{Text: "left out, because the format has no place for it: the queue of " + l.Name + "; give it again with --queue"})
		}
	}
	return out, nil
}

func appendCSVStep(b []byte, s *trace.Step, duration int64) []byte {
	num := func(v int64) {
		b = strconv.AppendInt(b, v, 10)
		b = append(b, ',')
	}
	prob := func(p trace.Prob) {
		b = appendProb(b, p)
		b = append(b, ',')
	}
	num(int64(s.At))
	b = append(append(append(append(b, s.Link...), ','), s.Dir.String()...), ',')
	num(int64(s.Rate))
	num(int64(s.Delay))
	num(int64(s.Jitter))
	for _, p := range []trace.Prob{s.Loss, s.GE.P, s.GE.R, s.GE.LossBad, s.GE.LossGood, s.Duplicate, s.Corrupt, s.Reorder} {
		prob(p)
	}
	b = strconv.AppendBool(b, s.Carrier)
	b = append(b, ',')
	if strings.ContainsAny(s.Label, "\",") || strings.TrimSpace(s.Label) != s.Label {
		b = append(append(append(b, '"'), strings.ReplaceAll(s.Label, `"`, `""`)...), '"')
	} else {
		b = append(b, s.Label...)
	}
	b = append(b, ',')
	b = strconv.AppendInt(b, duration, 10)
	return append(b, '\n')
}

// appendProb writes the shortest text that gives the same double again; −0 is
// written as 0.
func appendProb(b []byte, p trace.Prob) []byte {
	v := math.Abs(float64(p))
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}
