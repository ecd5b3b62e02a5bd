package convert

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"linktape/trace"
)

// cellReplay reads the light-load files of CellReplay (Sentosa et al., NSDI
// 2025): each line is a probe by a short train of packets,
//
//	time_ms base_one_way_delay_ms pdo0 pdo1 …
//
// where pdo i is the instant of packet i's delivery in ms after the first one's.
// Its heavy-load files are those of Mahimahi.
type cellReplay struct{}

// cellReplayLeast is the fewest lines that CellReplay accepts.
const cellReplayLeast = 3

func (cellReplay) Name() string { return "cellreplay" }

func (cellReplay) Description() string {
	return "CellReplay light load: time and base delay in ms, then the deliveries of a packet train"
}

func (cellReplay) Sniff(head []byte) (string, error) {
	n, last, many := 0, int64(-1), 0
	for b := range bytes.Lines(head) {
		n++
		cells := bytes.Fields(b)
		if len(cells) < 3 {
			return "", fmt.Errorf("line %d has %d columns, not three or more", n, len(cells))
		}
		prev := int64(0)
		for k, c := range cells {
			v, err := parseScaled(c, 6, int64(MaxDuration))
			switch {
			case err != nil:
				return "", fmt.Errorf("line %d: column %d is %w", n, k+1, err)
			case k == 0 && v < last:
				return "", fmt.Errorf("line %d: the time is less than the one before", n)
			case k == 0 && v >= 946_684_800*1_000_000:
				return "", fmt.Errorf("line %d: the time is no offset in ms", n)
			case k == 0:
				last = v
			case k == 2 && v != 0:
				return "", fmt.Errorf("line %d: the first packet's offset is not 0", n)
			case k > 2 && v < prev:
				return "", fmt.Errorf("line %d: the packets' offsets decrease", n)
			}
			if k >= 2 {
				prev = v
			}
		}
		if len(cells) > 3 {
			many++
		}
	}
	switch {
	case n < cellReplayLeast:
		return "", fmt.Errorf("fewer than %d whole lines", cellReplayLeast)
	case many == 0:
		return "", fmt.Errorf("no line has a train of two packets")
	}
	return fmt.Sprintf("%d lines of a time, a delay and packet offsets that begin at 0 and do not decrease", n), nil
}

// Import takes the base delay and, as the rate, that of the train: its packets
// of 1500 bytes over the whole ms that they came in, as Mahimahi counts. A
// line holds until the next (IntervalStart).
func (cellReplay) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	t.interval = IntervalStart
	in := newLines(r)
	for in.next() {
		n := in.n
		cells := bytes.Fields(in.text)
		switch {
		case in.long:
			t.fault(n, "line %s is longer than %d bytes: write a time, a delay and packet offsets in ms", quote(in.text), maxLine)
			continue
		case len(cells) == 0:
			t.fault(n, "the line is empty: remove it")
			continue
		case len(cells) < 3:
			t.fault(n, "%s: write three or more, a time, a delay and packet offsets in ms", columnsText(len(cells)))
			continue
		}
		t.res.Lines++
		ok := true
		value := func(what string, b []byte, most int64) int64 {
			v, err := parseScaled(b, 6, most)
			if err != nil {
				t.fault(n, "%s %s is %s: write ms", what, quote(b), numberFault(b, err))
				ok = false
			}
			return v
		}
		x := newRow(n, value("time", cells[0], int64(MaxDuration)))
		x.delay = value("delay", cells[1], int64(trace.MaxDelay))
		end := int64(0)
		for i, c := range cells[2:] {
			v := value("packet offset", c, int64(MaxDuration))
			if ok && i == 0 && v != 0 {
				t.fault(n, "the first packet's offset is %s, not 0: offsets count from the first packet", quote(c))
				ok = false
			}
			if ok && v < end {
				t.fault(n, "packet offset %s after a later one: offsets must not decrease", quote(c))
				ok = false
			}
			if !ok {
				break
			}
			end = v
		}
		if !ok {
			continue
		}
		if packets := int64(len(cells) - 2); packets > 1 {
			ms := end/1e6 + 1
			x.rate = min(packets*mahimahiBytes*8*1000/ms, int64(trace.MaxRate))
		}
		t.add(x)
	}
	if in.err != nil {
		return nil, fmt.Errorf("read %s: %w", name, in.err)
	}
	if t.faults.Count == 0 && t.res.Lines < cellReplayLeast {
		t.fault(0, "%s: CellReplay needs at least %d lines", samples(t.res.Lines), cellReplayLeast)
	}
	if opts.wants(RoleRate) {
		t.choose("rate", "of the packet trains: %d bytes a packet, over whole ms", mahimahiBytes)
		t.warn(0, "the rate is that of short packet trains: take the heavy-load file for the rate and this one as LINK.DIR.delay")
	}
	if opts.wants(RoleDelay) {
		t.choose("delay", "the base delay, one way")
	}
	return t.finish(0)
}

// saturator reads the raw logs of CellReplay's saturator: header lines
// "Config: key=value,…" and then, separated by tabs, the sequence number, the
// instants of sending and of receiving in ns, and the size in bytes of each
// packet.
type saturator struct{}

// saturatorStep bins the deliveries, unless asked otherwise.
const saturatorStep = mahimahiStep

func (saturator) Name() string { return "saturator" }

func (saturator) Description() string {
	return "CellReplay saturator log: sequence number, send and receive time in ns, size in bytes"
}

func saturatorHeader(b []byte) bool {
	return bytes.HasPrefix(b, []byte("Config:")) || bytes.HasPrefix(b, []byte("SEQ_NUM"))
}

func (saturator) Sniff(head []byte) (string, error) {
	n, data := 0, 0
	for b := range bytes.Lines(head) {
		n++
		if saturatorHeader(b) {
			continue
		}
		cells := bytes.Fields(b)
		if len(cells) != 4 {
			return "", fmt.Errorf("line %d has %d columns, not four", n, len(cells))
		}
		for k, c := range cells {
			v, err := parseInt(c, 1<<62)
			if err != nil {
				return "", fmt.Errorf("line %d: column %d is %w", n, k+1, err)
			}
			if (k == 1 || k == 2) && v < 1_000_000_000 {
				return "", fmt.Errorf("line %d: column %d is no time in ns", n, k+1)
			}
		}
		data++
	}
	if data == 0 {
		return "", fmt.Errorf("no whole line of four columns")
	}
	return fmt.Sprintf("%d lines of four whole numbers, two of them times in ns", data), nil
}

// Import counts the bytes received in each bin, by the receive time; the
// sender kept the link full, so that nothing received is nothing served. With
// RoleDelay it takes the least delay of each bin, which still holds the queue
// that the sender kept filled.
func (saturator) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	step := int64(saturatorStep)
	if opts.Step > 0 {
		step = int64(opts.Step)
	}
	t.clock, t.served = true, true
	f := newFields(t, r, ' ')
	f.width = 4
	type bin struct{ at, bytes, delay, line int64 }
	var bins []bin
	var first, last, negative, negativeAt, seq int64
	first, seq = missing, missing
	var lost int64
	for f.nextData() {
		n := f.in.n
		t.res.Lines++
		var v [4]int64
		ok := true
		for k, what := range []string{"sequence number", "send time", "receive time", "size"} {
			var err error
			if v[k], err = parseInt(f.cells[k], int64(MaxDuration)); err != nil {
				t.fault(n, "%s %s is %s: write a whole number", what, quote(f.cells[k]), numberFault(f.cells[k], err))
				ok = false
			}
		}
		if !ok {
			continue
		}
		switch {
		case first == missing:
			first = v[2]
		case v[2] < last:
			t.fault(n, "receive time %d ns after %d ns: times must not decrease; sort the file by column 3", v[2], last)
			continue
		}
		last = v[2]
		if v[3] > 1<<30 {
			t.fault(n, "size %d bytes is too large for a packet", v[3])
			continue
		}
		if v[0] > seq+1 && seq != missing {
			lost += v[0] - seq - 1
		}
		seq = max(seq, v[0])
		d := v[2] - v[1]
		if d < 0 {
			if negative++; negative == 1 {
				negativeAt = n
			}
			d = 0
		}
		d = min(d, int64(trace.MaxDelay))
		at := (v[2] - first) / step
		if k := len(bins) - 1; k >= 0 && bins[k].at == at {
			bins[k].bytes += v[3]
			bins[k].delay = min(bins[k].delay, d)
		} else {
			bins = append(bins, bin{at, v[3], d, n})
		}
	}
	if err := f.finish(name); err != nil {
		return nil, err
	}
	put := func(line, from, to, bytes, delay int64) {
		x := newRow(line, from)
		x.to, x.bytes = to, bytes
		if opts.Role == RoleDelay {
			x.delay = delay
		}
		t.add(x)
	}
	for i, b := range bins {
		from := first + b.at*step
		if i > 0 {
			if prev := bins[i-1]; prev.at+1 < b.at { // nothing was received
				put(b.line, first+(prev.at+1)*step, from, 0, prev.delay)
			}
		}
		put(b.line, from, from+min(step, 1<<63-1-from), b.bytes, b.delay)
	}
	t.choose("interval", "bytes received in each bin")
	if opts.Role == RoleDelay {
		t.choose("delay", "the least of each bin, with the sender's own queue")
		if negative > 0 {
			t.warn(negativeAt, "%s received before sent, this one first: the clocks differ; taken as 0", samples(negative))
		}
	}
	if lost > 0 {
		t.warn(0, "%d sequence numbers are missing: lost packets are not imported", lost)
	}
	t.clock = first >= 946_684_800*int64(time.Second) // else a monotonic clock
	return t.finish(time.Duration(step))
}

// nextData is next without the header lines of a saturator log.
func (f *fields) nextData() bool {
	for {
		width := f.width
		f.width = 0
		if !f.next() {
			return false
		}
		f.width = width
		if saturatorHeader(f.in.text) {
			continue
		}
		if len(f.cells) != width {
			f.t.fault(f.in.n, "%s in place of %d: %s", columnsText(len(f.cells)), width, quote(f.in.text))
			continue
		}
		return true
	}
}
