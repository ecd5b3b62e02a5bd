package convert

import (
	"io"

	"linktape/trace"
)

// netemTraceCSV reads what netem-trace's series export writes: the beginning,
// the bandwidth and the duration of each value.
type netemTraceCSV struct{}

const netemCSVHeader = "start_time_secs,bandwidth_bps,duration_secs"

func (netemTraceCSV) Name() string { return "netem-trace-csv" }

func (netemTraceCSV) Description() string {
	return "netem-trace series export: CSV, start and duration in s, bandwidth in bit/s"
}

func (netemTraceCSV) Sniff(head []byte) (string, error) {
	return sniffHeader(head, netemCSVHeader, "a netem-trace series")
}

// Import takes each value for its duration.
func (netemTraceCSV) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	f := newFields(t, r, ',')
	if at, ok := f.header("start_time_secs", "bandwidth_bps", "duration_secs"); ok {
		var end int64
		for f.next() {
			t.res.Lines++
			n := f.in.n
			from, ok1 := t.number(n, "start_time_secs", f.cells[at["start_time_secs"]], 9, int64(MaxDuration), "s, such as 0.5")
			rate, ok2 := t.number(n, "bandwidth_bps", f.cells[at["bandwidth_bps"]], 0, int64(trace.MaxRate), "bit/s")
			long, ok3 := t.number(n, "duration_secs", f.cells[at["duration_secs"]], 9, int64(MaxDuration), "s, such as 0.5")
			if !ok1 || !ok2 || !ok3 {
				continue
			}
			if from == missing || rate == missing || long == missing {
				t.fault(n, "a value is missing: write a start, a bandwidth and a duration")
				continue
			}
			if long == 0 {
				t.warn(n, "the duration is 0: left out")
				continue
			}
			// The seconds of the file are rounded: what is within a µs meets.
			if d := from - end; len(t.rows) > 0 && d != 0 && d < 1000 && d > -1000 {
				from, long = end, long+d
				if long <= 0 {
					continue
				}
			}
			x := newRow(n, from)
			x.to, x.rate = from+long, rate
			end = x.to
			t.add(x)
		}
	}
	if err := f.finish(name); err != nil {
		return nil, err
	}
	t.choose("interval", "start and duration are in the file")
	t.choose("unit", "bit/s")
	return t.finish(0)
}
