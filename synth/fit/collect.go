package fit

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"linktape/trace"
)

// DefaultBin is the bin of a direction whose own steps are too short or too few
// to say one.
const DefaultBin = 100 * time.Millisecond

// DefaultOutage is the shortest time without capacity that counts as an outage
// where the tape does not say that it is one.
const DefaultOutage = 300 * time.Millisecond

// maxBins bounds the memory of a direction, which takes four numbers for
// each bin.
const maxBins = 8 << 20

// Steps yields the steps of a timeline from its start, in canonical order. It is
// called twice.
type Steps func() iter.Seq2[trace.Step, error]

// OutageKind says what ends the capacity.
type OutageKind string

// The kinds of outages, which the modes of package trace/edit give.
const (
	Stall       OutageKind = "stall"        // rate 0: the queue stays
	CarrierDown OutageKind = "carrier-down" // the interface is down
	Drop        OutageKind = "drop"         // every packet is lost
)

// run is a time for which a state lasts.
type run struct {
	from, to time.Duration
	kind     OutageKind
	labelled bool
}

// A row holds one direction's data.
type row struct {
	ld  trace.LinkDir
	bin time.Duration
	// by bin; an outage that counts makes rate and delay NaN
	rate, delay, jitter []float64
	delayTop            []float64 // highest in the bin
	label               []string  // of the bin's start, without those of processes; nil = none
	outages             []run
	losses              []lossSpan
	ge                  trace.GE
	geTime              time.Duration // with a chain stepped per packet, outages left out
	geSame              bool          // always the same chain
	lossGrid            time.Duration
	grid                time.Duration // greatest common divisor of the steps' instants
	duration            time.Duration
}

// lossSpan is a time with one loss, outages left out.
type lossSpan struct {
	from, to time.Duration
	loss     float64
	label    string
}

// gapCount counts distances between the steps of a direction. Distances are
// rounded to 64 for each factor of 2 once there are many different ones.
type gapCount struct {
	last  time.Duration
	count map[time.Duration]int
	total int
	grid  time.Duration
}

func gcd(a, b time.Duration) time.Duration {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (g *gapCount) add(at time.Duration) {
	d := at - g.last
	g.last = at
	g.grid = gcd(g.grid, d)
	if d <= 0 {
		return
	}
	if len(g.count) > 4096 {
		for unit := time.Duration(1); ; unit *= 2 {
			if d/unit < 128 {
				d = d / unit * unit
				break
			}
		}
	}
	g.count[d]++
	g.total++
}

func (g *gapCount) median() time.Duration {
	var keys []time.Duration
	for d := range g.count {
		keys = append(keys, d)
	}
	slices.Sort(keys)
	seen := 0
	for _, d := range keys {
		if seen += g.count[d]; 2*seen >= g.total {
			return d
		}
	}
	return 0
}

// collect reads the timeline twice: for its steps' distances, and for the bins.
func collect(meta trace.Meta, steps Steps, opts Options) ([]*row, error) {
	return collectBins(meta, steps, opts, nil)
}

// collectBins is collect with the bins of some directions given.
func collectBins(meta trace.Meta, steps Steps, opts Options, bins map[trace.LinkDir]time.Duration) ([]*row, error) {
	gaps := map[trace.LinkDir]*gapCount{}
	for _, ld := range meta.Directions() {
		gaps[ld] = &gapCount{count: map[time.Duration]int{}}
	}
	for s, err := range steps() {
		if err != nil {
			return nil, err
		}
		g := gaps[s.LinkDir()]
		if g == nil {
			return nil, fmt.Errorf("fit: a step at %v is for %v, which the timeline does not name", s.At, s.LinkDir())
		}
		if s.At > 0 {
			g.add(s.At)
		}
	}
	var rows []*row
	binners := map[trace.LinkDir]*binner{}
	for _, ld := range meta.Directions() {
		g := gaps[ld]
		bin := opts.Bin
		if own, ok := bins[ld]; ok {
			bin = own
		}
		if bin == 0 {
			bin = g.median()
			if g.grid < time.Millisecond { // instants without a rule: no digits that mean nothing
				bin = bin.Round(time.Millisecond)
			}
			if g.total < 16 || bin < 10*time.Millisecond {
				bin = DefaultBin
			}
		}
		count := int64(meta.Duration / bin)
		if count > maxBins {
			return nil, fmt.Errorf("fit %v: %d bins of %v: at most %d: choose a longer bin", ld, count, bin, maxBins)
		}
		r := &row{ld: ld, bin: bin, duration: meta.Duration, grid: g.grid}
		rows = append(rows, r)
		binners[ld] = newBinner(r, int(count), opts.Outage)
	}
	spans := trace.NewSpanner(meta.Duration, func(sp trace.Span) { binners[sp.LinkDir].span(&sp) })
	for s, err := range steps() {
		if err != nil {
			return nil, err
		}
		spans.Step(&s)
	}
	spans.Finish()
	for _, r := range rows {
		binners[r.ld].finish()
	}
	return rows, nil
}

// binner fills a row from spans.
type binner struct {
	*row
	threshold time.Duration
	lossGCD   time.Duration
}

func newBinner(r *row, bins int, threshold time.Duration) *binner {
	if threshold == 0 {
		threshold = DefaultOutage
	}
	r.rate, r.delay, r.jitter = make([]float64, bins), make([]float64, bins), make([]float64, bins)
	r.delayTop = make([]float64, bins)
	r.geSame = true
	return &binner{row: r, threshold: threshold}
}

// outageKind returns why no packet passes, or "". A loss of everything that a
// loss process labels is a burst of it, no outage.
func outageKind(s *trace.State) OutageKind {
	switch {
	case !s.Carrier:
		return CarrierDown
	case s.Rate == 0:
		return Stall
	case s.MeanLoss() >= 1 && s.Label != "bad":
		return Drop
	}
	return ""
}

func (b *binner) span(sp *trace.Span) {
	kind := outageKind(&sp.State)
	if kind != "" {
		labelled := sp.Label == "outage" || sp.Label == "handover" || kind == CarrierDown
		n := len(b.outages)
		// A handover within an outage, or another kind, goes on with it.
		if n > 0 && b.outages[n-1].to == sp.From {
			b.outages[n-1].to = sp.To
			b.outages[n-1].labelled = b.outages[n-1].labelled || labelled
		} else {
			b.outages = append(b.outages, run{sp.From, sp.To, kind, labelled})
		}
	} else {
		n := len(b.losses)
		loss := float64(sp.Loss)
		if sp.GE.Enabled() {
			b.geTime += sp.To - sp.From
			if b.ge != (trace.GE{}) && b.ge != sp.GE {
				b.geSame = false
			}
			b.ge = sp.GE
			loss = sp.GE.Loss()
		}
		if n > 0 && b.losses[n-1].to == sp.From && b.losses[n-1].loss == loss {
			b.losses[n-1].to = sp.To
		} else {
			b.losses = append(b.losses, lossSpan{sp.From, sp.To, loss, sp.Label})
			b.lossGCD = gcd(b.lossGCD, sp.From)
		}
	}
	for k := int(sp.From / b.bin); k < len(b.rate); k++ {
		from, to := max(sp.From, time.Duration(k)*b.bin), min(sp.To, time.Duration(k+1)*b.bin)
		if from >= to {
			break
		}
		w := float64(to-from) / float64(b.bin)
		b.rate[k] += w * float64(sp.Capacity())
		b.delay[k] += w * float64(sp.Delay)
		b.jitter[k] += w * float64(sp.Jitter)
		b.delayTop[k] = max(b.delayTop[k], float64(sp.Delay))
		if regimeLabel(sp.Label) {
			if b.label == nil {
				b.label = make([]string, len(b.rate))
			}
			if b.label[k] != "" && b.label[k] != sp.Label {
				b.label[k] = mixed
			} else if b.label[k] = sp.Label; k > 0 && from > time.Duration(k)*b.bin && b.label[k-1] != sp.Label {
				b.label[k] = mixed
			}
		}
	}
}

// mixed stands for the labels of a bin with several.
const mixed = "\x00"

// regimeLabel reports whether a label names a regime: all do but those of
// processes.
func regimeLabel(l string) bool {
	switch l {
	case "", "good", "bad", "outage", "handover":
		return false
	}
	return true
}

// finish drops the runs that are too short to be outages and blanks the bins
// that the others touch.
func (b *binner) finish() {
	b.outages = slices.DeleteFunc(b.outages, func(r run) bool { return !r.labelled && r.to-r.from < b.threshold })
	for k := range b.rate { // a bin of several parts is rounded as a tape is: equal rates stay equal
		b.rate[k], b.delay[k], b.jitter[k] = math.Round(b.rate[k]), math.Round(b.delay[k]), math.Round(b.jitter[k])
	}
	for _, r := range b.outages {
		for k := int(r.from / b.bin); k < len(b.rate) && time.Duration(k)*b.bin < r.to; k++ {
			b.rate[k], b.delay[k], b.jitter[k] = math.NaN(), math.NaN(), math.NaN()
		}
	}
	b.lossGrid = b.lossGCD
}
