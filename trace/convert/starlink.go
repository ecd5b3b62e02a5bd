package convert

import (
	"io"

	"linktape/trace"
)

// starlinkIperf reads the iperf.csv files of the Starlink data set of sys-uos
// (Osnabrück): the download and upload of intervals of about a second in bit/s,
// with gaps; either may be empty.
type starlinkIperf struct{}

const starlinkHeader = "timestamp_start,timestamp_end,server,ip_protocol,transport_protocol,download,upload,priority,average_speed,download_mbps,upload_mbps"

func (starlinkIperf) Name() string { return "starlink-iperf" }

func (starlinkIperf) Description() string {
	return "Starlink data set of sys-uos, iperf.csv: both directions in bit/s, by time of day"
}

func (starlinkIperf) Sniff(head []byte) (string, error) {
	return sniffHeader(head, starlinkHeader, "Starlink's iperf.csv")
}

// List says that a file holds both directions.
func (starlinkIperf) List(io.Reader, string, ImportOptions) ([]trace.LinkDir, error) {
	return []trace.LinkDir{{Dir: trace.Down}, {Dir: trace.Up}}, nil
}

// Import takes the column download or upload. Each line says both ends of its
// interval.
func (starlinkIperf) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	t.clock = true
	f := newFields(t, r, ',')
	column := "download"
	if opts.LinkDir.Dir == trace.Up {
		column = "upload"
	}
	at, ok := f.header("timestamp_start", "timestamp_end", column, column+"_mbps")
	if !ok {
		if err := f.finish(name); err != nil {
			return nil, err
		}
		return nil, t.faults.err()
	}
	zones := map[bool]int64{}
	for f.next() {
		t.res.Lines++
		n := f.in.n
		var ends [2]int64
		good := true
		for i, c := range []string{"timestamp_start", "timestamp_end"} {
			ns, zoned, err := parseInstant(f.cells[at[c]], opts.Zone)
			if err != nil {
				t.fault(n, "%s %s: %v", c, quote(f.cells[at[c]]), clockFault(err, "seconds since 1970 or YYYY-MM-DD HH:MM:SS ZONE"))
				good = false
				break
			}
			if zones[zoned]++; zones[!zoned] > 0 && zones[zoned] == 1 {
				t.fault(n, "%s %s: some times have a zone and some have none", c, quote(f.cells[at[c]]))
			}
			ends[i] = ns
		}
		rate, ok1 := t.number(n, column, f.cells[at[column]], 0, int64(trace.MaxRate), "bit/s")
		mbit, ok2 := t.number(n, column+"_mbps", f.cells[at[column+"_mbps"]], 6, int64(trace.MaxRate), "Mbit/s, such as 42.5")
		if !good || !ok1 || !ok2 {
			continue
		}
		if rate == missing {
			rate = mbit
		} else if d := rate - mbit; mbit != missing && (d > 20_000 && d > rate/50 || -d > 20_000 && -d > rate/50) {
			t.warn(n, "%s says %v and %s_mbps says %v: the first counts", column, trace.BitRate(rate), column, trace.BitRate(mbit))
		}
		if ends[1] <= ends[0] {
			t.fault(n, "the interval ends at %s, which is not after its beginning at %s", t.when(ends[1]), t.when(ends[0]))
			continue
		}
		x := newRow(n, ends[0])
		x.to, x.rate = ends[1], rate
		t.add(x)
	}
	if err := f.finish(name); err != nil {
		return nil, err
	}
	t.local = zones[false] > 0
	t.choose("interval", "both ends are in the file")
	t.choose("column", "%s", column)
	t.choose("unit", "bit/s")
	t.choose("meaning", "what a transfer achieved: the link may have carried more")
	return t.finish(0)
}

// parseInstant reads seconds since 1970 or what parseClock does.
func parseInstant(b []byte, own *Zone) (ns int64, zoned bool, err error) {
	if ns, err := parseScaled(b, 9, int64(MaxDuration)); err == nil {
		return ns, true, nil
	}
	return parseClock(b, own)
}
