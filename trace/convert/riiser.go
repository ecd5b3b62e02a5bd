package convert

import (
	"bytes"
	"fmt"
	"io"

	"linktape/trace"
)

// riiser reads the logs of the HSDPA data set of Norway (Riiser et al., MMSys
// 2013) and those of the 4G data set of Ghent (van der Hooft et al., 2016),
// which took over the layout: six columns separated by blanks,
//
//	time since 1970   s (HSDPA) or ms (Ghent)
//	monotonic time    ms
//	latitude, longitude
//	bytes received since the line before
//	ms since the line before
//
// A line's interval ends at it.
type riiser struct{ riiserSet }

// riiserSet is one of the data sets.
type riiserSet struct {
	name, description string
	unit              int64 // of the first column, ns
	least, most       int64 // of the first column: the years 2000 to 2100
}

var (
	hsdpa   = riiserSet{"hsdpa", "HSDPA data set of Norway: six columns, time in s, bytes and ms since the line before", 1e9, 946_684_800, 4_102_444_800}
	ghent4G = riiserSet{"ghent-4g", "Ghent 4G data set: six columns, time in ms, bytes and ms since the line before", 1e6, 946_684_800_000, 4_102_444_800_000}
)

func (s riiser) Name() string { return s.name }

func (s riiser) Description() string { return s.description }

// unitName is that of the first column.
func (s riiser) unitName() string {
	if s.unit == 1e9 {
		return "s"
	}
	return "ms"
}

func (s riiser) Sniff(head []byte) (string, error) {
	n := 0
	for b := range bytes.Lines(head) {
		n++
		cells := bytes.Fields(b)
		if len(cells) != 6 {
			return "", fmt.Errorf("line %d has %d columns, not six", n, len(cells))
		}
		if v, err := parseScaled(cells[0], 0, 1<<62); err != nil || v < s.least || v > s.most {
			return "", fmt.Errorf("line %d does not begin with %s since 1970", n, s.unitName())
		}
		for _, k := range []int{1, 4, 5} {
			if _, err := parseScaled(cells[k], 0, 1<<62); err != nil {
				return "", fmt.Errorf("line %d: column %d is %w", n, k+1, err)
			}
		}
	}
	if n == 0 {
		return "", fmt.Errorf("no whole line")
	}
	return fmt.Sprintf("%d lines of six columns, the first in %s since 1970", n, s.unitName()), nil
}

// Import spreads the bytes of each line over the time since the line before, by
// the monotonic clock. The first line's interval is what its last column says.
func (s riiser) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	t.interval, t.clock, t.served, t.same = IntervalEnd, true, true, ""
	f := newFields(t, r, ' ')
	f.width = 6
	var first, firstMono, off, offAt, differ, differAt int64
	var last = int64(missing)
	for f.next() {
		t.res.Lines++
		n := f.in.n
		wall, ok1 := t.number(n, "time", f.cells[0], 0, 1<<62, s.unitName()+" since 1970")
		mono, ok2 := t.number(n, "monotonic time", f.cells[1], 0, int64(MaxDuration)/1e6, "ms")
		served, ok3 := t.number(n, "bytes", f.cells[4], 0, 1<<40, "a whole number of bytes")
		span, ok4 := t.number(n, "ms since the line before", f.cells[5], 0, 1<<40, "whole ms")
		if !ok1 || !ok2 || !ok3 || !ok4 {
			continue
		}
		switch {
		case wall < s.least || wall > s.most:
			t.fault(n, "time %s is not %s since 1970%s", quote(f.cells[0]), s.unitName(), s.hint(wall))
			continue
		case mono == missing || served == missing || span == missing:
			t.fault(n, "a value is missing: write six numbers")
			continue
		}
		if len(t.rows) == 0 {
			first, firstMono = wall*s.unit, mono
		}
		at := (mono - firstMono) * 1e6
		if d := first + at - wall*s.unit; (d > 2e9 || -d > 2e9) && off == 0 {
			off, offAt = d, n
		}
		if last != missing && mono-last != span {
			if differ++; differ == 1 {
				differAt = n
			}
		}
		last = mono
		x := newRow(n, first+at)
		x.bytes = served
		if span > 0 {
			x.span = span * 1e6
		}
		t.add(x)
	}
	if err := f.finish(name); err != nil {
		return nil, err
	}
	if opts.interval(IntervalEnd) != IntervalEnd {
		t.fault(0, "a line's interval ends at it: %s cannot be imported with --interval start", s.name)
	}
	if off != 0 {
		t.warn(offAt, "the clocks of columns 1 and 2 are %v apart here: column 2 counts", ns(max(off, -off)))
	}
	if differ > 0 {
		t.warn(differAt, "%s whose last column is not the time since the line before, this one first: the bytes are spread over that time", samples(differ))
	}
	t.choose("unit", "bytes since the line before")
	t.choose("meaning", "what a transfer achieved: the link may have carried more")
	if opts.LinkDir.Dir == trace.Up {
		t.warn(0, "the file was recorded on the downlink and is imported as the uplink")
	}
	return t.finish(0)
}

// hint says which of the two data sets a time fits.
func (s riiser) hint(wall int64) string {
	for _, o := range []riiserSet{hsdpa, ghent4G} {
		if o.name != s.name && wall >= o.least && wall <= o.most {
			return fmt.Sprintf(": it is that of --format %s", o.name)
		}
	}
	return ""
}
