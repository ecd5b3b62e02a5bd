package convert

import (
	"fmt"
	"slices"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// missing stands for a value that a row does not have.
const missing = -1

// A row is one sample of a table. Instants are in ns.
type row struct {
	line  int64
	at    int64   // the instant that the sample names, or where its interval begins
	to    int64   // where its interval ends, in a table of intervals
	span  int64   // the length that a sample of an instant says of itself; missing: none
	rate  int64   // bit/s; missing: none
	bytes int64   // served in the interval, in place of a rate; missing: none
	delay int64   // one way, ns; missing: none
	loss  float64 // in [0, 1]; missing: none
	label string
}

// newRow returns a row without values.
func newRow(line, at int64) row {
	return row{line: line, at: at, span: missing, rate: missing, bytes: missing, delay: missing, loss: missing}
}

// table turns the rows of a format into steps: it sorts, joins rows of the same
// instant, finds the interval that each sample stands for and the gaps, and
// then scales, clips and bins. A format sets the first fields and adds rows.
type table struct {
	opts     ImportOptions
	faults   Faults
	interval string // the format's own convention; "" = rows are intervals
	clock    bool   // instants are ns since 1970; else offsets
	local    bool   // of a clock in an unknown zone
	same     string // the format's own policy for rows of the same instant; "" = refuse
	lazy     bool   // gaps are looked for only where they are asked for
	first    bool   // with IntervalEnd the first sample has no interval and is left out
	served   bool   // rows hold bytes

	rows     []row
	res      *Result
	noRate   int64 // rows without a rate where others have one, and the first one's line
	noRateAt int64
}

// newTable returns a table for the file of this name.
func newTable(name string, opts ImportOptions) *table {
	return &table{opts: opts, faults: Faults{File: name}, res: &Result{Choices: map[string]string{}}}
}

func (t *table) fault(line int64, format string, args ...any) { t.faults.add(line, format, args...) }

func (t *table) warn(line int64, format string, args ...any) { t.res.warn(line, format, args...) }

func (t *table) choose(key, format string, args ...any) {
	t.res.Choices[key] = fmt.Sprintf(format, args...)
}

// add takes a row. One that holds nothing of what is asked for still tells the
// time, so that all parts of a file are of the same length.
func (t *table) add(r row) {
	if !t.opts.wants(RoleRate) {
		r.rate, r.bytes = missing, missing
	}
	if !t.opts.wants(RoleDelay) {
		r.delay = missing
	}
	if !t.opts.wants(RoleLoss) {
		r.loss = missing
	}
	t.res.HasRate = t.res.HasRate || r.rate != missing || r.bytes != missing
	t.res.HasDelay = t.res.HasDelay || r.delay != missing
	t.res.HasLoss = t.res.HasLoss || r.loss != missing
	t.rows = append(t.rows, r)
}

// when writes an instant of the table for a message.
func (t *table) when(ns int64) string {
	if !t.clock {
		return time.Duration(ns).String()
	}
	return t.clockText(ns)
}

func (t *table) clockText(ns int64) string {
	at := time.Unix(0, ns).UTC()
	layout := "2006-01-02T15:04:05.999999999Z"
	if t.local {
		layout = "2006-01-02T15:04:05.999999999"
	}
	return at.Format(layout)
}

// piece is an interval with what holds in it.
type piece struct {
	from, to int64
	row      int // the row that it is of; missing: a gap
}

// finish makes the result. Step is the format's own; 0 keeps the instants of
// the file.
func (t *table) finish(step time.Duration) (*Result, error) {
	t.order()
	if t.faults.Count == 0 && !t.res.HasRate && !t.res.HasDelay && !t.res.HasLoss {
		t.fault(0, "no sample%s: nothing to import", t.ofRole())
	}
	if err := t.faults.err(); err != nil {
		return nil, err
	}
	t.joinSame()
	if err := t.faults.err(); err != nil {
		return nil, err
	}
	pieces := t.pieces()
	if err := t.faults.err(); err != nil {
		return nil, err
	}
	if len(pieces) == 0 {
		t.fault(0, "the samples last no time: nothing to import")
		return nil, t.faults.err()
	}
	start := pieces[0].from
	if pieces[len(pieces)-1].to-start > int64(MaxDuration) {
		return nil, fmt.Errorf("%s: longer than %v", t.faults.File, MaxDuration)
	}
	if t.clock {
		t.res.Start, t.res.Local = time.Unix(0, start).UTC(), t.local
		t.choose("start", "%s", t.clockText(start))
		if t.local {
			t.choose("zone", "none given: taken as UTC")
		}
	} else if start != 0 {
		t.choose("start", "%v", time.Duration(start))
	}
	if !t.clock && start > 0 {
		t.warn(t.rows[0].line, "time begins at %v: the tape begins there", time.Duration(start))
	}
	tr, err := t.track(pieces)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.faults.File, err)
	}
	if t.noRate > 0 {
		if t.res.Choices["gap"] == "" {
			t.choose("gap", "%s", t.gapText("hold: the sample before goes on"))
		}
		t.warn(t.noRateAt, "%s without a rate, this one first: %s", samples(t.noRate), t.gapText("hold: the sample before goes on"))
	}
	t.choose("step", "as in the file")
	if t.opts.Step > 0 {
		step = t.opts.Step
	}
	if step > 0 {
		t.choose("step", "%v", step)
	}
	t.res.Gap = t.opts.Gap
	if err := tr.finish(t.res, t.opts, step); err != nil {
		return nil, fmt.Errorf("%s: %w", t.faults.File, err)
	}
	return t.res, nil
}

// samples writes a count of samples.
func samples(n int64) string {
	if n == 1 {
		return "1 sample"
	}
	return fmt.Sprintf("%d samples", n)
}

func (t *table) ofRole() string {
	if t.opts.Role == RoleAll {
		return ""
	}
	return " with a " + string(t.opts.Role)
}

// order sorts the rows, or finds those that are out of order.
func (t *table) order() {
	if t.opts.Sort {
		moved := !slices.IsSortedFunc(t.rows, compareRows)
		slices.SortStableFunc(t.rows, compareRows)
		t.choose("sort", "by time")
		if moved {
			t.warn(0, "the samples were out of order and are sorted by time")
		}
		return
	}
	for i := 1; i < len(t.rows); i++ {
		if a, b := t.rows[i-1], t.rows[i]; b.at < a.at {
			t.fault(b.line, "time %s after %s: times must not decrease; sort the file, or import it with --sort", t.when(b.at), t.when(a.at))
		}
	}
}

func compareRows(a, b row) int {
	switch {
	case a.at < b.at:
		return -1
	case a.at > b.at:
		return 1
	}
	return 0
}

// joinSame makes one row of those that name the same instant.
func (t *table) joinSame() {
	same := t.opts.Same
	if same == "" {
		same = t.same
	}
	var joined, at int64
	out := t.rows[:0]
	for i := 0; i < len(t.rows); {
		k := i + 1
		for k < len(t.rows) && t.rows[k].at == t.rows[i].at {
			k++
		}
		if k == i+1 {
			out = append(out, t.rows[i])
			i = k
			continue
		}
		if same == "" {
			for _, r := range t.rows[i+1 : k] {
				t.fault(r.line, "time %s is also that of line %d: times must increase; say what counts with --same mean, first or last", t.when(r.at), t.rows[i].line)
			}
		}
		if at == 0 {
			at = t.rows[i+1].line
		}
		joined += int64(k - i - 1)
		switch same {
		case SameFirst:
			out = append(out, t.rows[i])
		case SameLast:
			out = append(out, t.rows[k-1])
		default:
			out = append(out, meanRow(t.rows[i:k]))
		}
		i = k
	}
	t.rows = out
	if joined > 0 && same != "" {
		t.choose("same_time", "%s", map[string]string{SameMean: "mean", SameFirst: "the first counts", SameLast: "the last counts"}[same])
		t.warn(at, "%s of an instant that has one already, this one first: %s", samples(joined), t.res.Choices["same_time"])
	}
}

// meanRow returns the mean of rows of one instant; their bytes are added up,
// because each counts from the row before.
func meanRow(rows []row) row {
	out := rows[0]
	mean := func(get func(*row) *int64, sum bool) {
		var total, n int64
		for i := range rows {
			if v := *get(&rows[i]); v != missing {
				total += v
				n++
			}
		}
		switch {
		case n == 0:
		case sum:
			*get(&out) = total
		default:
			*get(&out) = (total + n/2) / n
		}
	}
	mean(func(r *row) *int64 { return &r.rate }, false)
	mean(func(r *row) *int64 { return &r.delay }, false)
	mean(func(r *row) *int64 { return &r.bytes }, true)
	mean(func(r *row) *int64 { return &r.span }, true)
	mean(func(r *row) *int64 { return &r.to }, false)
	var loss, n float64
	for _, r := range rows {
		if r.loss != missing {
			loss += r.loss
			n++
		}
		if r.label != "" {
			out.label = r.label
		}
	}
	if n > 0 {
		out.loss = loss / n
	}
	return out
}

// median returns the lower median of values above 0, or 0.
func median(v []int64) int64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[(len(v)-1)/2]
}

// pieces finds the interval of each row, and the gaps between them.
func (t *table) pieces() []piece {
	if t.interval == "" {
		return t.intervalPieces()
	}
	interval := t.opts.interval(t.interval)
	t.choose("interval", "%s", interval)
	rows := t.rows
	var dist []int64
	for i := 1; i < len(rows); i++ {
		dist = append(dist, rows[i].at-rows[i-1].at)
	}
	usual := median(dist)
	if len(rows) == 1 && rows[0].span <= 0 {
		t.fault(rows[0].line, "one sample only: two are needed to tell how long a sample holds")
		return nil
	}
	after := t.gapAfter(usual)
	own := func(i int) int64 { // the length of a sample beside a gap
		if s := rows[i].span; s > 0 {
			return s
		}
		return usual
	}
	edge := func(i int, dist int64) int64 { // that of the first or last one, by its only neighbour
		if rows[i].span > 0 || dist > after {
			return own(i)
		}
		return dist
	}
	var out []piece
	put := func(from, to int64, i int) {
		if from < to {
			out = append(out, piece{from, to, i})
		}
	}
	var gaps gapCount
	if interval == IntervalEnd {
		if !t.first {
			long := own(0)
			if len(rows) > 1 {
				long = edge(0, rows[1].at-rows[0].at)
			}
			put(rows[0].at-long, rows[0].at, 0)
		}
		for i := 1; i < len(rows); i++ {
			from := rows[i-1].at
			if d := rows[i].at - from; d > after {
				gaps.add(d, rows[i].line)
				if t.gap() != GapHold {
					cut := max(rows[i].at-own(i), from)
					put(from, cut, missing)
					from = cut
				}
			}
			put(from, rows[i].at, i)
		}
	} else {
		for i := range rows {
			to := rows[i].at + own(i)
			if i > 0 && i+1 == len(rows) {
				to = rows[i].at + edge(i, rows[i].at-rows[i-1].at)
			}
			if i+1 < len(rows) {
				to = rows[i+1].at
				if d := to - rows[i].at; d > after {
					gaps.add(d, rows[i+1].line)
					if t.gap() != GapHold {
						cut := min(rows[i].at+own(i), to)
						put(rows[i].at, cut, i)
						put(cut, to, missing)
						continue
					}
				}
			}
			put(rows[i].at, to, i)
		}
	}
	t.noteGaps(gaps, after, "hold: the sample stands for all of it")
	return out
}

// intervalPieces is pieces for rows that are intervals.
func (t *table) intervalPieces() []piece {
	var lengths []int64
	for _, r := range t.rows {
		lengths = append(lengths, r.to-r.at)
	}
	after := t.gapAfter(median(lengths))
	var out []piece
	var gaps gapCount
	for i, r := range t.rows {
		if r.to <= r.at {
			t.fault(r.line, "the interval ends at %s, which is not after its beginning at %s", t.when(r.to), t.when(r.at))
			continue
		}
		if k := len(out) - 1; k >= 0 {
			hole := r.at - out[k].to
			switch {
			case hole < 0:
				t.fault(r.line, "the interval from %s overlaps the one of line %d, which ends at %s", t.when(r.at), t.rows[i-1].line, t.when(out[k].to))
				continue
			case hole > after:
				gaps.add(hole, r.line)
				if t.gap() != GapHold {
					out = append(out, piece{out[k].to, r.at, missing})
				} else {
					out[k].to = r.at
				}
			case hole > 0:
				out[k].to = r.at
			}
		}
		out = append(out, piece{r.at, r.to, i})
	}
	t.noteGaps(gaps, after, "hold: the sample before goes on")
	return out
}

// gapAfter is the distance above which there is a gap.
func (t *table) gapAfter(usual int64) int64 {
	switch {
	case t.opts.GapAfter > 0:
		return int64(t.opts.GapAfter)
	case t.lazy && t.opts.Gap == "" || !t.opts.wants(RoleRate):
		return 1<<63 - 1
	case usual > (1<<63-1)/3:
		return 1<<63 - 1
	}
	return 3 * usual
}

// gap is the policy that counts.
func (t *table) gap() string {
	if t.opts.Gap == "" || !t.opts.wants(RoleRate) {
		return GapHold
	}
	return t.opts.Gap
}

type gapCount struct{ n, longest, line int64 }

func (g *gapCount) add(d, line int64) {
	if g.n++; d > g.longest {
		g.longest, g.line = d, line
	}
}

func (t *table) noteGaps(g gapCount, after int64, hold string) {
	if after == 1<<63-1 {
		return
	}
	how := t.gapText(hold)
	t.choose("gap", "%s", how)
	t.choose("gap_after", "%v", time.Duration(after))
	if g.n > 0 {
		t.warn(g.line, "%s without a sample for more than %v, the longest, of %v, before this one: %s", timesText(g.n), time.Duration(after), time.Duration(g.longest), how)
	}
}

// gapText says what holds in a gap.
func (t *table) gapText(hold string) string {
	switch t.gap() {
	case GapZero:
		return "zero: nothing is served"
	case GapOutage:
		return "outage: no carrier"
	}
	return hold
}

func timesText(n int64) string {
	if n == 1 {
		return "1 time"
	}
	return fmt.Sprintf("%d times", n)
}

// track lays the values of the rows into their pieces. A row without rate is a
// gap in the rates; delay, loss and label hold until the next.
func (t *table) track(pieces []piece) (*track, error) {
	start := pieces[0].from
	tr := &track{end: time.Duration(pieces[len(pieces)-1].to - start)}
	st := t.opts.state()
	// The first delay and loss hold from the beginning.
	for _, r := range t.rows {
		if r.delay != missing {
			st.Delay = time.Duration(r.delay)
			break
		}
	}
	for _, r := range t.rows {
		if r.loss != missing {
			st.Loss = trace.Prob(r.loss)
			break
		}
	}
	rate := int64(missing)
	for _, r := range t.rows {
		if r.rate != missing {
			rate = r.rate // where the first row holds none and gaps are held
			break
		}
	}
	rate = max(rate, 0)
	var due fill.Amount
	f := fill.New(func(at time.Duration, r trace.BitRate) bool {
		if k := len(tr.rates) - 1; k < 0 || tr.rates[k].rate != r {
			tr.rates = append(tr.rates, sample{at, r})
		}
		return true
	})
	for _, p := range pieces {
		from, to := time.Duration(p.from-start), time.Duration(p.to-start)
		now, gap := st, p.row == missing
		if !gap {
			r := t.rows[p.row]
			if r.delay != missing {
				st.Delay = time.Duration(r.delay)
			}
			if r.loss != missing {
				st.Loss = trace.Prob(r.loss)
			}
			st.Label = r.label
			now = st
			switch {
			case r.bytes != missing:
				due = due.Add(fill.Mul(uint64(r.bytes), 8*fill.BitNs))
				if _, err := f.To(to, due); err != nil {
					return nil, fmt.Errorf("line %d: %w", r.line, err)
				}
				if q, _, ok := fill.Mul(uint64(r.bytes), 8*fill.BitNs).Div(uint64(to - from)); ok {
					rate = int64(min(q, uint64(trace.MaxRate))) // for rows without
				}
			case r.rate != missing:
				rate = r.rate
				due = t.serve(f, due, to, rate)
			case t.res.HasRate:
				if t.noRate++; t.noRate == 1 {
					t.noRateAt = r.line
				}
				gap = t.gap() != GapHold
				if !gap {
					due = t.serve(f, due, to, rate)
				}
			default:
				due = t.serve(f, due, to, 0)
			}
		}
		if gap {
			due = t.serve(f, due, to, 0)
			if t.gap() == GapOutage {
				now.Carrier, now.Label = false, labelOutage
			}
		}
		tr.rest(from, now)
	}
	return tr, nil
}

// labelOutage labels gaps that are taken as outages.
const labelOutage = "outage"

// serve serves a rate until an instant. Whole rates are laid as they are; only
// beside counted bytes is the rounding made good.
func (t *table) serve(f *fill.Filler, due fill.Amount, to time.Duration, rate int64) fill.Amount {
	due = due.Add(fill.Mul(uint64(rate), uint64(to-f.At())))
	if !t.served {
		f.Hold(to, trace.BitRate(rate))
		return due
	}
	_, _ = f.To(to, due) // no rate here is above what was read
	return due
}
