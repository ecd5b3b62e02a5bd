package convert

import (
	"io"
	"slices"

	"linktape/trace"
)

// lumos5G reads the data of Lumos5G (Narayanan et al., IMC 2020), version 1.0:
// CSV, the TCP downlink throughput of every second of several runs.
type lumos5G struct{}

const lumos5GHeader = "run_num,seq_num,abstractSignalStr,latitude,longitude,movingSpeed,compassDirection,nrStatus,lte_rssi,lte_rsrp,lte_rsrq,lte_rssnr,nr_ssRsrp,nr_ssRsrq,nr_ssSinr,Throughput,mobility_mode,trajectory_direction,tower_id"

func (lumos5G) Name() string { return "lumos5g" }

func (lumos5G) Description() string {
	return "Lumos5G v1.0: CSV, downlink of every second in Mbit/s, several runs (--run N)"
}

func (lumos5G) Sniff(head []byte) (string, error) {
	return sniffHeader(head, lumos5GHeader, "Lumos5G v1.0")
}

// Import takes one run: opts.Run, or the only one. seq_num counts seconds; a
// sample names the end of its second (IntervalEnd). The label is nrStatus.
func (lumos5G) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	t.interval = IntervalEnd
	f := newFields(t, r, ',')
	at, ok := f.header("run_num", "seq_num", "Throughput", "nrStatus")
	if !ok {
		if err := f.finish(name); err != nil {
			return nil, err
		}
		return nil, t.faults.err()
	}
	var runs []int64
	for f.next() {
		n := f.in.n
		run, ok1 := t.number(n, "run_num", f.cells[at["run_num"]], 0, 1<<40, "a whole number")
		seq, ok2 := t.number(n, "seq_num", f.cells[at["seq_num"]], 9, int64(MaxDuration), "seconds")
		rate, ok3 := t.number(n, "Throughput", f.cells[at["Throughput"]], 6, int64(trace.MaxRate), "Mbit/s, such as 42.5")
		if !ok1 || !ok2 || !ok3 {
			continue
		}
		if run == missing || seq == missing {
			t.fault(n, "run_num or seq_num is missing")
			continue
		}
		if len(runs) == 0 || runs[len(runs)-1] != run {
			if i, found := slices.BinarySearch(runs, run); !found {
				runs = slices.Insert(runs, i, run)
			}
		}
		if opts.Run != 0 && run != opts.Run {
			continue
		}
		t.res.Lines++
		x := newRow(n, seq)
		x.rate = rate
		x.label = label(f.cells[at["nrStatus"]])
		if opts.Run != 0 || len(runs) == 1 {
			t.add(x)
		}
	}
	if err := f.finish(name); err != nil {
		return nil, err
	}
	switch {
	case len(runs) > 1 && opts.Run == 0:
		t.fault(0, "the file holds %d runs, from %d to %d: choose one with --run N", len(runs), runs[0], runs[len(runs)-1])
	case opts.Run != 0 && !slices.Contains(runs, opts.Run):
		t.fault(0, "the file holds no run %d", opts.Run)
	}
	if err := t.faults.err(); err != nil {
		return nil, err
	}
	t.choose("run", "%d", max(opts.Run, runs0(runs)))
	t.choose("unit", "Mbit/s")
	t.choose("meaning", "what a TCP transfer achieved: the link may have carried more")
	if opts.LinkDir.Dir == trace.Up {
		t.warn(0, "the file was recorded on the downlink and is imported as the uplink")
	}
	return t.finish(0)
}

// runs0 is the only run, or 0.
func runs0(runs []int64) int64 {
	if len(runs) == 1 {
		return runs[0]
	}
	return 0
}
