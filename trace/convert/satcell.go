package convert

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"linktape/trace"
)

// satVsCell reads the files of the Satellite-vs-Cellular data set (CoNEXT 2023):
// one CSV file for each carrier, driven together, with the throughput in Mbit/s
// at local times with their zone, such as 2023-04-04 10:07:13 CDT. Several files
// are laid on one clock by [Join].
type satVsCell struct{}

func (satVsCell) Name() string { return "sat-vs-cell" }

func (satVsCell) Description() string {
	return "Satellite-vs-Cellular data set: CSV, Mbit/s by time of day; --join time for several carriers"
}

// satVsCellColumns finds the columns: time, throughput, speed, latitude,
// longtitude (sic), area_type; names may be followed by a unit in parentheses.
func satVsCellColumns(cells [][]byte) (at [2]int, area int, err error) {
	want := []string{"time", "throughput", "speed", "latitude", "longt", "area_type"}
	found := make([]int, len(want))
	for k, w := range want {
		found[k] = -1
		for i, c := range cells {
			name, _, _ := bytes.Cut(c, []byte("("))
			name = bytes.ToLower(bytes.TrimSpace(name))
			if string(name) == w || w == "longt" && (bytes.HasPrefix(name, []byte("longt")) || bytes.HasPrefix(name, []byte("longi"))) {
				found[k] = i
				break
			}
		}
		if found[k] < 0 {
			if w == "longt" {
				w = "longtitude"
			}
			return at, 0, errors.New("no column " + w)
		}
	}
	return [2]int{found[0], found[1]}, found[5], nil
}

func (satVsCell) Sniff(head []byte) (string, error) {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	cells, err := split(nil, bytes.TrimSpace(line), ',')
	if err == nil {
		_, _, err = satVsCellColumns(cells)
	}
	if err != nil {
		return "", errors.New("line 1 is not the header of Satellite-vs-Cellular")
	}
	return "line 1 is the header of Satellite-vs-Cellular: time, throughput, speed, latitude, longtitude, area_type", nil
}

// Import takes the throughput, with area_type as label. A sample stands for the
// time since the one before (IntervalEnd).
func (satVsCell) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	t.interval, t.clock = IntervalEnd, true
	f := newFields(t, r, ',')
	var at [2]int
	var area int
	err := error(nil)
	if f.next() {
		if at, area, err = satVsCellColumns(f.cells); err != nil {
			t.fault(f.in.n, "the header %s has %v", quote(f.in.text), err)
			f.drain()
		}
	}
	zones := map[bool]int64{}
	var zone string
	for err == nil && f.next() {
		t.res.Lines++
		n := f.in.n
		cell := f.cells[at[0]]
		ns, zoned, cerr := parseClock(cell, opts.Zone)
		if cerr != nil {
			t.fault(n, "time %s: %v", quote(cell), clockFault(cerr, "YYYY-MM-DD HH:MM:SS ZONE, such as 2023-04-04 10:07:13 CDT"))
			continue
		}
		if zones[zoned]++; zones[!zoned] > 0 && zones[zoned] == 1 {
			t.fault(n, "time %s: some times have a zone and some have none", quote(cell))
		}
		if i := bytes.LastIndexByte(cell, ' '); i > 0 && zoned && zone == "" {
			zone = string(cell[i+1:])
		}
		x := newRow(n, ns)
		var ok bool
		if x.rate, ok = t.number(n, "throughput", f.cells[at[1]], 6, int64(trace.MaxRate), "Mbit/s, such as 42.5"); !ok {
			continue
		}
		x.label = label(f.cells[area])
		t.add(x)
	}
	if err := f.finish(name); err != nil {
		return nil, err
	}
	t.local = zones[false] > 0
	if !t.local && zone != "" && !strings.Contains(zone, ":") {
		t.choose("zone", "%s", zone)
	}
	t.choose("unit", "Mbit/s")
	t.choose("meaning", "what a transfer achieved: the link may have carried more")
	return t.finish(0)
}
