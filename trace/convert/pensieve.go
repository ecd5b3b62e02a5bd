package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// pensieve reads and writes Pensieve's "cooked" traces (Mao et al., SIGCOMM
// 2017): two columns, a time in s and a throughput in Mbit/s, separated by
// blanks or a tab, without header. Oboe, Puffer, Lumos5G and 3GP data are
// published in the same form.
//
// Times are rounded to ns and rates to bit/s, both half up and computed in
// decimal.
type pensieve struct{}

// pensieveDoubt is the rate in bit/s from which a file is probably not in
// Mbit/s.
const pensieveDoubt = 10 * trace.Gbit

func (pensieve) Name() string { return "pensieve" }

func (pensieve) Description() string {
	return "Pensieve cooked trace: two columns, time in s and rate in Mbit/s, no header"
}

func (pensieve) Sniff(head []byte) (string, error) {
	n, last := 0, int64(-1)
	for b := range bytes.Lines(head) {
		n++
		fields := bytes.Fields(b)
		if len(fields) != 2 {
			return "", fmt.Errorf("line %d has %d columns, not two", n, len(fields))
		}
		t, err := parseScaled(fields[0], 9, int64(MaxDuration))
		if err != nil {
			return "", fmt.Errorf("line %d: the time is %w", n, err)
		}
		if t <= last {
			return "", fmt.Errorf("line %d: the time does not increase", n)
		}
		last = t
		r, err := parseScaled(fields[1], 6, int64(trace.MaxRate))
		if err != nil {
			return "", fmt.Errorf("line %d: the rate is %w", n, err)
		}
		if trace.BitRate(r) >= pensieveDoubt {
			return "", fmt.Errorf("line %d: %s Mbit/s is too much for a rate in Mbit/s", n, fields[1])
		}
	}
	if n < 2 {
		return "", errors.New("fewer than two whole lines")
	}
	return fmt.Sprintf("%d lines of two numbers, the first increasing, the second below 10000", n), nil
}

// sample is one line: an instant from the first line's and a rate.
type sample struct {
	at   time.Duration
	rate trace.BitRate
}

// Import reads the samples. With IntervalEnd, the default, sample i holds over
// (t_{i−1}, t_i] and the first sample's rate is never used, as Pensieve's own
// simulator has it (sim/fixed_env.py, get_video_chunk). With IntervalStart
// sample i holds until t_{i+1}, and the last one as long as the one before. The
// tape starts at the first time. Without a step the file's own instants are
// kept; with one, the mean rate of each bin is taken so that the bytes are
// kept. A sample holds however long it is until the next, unless a gap policy is
// asked for.
func (pensieve) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	t.interval, t.lazy, t.first = IntervalEnd, true, true
	var (
		last   = int64(-1) // ns
		crlf   int64       // lines that end with CR LF
		crLine int64
		doubt  int64 // first line with a doubtful rate
		top    trace.BitRate
		in     = newLines(r)
	)
	for in.next() {
		if bytes.HasSuffix(in.text, []byte("\r")) {
			if crlf++; crlf == 1 {
				crLine = in.n
			}
		}
		at, rate, ok := pensieveLine(in, &t.faults)
		if !ok {
			continue
		}
		if at <= last && !opts.Sort && (at < last || opts.Same == "") {
			t.fault(in.n, "time %v after %v: times must increase; sort the file, join or remove equal times", ns(at), ns(last))
		}
		last = at
		if rate >= pensieveDoubt && doubt == 0 {
			doubt = in.n
		}
		top = max(top, rate)
		if t.faults.Count == 0 {
			x := newRow(in.n, at)
			x.rate = int64(rate)
			t.add(x)
		}
	}
	switch {
	case in.err != nil:
		return nil, fmt.Errorf("read %s: %w", name, in.err)
	case in.n == 0:
		t.fault(0, "the file is empty: a trace needs at least two lines")
	}
	if err := t.faults.err(); err != nil {
		return nil, err
	}
	t.res.Lines = in.n
	if crlf > 0 {
		t.warn(crLine, "%d of the lines end with CR LF: read as LF", crlf)
	}
	if doubt > 0 {
		t.warn(doubt, "%v: is the file in Mbit/s?", top)
	}
	return t.finish(0)
}

// ns is an instant of a file, which may be later than its tape is long.
func ns(t int64) time.Duration { return time.Duration(t) }

func spanEnd(spans []sample, i int, end time.Duration) time.Duration {
	if i+1 < len(spans) {
		return spans[i+1].at
	}
	return end
}

// resample yields the rates of bins of the given step; see [fill.Binner].
func resample(spans []sample, end, step time.Duration, yield func(time.Duration, trace.BitRate) bool) error {
	var total fill.Amount
	for i, s := range spans {
		total = total.Add(fill.Mul(uint64(s.rate), uint64(spanEnd(spans, i, end)-s.at)))
	}
	bins := fill.NewBinner(step, total, yield)
	for i, s := range spans {
		if more, err := bins.Span(s.rate, spanEnd(spans, i, end)); !more {
			return err
		}
	}
	_, err := bins.Finish()
	return err
}

// pensieveLine reads a time in ns and a rate, or adds what is wrong.
func pensieveLine(in *lines, faults *Faults) (int64, trace.BitRate, bool) {
	bad := func(format string, args ...any) (int64, trace.BitRate, bool) {
		faults.add(in.n, format, args...)
		return 0, 0, false
	}
	fields := bytes.Fields(in.text)
	switch {
	case in.long:
		return bad("line %s is longer than %d bytes: write a time in s and a rate in Mbit/s", quote(in.text), maxLine)
	case len(fields) == 0 && !in.more():
		return bad("the file ends with an empty line: remove it")
	case len(fields) == 0:
		return bad("the line is empty: remove it")
	case fields[0][0] == '#':
		return bad("comment %s: the format has none; remove it", quote(fields[0]))
	case len(fields) == 1 && bytes.ContainsAny(fields[0], ",;"):
		return bad("%s: separate the columns by a blank or a tab", quote(fields[0]))
	case len(fields) != 2:
		return bad("%d columns: write two, a time in s and a rate in Mbit/s", len(fields))
	}
	t, err := parseScaled(fields[0], 9, int64(MaxDuration))
	if err != nil {
		if in.n == 1 && errors.Is(err, errNumber) && !isWord(fields[0]) {
			return bad("%s is a header: the format has none; remove the line", quote(in.text))
		}
		return bad("time %s is %s: write s, such as 0.5", quote(fields[0]), numberFault(fields[0], err))
	}
	r, err := parseScaled(fields[1], 6, int64(trace.MaxRate))
	if err != nil {
		return bad("rate %s is %s: write Mbit/s, such as 4.2", quote(fields[1]), numberFault(fields[1], err))
	}
	return t, trace.BitRate(r), true
}

// isWord reports whether b is one of the words that stand for no finite number.
func isWord(b []byte) bool {
	v, err := strconv.ParseFloat(string(b), 64)
	return err == nil && (v != v || v-v != 0)
}

func numberFault(b []byte, err error) string {
	if isWord(b) {
		return "not a finite number"
	}
	return err.Error()
}

// Export writes the time in s at which each rate ends and the rate in Mbit/s,
// all digits, after a first line for instant 0, which Pensieve's simulator does
// not use. Without carrier the rate is 0.
func (pensieve) Export(w io.Writer, d Direction, opts ExportOptions) (*Exported, error) {
	loops, total, err := opts.extent(d)
	if err != nil {
		return nil, err
	}
	out := &Exported{Duration: total}
	bw := bufio.NewWriterSize(w, 64<<10)
	var served trace.Service
	var dropped droppedStates
	var buf []byte
	line := func(t time.Duration, r trace.BitRate) error {
		buf = appendScaled(buf[:0], int64(t), 9)
		buf = append(buf, ' ')
		buf = appendScaled(buf, int64(r), 6)
		buf = append(buf, '\n')
		out.Lines++
		_, err := bw.Write(buf)
		return err
	}
	var at time.Duration // of the current rate
	rate := trace.BitRate(-1)
	to := func(t time.Duration) error { // the current rate ends at t
		if rate < 0 || t == at {
			return nil
		}
		served.Add(rate, t-at)
		at = t
		return line(t, rate)
	}
	for i := range loops {
		base := d.Duration * time.Duration(i)
		started := false
		for s, err := range d.Steps() {
			if err != nil {
				return nil, err
			}
			switch {
			case !started && s.At != 0:
				return nil, fmt.Errorf("export %s: the first step is at %v, not at 0", d.LinkDir, s.At)
			case s.At >= d.Duration || base+s.At < at:
				return nil, fmt.Errorf("export %s: step at %v: out of order or not before the end at %v", d.LinkDir, s.At, d.Duration)
			case s.Rate < 0 || s.Rate > trace.MaxRate:
				return nil, fmt.Errorf("export %s: step at %v: rate %d bit/s outside 0 to %v", d.LinkDir, s.At, s.Rate, trace.MaxRate)
			}
			started = true
			if i == 0 {
				dropped.add(s.State)
			}
			r := s.Capacity()
			if r == rate {
				continue
			}
			if rate < 0 {
				err = line(0, r)
			} else {
				err = to(base + s.At)
			}
			if err != nil {
				return nil, fmt.Errorf("export %s: %w", d.LinkDir, err)
			}
			rate = r
			if opts.Progress != nil {
				opts.Progress(float64(base+s.At) / float64(total))
			}
		}
		if !started {
			return nil, fmt.Errorf("export %s: the tape has no steps for it", d.LinkDir)
		}
	}
	err = to(total)
	if err == nil {
		err = bw.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", d.LinkDir, err)
	}
	out.Bytes = served.Bytes()
	if t := dropped.text(); t != "" {
		out.Warnings = append(out.Warnings, Warning{Text: t})
	}
	return out, nil
}

// appendScaled writes v/10^scale with the digits it needs.
func appendScaled(b []byte, v int64, scale int) []byte {
	unit := int64(1)
	for range scale {
		unit *= 10
	}
	b = strconv.AppendInt(b, v/unit, 10)
	frac := v % unit
	if frac == 0 {
		return b
	}
	b = append(b, '.')
	for unit /= 10; frac > 0; unit /= 10 {
		b = append(b, byte('0'+frac/unit))
		frac %= unit
	}
	return b
}
