package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// mahimahi reads and writes the traces of Mahimahi's mm-link (Netravali et al.,
// USENIX ATC 2015): one whole number of ms to a line, each an opportunity to
// deliver 1500 bytes of IP at that instant.
//
// The rules are those of src/frontend/link_queue.cc (LinkQueue::LinkQueue): no
// empty line, no comment, whole lines of digits, not decreasing, the last
// timestamp above 0. At the end the clock of the file restarts at the last
// timestamp (use_a_delivery_opportunity), so that this is the period. An
// opportunity spends PACKET_SIZE = 1504 bytes (link_queue.hh) on what the TUN
// device delivers, four of which are its own header, not IP.
type mahimahi struct{}

const (
	mahimahiBytes = 1500                           // of IP per opportunity
	mahimahiNeed  = mahimahiBytes * 8 * fill.BitNs // bit·ns per opportunity
	mahimahiStep  = 100 * time.Millisecond         // of an import, unless asked otherwise
	mahimahiMax   = int64(MaxDuration / time.Millisecond)
)

func (mahimahi) Name() string { return "mahimahi" }

func (mahimahi) hasOpportunities() {}

func (mahimahi) Description() string {
	return "Mahimahi mm-link: one delivery opportunity of 1500 bytes of IP per line, in ms"
}

func (mahimahi) Sniff(head []byte) (string, error) {
	if len(head) == 0 {
		return "", errors.New("no whole line")
	}
	last, n := int64(0), 0
	for b := range bytes.Lines(head) {
		n++
		v, err := parseInt(bytes.TrimSuffix(b, []byte("\n")), mahimahiMax)
		switch {
		case err != nil:
			return "", fmt.Errorf("line %d is not a whole number of ms", n)
		case v < last:
			return "", fmt.Errorf("line %d is less than the one before", n)
		}
		last = v
	}
	return fmt.Sprintf("%d lines of one whole number each, not decreasing", n), nil
}

// binCount is the number of opportunities in one bin; bins without any are
// left out, so that memory is bounded by the file, not by its timestamps.
type binCount struct{ bin, n int64 }

// Import bins the opportunities. With IntervalEnd, the default, an opportunity
// at t ms is the last bit of service in (t−1, t] ms, and lines at 0 belong to
// the last ms of the loop: Mahimahi fires them together with the last lines of
// the loop before, and netem-trace (load_mahimahi_trace) reads them so. With
// IntervalStart it belongs to [t, t+1) ms, as mm-rate-to-events writes it, and
// lines at the period wrap to the first ms. The default step is 100 ms; any
// step keeps the bytes at the end of every bin exact. With opts.Opportunities
// the bins are of 1 ms, and what each serves is at its end or its start
// (see [pulses]).
func (mahimahi) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	step := opts.Step
	interval := opts.interval(IntervalEnd)
	faults := Faults{File: name}
	unit := opportunityRate(opts.Scale)
	most := int64(1<<63 - 1) // lines in 1 ms
	switch {
	case opts.Opportunities && opts.Clip != nil:
		return nil, fmt.Errorf("%s: opportunities have no rates to clip: leave out --clip, or import with --step", name)
	case opts.Opportunities:
		step = time.Millisecond
		if most = int64(maxPulseRate) * pulseSlots / int64(unit); most == 0 {
			return nil, fmt.Errorf("%s: one opportunity times %v needs more than %v for 1 ms: choose a smaller scale", name, opts.Scale, maxPulseRate)
		}
	case step == 0:
		step = mahimahiStep
	}
	crowded := func(line, t int64) {
		faults.add(line, "more than %d opportunities at %d ms, which need more than %v for 1 ms: import with --step", most, t, maxPulseRate)
	}
	var (
		bins    []binCount
		zeros   int64       // lines at 0
		first   = int64(-1) // first timestamp, ms
		gap     int64       // longest time between lines, ms
		gapLine int64       // line that ends it
		run     int64       // lines at the current timestamp
		last    = int64(-1) // current timestamp, ms
		in      = newLines(r)
		unsort  []int64 // timestamps to sort first
	)
	count := func(bin, n int64) {
		if k := len(bins) - 1; k >= 0 && bins[k].bin == bin {
			bins[k].n += n
		} else {
			bins = append(bins, binCount{bin, n})
		}
	}
	flush := func() {
		switch t := last * int64(time.Millisecond); {
		case run == 0:
		case interval == IntervalStart:
			count(t/int64(step), run)
		case t > 0:
			count((t-1)/int64(step), run)
		}
	}
	take := func(line, v int64) {
		if v < last {
			faults.add(line, "timestamp %d ms after %d ms: timestamps must not decrease; sort the file (sort -n)", v, last)
		}
		if v != last {
			if last >= 0 && v-last > gap {
				gap, gapLine = v-last, line
			}
			if faults.Count == 0 {
				flush()
			}
			run = 0
			if first < 0 {
				first = v
			}
			last = v
		}
		if v == 0 {
			zeros++
		}
		if run++; run == most+1 {
			crowded(line, v)
		}
	}
	for in.next() {
		switch v, ok := mahimahiLine(in, &faults); {
		case !ok:
		case opts.Sort:
			unsort = append(unsort, v)
		default:
			take(in.n, v)
		}
	}
	sorted := !slices.IsSorted(unsort)
	slices.Sort(unsort)
	for i, v := range unsort {
		take(int64(i)+1, v)
	}
	switch {
	case in.err != nil:
		return nil, fmt.Errorf("read %s: %w", name, in.err)
	case in.n == 0:
		faults.add(0, "the file is empty: a trace needs at least one line")
	case faults.Count == 0 && last == 0:
		faults.add(in.n, "the last timestamp is 0 ms: it is the period of the trace and must be above 0")
	}
	if err := faults.err(); err != nil {
		return nil, err
	}

	period := time.Duration(last) * time.Millisecond
	res := &Result{
		Duration: period,
		Lines:    in.n,
		HasRate:  true,
		Gap:      opts.Gap,
		Choices: map[string]string{
			"step":              step.String(),
			"interval":          interval,
			"opportunity_bytes": strconv.Itoa(mahimahiBytes),
		},
	}
	if in.n > (1<<63-1)/mahimahiBytes {
		res.Bytes = 1<<63 - 1
	} else {
		res.Bytes = in.n * mahimahiBytes
	}
	wrapped := 0 // the bin that holds lines of both ends of the loop
	if interval == IntervalStart {
		// The lines at the period are the last run: they wrap to the first ms.
		if len(bins) > 0 && bins[0].bin == 0 {
			bins[0].n += run
		} else {
			bins = slices.Insert(bins, 0, binCount{0, run})
		}
		res.Choices["lines_at_period"] = "in the first ms"
	} else {
		flush()
		wrapped = len(bins) - 1
		if zeros > 0 {
			bins[wrapped].n += zeros
			res.Choices["lines_at_0"] = "in the last ms"
			res.Warnings = append(res.Warnings, Warning{zeros, fmt.Sprintf("%d of the lines are at 0 ms: counted in the last ms of the loop", zeros)})
		}
	}
	if bins[wrapped].n > most {
		crowded(in.n, last)
		return nil, faults.err()
	}
	if first >= 1000 {
		res.Warnings = append(res.Warnings, Warning{1, fmt.Sprintf("the first opportunity is at %d ms: nothing is served before it", first)})
	}
	if gap >= 10_000 {
		res.Warnings = append(res.Warnings, Warning{gapLine, fmt.Sprintf("nothing is served for %v before it", time.Duration(gap)*time.Millisecond)})
	}
	rates := func(yield func(time.Duration, trace.BitRate) bool) error {
		f := fill.New(yield)
		var due fill.Amount
		for _, b := range bins {
			from := time.Duration(b.bin) * step
			if more, err := f.To(from, due); !more {
				return err
			}
			due = due.Add(fill.Mul(uint64(b.n), mahimahiNeed))
			to := period
			if step < period-from {
				to = from + step
			}
			if more, err := f.To(to, due); !more {
				return err
			}
		}
		_, err := f.To(period, due)
		return err
	}
	if opts.Sort {
		res.Choices["sort"] = "by time"
		if sorted {
			res.warn(0, "the lines were out of order and are sorted; lines in warnings are those of the sorted file")
		}
	}
	if opts.Opportunities {
		res.Choices["step"] = "opportunities"
		res.Choices["pulse"] = pulseLength.String()
		if w := pulseWarning(bins, unit); w != "" {
			res.warn(0, "%s", w)
		}
		if !opts.Scale.IsOne() {
			opts.noteTransform(res, 0)
			var served trace.Service
			for _, b := range bins {
				served.Add(trace.BitRate(b.n)*unit, pulseLength)
			}
			res.Bytes = served.Bytes()
		}
		res.Steps = rateSteps(opts.state(), func(yield func(time.Duration, trace.BitRate) bool) {
			pulses(bins, unit, period, interval, yield)
		})
		return res, nil
	}
	if !opts.Scale.IsOne() || opts.Clip != nil {
		var bins []sample
		err := rates(func(at time.Duration, r trace.BitRate) bool {
			bins = append(bins, sample{at, r})
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		tr := track{rates: bins, rests: []restAt{{0, opts.state()}}, end: period}
		if err := tr.finish(res, opts, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return res, nil
	}
	if err := rates(func(time.Duration, trace.BitRate) bool { return true }); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	res.Steps = rateSteps(opts.state(), func(yield func(time.Duration, trace.BitRate) bool) {
		_ = rates(yield) // checked above
	})
	return res, nil
}

// mahimahiLine reads one timestamp in ms, or adds what is wrong with it.
func mahimahiLine(in *lines, faults *Faults) (int64, bool) {
	b := in.text
	bad := func(format string, args ...any) (int64, bool) {
		faults.add(in.n, format, args...)
		return 0, false
	}
	trimmed := bytes.TrimSpace(b)
	switch {
	case in.long:
		return bad("line %s is longer than %d bytes: write one timestamp in ms per line", quote(b), maxLine)
	case len(trimmed) == 0 && !in.more():
		return bad("the file ends with an empty line: remove it")
	case len(trimmed) == 0:
		return bad("the line is empty: remove it")
	case bytes.HasSuffix(b, []byte("\r")):
		return bad("the line ends with CR LF: convert the file to LF (tr -d '\\r')")
	case bytes.ContainsAny(b[:1], "#;/"):
		return bad("comment %s: the format has none; remove it", quote(b))
	case len(trimmed) != len(b):
		return bad("blanks around %s: remove them", quote(trimmed))
	}
	v, err := parseInt(b, mahimahiMax)
	switch {
	case errors.Is(err, errRange):
		return bad("timestamp %s ms is above the maximum of %d", quote(b), mahimahiMax)
	case err == nil:
		return v, true
	}
	if digits := bytes.TrimLeft(b, "+-"); len(digits) == len(b)-1 {
		if _, err := parseInt(digits, mahimahiMax); err == nil {
			if b[0] == '-' {
				return bad("timestamp %s is negative: write ms from the start", quote(b))
			}
			return bad("timestamp %s has a sign: write digits only", quote(b))
		}
	}
	if _, err := strconv.ParseFloat(string(b), 64); err == nil {
		return bad("timestamp %s is not whole: write whole ms", quote(b))
	}
	if len(bytes.Fields(b)) > 1 {
		return bad("%s has several columns: write one timestamp in ms per line (a Pensieve trace has two: --format pensieve)", quote(b))
	}
	return bad("%s is not a timestamp: write one whole number of ms per line", quote(b))
}

// Export writes an opportunity at the ms in which the service reaches the next
// multiple of 1500 bytes: it is the last bit of service in (t−1, t] ms. The
// last line is the duration in ms, rounded up, because it is the period; where
// no opportunity falls there, the last one is moved. What is left below one
// opportunity at the end is carried into the next loop of opts.Loops. Without
// carrier nothing is served. Delay, loss and the rest of a state cannot be
// expressed; a warning says what was left out.
func (mahimahi) Export(w io.Writer, d Direction, opts ExportOptions) (*Exported, error) {
	loops, total, err := opts.extent(d)
	if err != nil {
		return nil, err
	}
	period := ceilMs(total)
	out := &Exported{Duration: time.Duration(period) * time.Millisecond}
	bw := bufio.NewWriterSize(w, 64<<10)
	var (
		need    = int64(mahimahiNeed) // bit·ns to the next opportunity
		pending = int64(-1)           // ms of the last opportunity, not written yet
		buf     []byte
		dropped droppedStates
	)
	write := func(ms int64) error {
		buf = append(strconv.AppendInt(buf[:0], ms, 10), '\n')
		_, err := bw.Write(buf)
		return err
	}
	// serve serves at rate r from a to b and writes the opportunities reached.
	serve := func(a, b time.Duration, r trace.BitRate) error {
		if r <= 0 {
			return nil
		}
		for n := 0; ; n++ {
			x := (need + int64(r) - 1) / int64(r) // ns until the opportunity is complete
			if x > int64(b-a) {
				need -= int64(r) * int64(b-a)
				return nil
			}
			if pending >= 0 {
				if err := write(pending); err != nil {
					return err
				}
			}
			out.Lines++
			a += time.Duration(x)
			need = mahimahiNeed - (int64(r)*x - need)
			pending = ceilMs(a)
			if opts.Progress != nil && n&0xffff == 0xffff {
				opts.Progress(float64(a) / float64(total))
			}
		}
	}
	for i := range loops {
		base := d.Duration * time.Duration(i)
		var at time.Duration
		var rate trace.BitRate
		started := false
		for s, err := range d.Steps() {
			if err != nil {
				return nil, err
			}
			switch {
			case !started && s.At != 0:
				return nil, fmt.Errorf("export %s: the first step is at %v, not at 0", d.LinkDir, s.At)
			case s.At < at || s.At >= d.Duration:
				return nil, fmt.Errorf("export %s: step at %v: out of order or not before the end at %v", d.LinkDir, s.At, d.Duration)
			case s.Rate < 0 || s.Rate > trace.MaxRate:
				return nil, fmt.Errorf("export %s: step at %v: rate %d bit/s outside 0 to %v", d.LinkDir, s.At, s.Rate, trace.MaxRate)
			}
			if err := serve(base+at, base+s.At, rate); err != nil {
				return nil, fmt.Errorf("export %s: %w", d.LinkDir, err)
			}
			started, at, rate = true, s.At, s.Capacity()
			if i == 0 {
				dropped.add(s.State)
			}
			if opts.Progress != nil {
				opts.Progress(float64(base+at) / float64(total))
			}
		}
		if !started {
			return nil, fmt.Errorf("export %s: the tape has no steps for it", d.LinkDir)
		}
		if err := serve(base+at, base+d.Duration, rate); err != nil {
			return nil, fmt.Errorf("export %s: %w", d.LinkDir, err)
		}
		if i == 0 && out.Lines == 0 && need == mahimahiNeed {
			return nil, fmt.Errorf("export %s: the tape has no capacity in this direction, and Mahimahi cannot express a link that never serves; export a direction with capacity", d.LinkDir)
		}
	}
	left := mahimahiNeed - need // bit·ns below one opportunity
	leftBytes := left / (8 * fill.BitNs)
	if out.Lines == 0 {
		enough, _, _ := fill.Mul(mahimahiNeed, uint64(loops)).Add(fill.Mul(1, uint64(left-1))).Div(uint64(left))
		return nil, fmt.Errorf("export %s: %d bytes in %v are less than one opportunity of %d bytes; export %d loops (--loops)",
			d.LinkDir, leftBytes, total, mahimahiBytes, enough)
	}
	if pending != period {
		out.Warnings = append(out.Warnings, Warning{out.Lines, fmt.Sprintf(
			"the last opportunity is moved from %d ms to %d ms, the end: the last line is the period", pending, period)})
	}
	if err := write(period); err != nil {
		return nil, fmt.Errorf("export %s: %w", d.LinkDir, err)
	}
	if err := bw.Flush(); err != nil {
		return nil, fmt.Errorf("export %s: %w", d.LinkDir, err)
	}
	out.Bytes = out.Lines * mahimahiBytes
	if leftBytes > 0 {
		out.Warnings = append(out.Warnings, Warning{Text: fmt.Sprintf(
			"%d bytes at the end are less than one opportunity and are left out in every loop of the file; more loops in one file leave out less (--loops)", leftBytes)})
	}
	if out.Duration != total {
		out.Warnings = append(out.Warnings, Warning{Text: fmt.Sprintf("the period is %v in place of %v: the format counts whole ms", out.Duration, total)})
	}
	if t := dropped.text(); t != "" {
		out.Warnings = append(out.Warnings, Warning{Text: t})
	}
	return out, nil
}

// ceilMs rounds up to whole ms.
func ceilMs(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// droppedStates remembers what of a direction's states is no rate.
type droppedStates struct {
	delayMin, delayMax time.Duration
	lossMax            float64
	seen, jitter       bool
	other              bool // duplication, corruption or reordering
	down               bool // without carrier
}

func (d *droppedStates) add(s trace.State) {
	if !d.seen || s.Delay < d.delayMin {
		d.delayMin = s.Delay
	}
	d.seen = true
	d.delayMax = max(d.delayMax, s.Delay)
	d.lossMax = max(d.lossMax, s.MeanLoss())
	d.jitter = d.jitter || s.Jitter != 0
	d.other = d.other || s.Duplicate != 0 || s.Corrupt != 0 || s.Reorder != 0
	d.down = d.down || !s.Carrier
}

// text says what a format that knows rates only leaves out; empty if nothing.
func (d *droppedStates) text() string {
	var parts []string
	switch {
	case d.delayMax == 0:
	case d.delayMin == d.delayMax:
		parts = append(parts, fmt.Sprintf("the delay of %v", d.delayMax))
	default:
		parts = append(parts, fmt.Sprintf("the delay of %v to %v", d.delayMin, d.delayMax))
	}
	if d.jitter {
		parts = append(parts, "the jitter")
	}
	if d.lossMax > 0 {
		parts = append(parts, fmt.Sprintf("the loss of up to %v", trace.Prob(d.lossMax)))
	}
	if d.other {
		parts = append(parts, "duplication, corruption or reordering")
	}
	var out string
	if len(parts) > 0 {
		out = "left out, because the format holds rates only: " + strings.Join(parts, ", ")
	}
	if d.down {
		if out != "" {
			out += "; "
		}
		out += "times without carrier are written as times without service"
	}
	return out
}
