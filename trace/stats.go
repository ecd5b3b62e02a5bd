package trace

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"

	"gonum.org/v1/gonum/dsp/fourier"
)

// Stats describes one direction of a timeline. Rates are in bit/s of IP
// packets, over bins of equal length; without carrier the rate counts as 0.
type Stats struct {
	Link string `json:"link"`
	Dir  string `json:"dir"` // up or down

	Steps         int64         `json:"steps"`
	Duration      time.Duration `json:"duration_ns"`
	CapacityBytes int64         `json:"capacity_bytes"` // rate × time, exact, rounded down

	Bin                 time.Duration `json:"bin_ns"`
	Bins                int64         `json:"bins"`            // whole bins; at least one
	RateMean            float64       `json:"rate_mean_bit_s"` // capacity over the whole duration
	RateMin             float64       `json:"rate_min_bit_s"`
	RateP5              float64       `json:"rate_p5_bit_s"` // quantiles within 0.1 %
	RateP50             float64       `json:"rate_p50_bit_s"`
	RateP95             float64       `json:"rate_p95_bit_s"`
	RateMax             float64       `json:"rate_max_bit_s"`
	RateCV              float64       `json:"rate_cv"`                 // standard deviation of the bins over their mean; 0 when that is 0
	EmptyFraction       float64       `json:"empty_fraction"`          // share of bins with no capacity at all
	AutocorrelationTime time.Duration `json:"autocorrelation_time_ns"` // first lag at which the autocorrelation of the bins is below 1/e, interpolated; 0 for a constant rate

	LongestGap time.Duration `json:"longest_gap_ns"` // longest run of rate 0 or no carrier
	Outages    int64         `json:"outages"`        // runs in which no packet passes, see [State.Outage]

	DelayMean  time.Duration `json:"delay_mean_ns"` // means are over time
	DelayMin   time.Duration `json:"delay_min_ns"`
	DelayMax   time.Duration `json:"delay_max_ns"`
	JitterMean time.Duration `json:"jitter_mean_ns"`

	LossMean       float64       `json:"loss_mean"`                  // over time; chains by their stationary loss
	LossBurstMean  time.Duration `json:"loss_burst_mean_ns"`         // mean length of the maximal runs with a loss above LossMean; 0 without any
	GEBurstPackets float64       `json:"ge_burst_packets,omitempty"` // [GE.MeanBurst] over the time with a chain whose bursts end; 0 without any

	Labels      []LabelShare `json:"labels"`                 // longest first
	OtherLabels float64      `json:"other_labels,omitempty"` // share of the labels beyond the bound
}

// LabelShare is the share of the time that a label holds.
type LabelShare struct {
	Label string  `json:"label"`
	Share float64 `json:"share"`
}

// StatsOptions chooses how statistics are taken.
type StatsOptions struct {
	Bin time.Duration // 0 = 100 ms
}

const (
	defaultBin = 100 * time.Millisecond
	acfWindow  = 1 << 15 // bins whose autocovariance is taken together
	maxLabels  = 64      // labels that are counted apart
	rateBits   = 10      // bits that the rate histogram keeps: buckets of 2^-10, so within 2^-11 at their middle
	lossBits   = 4       // bits that the loss table keeps: levels within 2^-4 are taken as one
	lossFloor  = 0x1p-30 // smallest loss that the loss table tells from 0
	acfDecay   = 1 / math.E
)

// StatsCollector computes [Stats] while steps stream by. Its memory does not
// depend on the length of the timeline: about 1 MB for each direction.
//
// Bins are whole; what remains at the end of the timeline is in no bin, unless
// there is no other. The autocorrelation is taken by Fourier transform over
// windows of 2^15 bins, each about its own mean, and the autocovariances of all
// windows are added (divided by the same number at each lag, which is the
// biased estimator). Quantiles are the nearest rank in a histogram of the rates,
// rounded to 1 bit/s, with an error of at most 0.1 %. Losses that differ by less
// than 1/16 are taken as equal when loss bursts are told from the rest.
type StatsCollector struct {
	duration, bin time.Duration
	bins          int64
	dirs          directions
	list          []*dirStats
	spans         *Spanner
	acf           *autocorrelator
}

// NewStatsCollector returns a collector for the steps of a timeline.
func NewStatsCollector(meta Meta, opts StatsOptions) *StatsCollector {
	c := &StatsCollector{duration: meta.Duration, bin: opts.Bin, acf: newAutocorrelator()}
	if c.bin <= 0 {
		c.bin = defaultBin
	}
	c.bin = max(min(c.bin, c.duration), 1)
	c.bins = int64(c.duration / c.bin)
	c.dirs = newDirections(meta.Directions())
	for range c.dirs.list {
		c.list = append(c.list, &dirStats{delayMin: math.MaxInt64})
	}
	c.spans = NewSpanner(c.duration, c.span)
	return c
}

// Step takes the next step. Steps of directions that the metadata does not
// name are left out.
func (c *StatsCollector) Step(s *Step) {
	if i := c.dirs.index(s.LinkDir()); i >= 0 {
		c.list[i].steps++
		c.spans.Step(s)
	}
}

// Finish returns the statistics of each direction, in canonical order.
func (c *StatsCollector) Finish() []Stats {
	c.spans.Finish()
	out := make([]Stats, len(c.list))
	for i, d := range c.list {
		out[i] = d.finish(c, c.dirs.list[i])
	}
	return out
}

func (c *StatsCollector) span(s Span) {
	if i := c.dirs.index(s.LinkDir); i >= 0 {
		c.list[i].span(c, &s)
	}
}

// dirStats collects the statistics of one direction.
type dirStats struct {
	steps   int64
	covered time.Duration
	total   Service

	fill    time.Duration // length of the current bin so far
	partial Service       // and its content
	rates   histogram
	mean    moments
	empty   int64
	window  []float64 // rates of the current window
	acov    []float64 // sum of the windows' autocovariances, by lag; nil: all 0

	gap, gapMax time.Duration
	out         bool // the last span was an outage
	outages     int64

	delay, jitter      Service // time-weighted sums
	delayMin, delayMax time.Duration

	loss    float64 // time-weighted sum
	levels  map[uint16]*lossLevel
	changes map[[2]uint16]int64
	level   uint16 // of the last span
	first   uint16 // of the first span

	geBurst float64 // time-weighted sum
	geTime  time.Duration

	labels     map[string]time.Duration
	otherLabel time.Duration
}

// lossLevel is a level of the loss table.
type lossLevel struct {
	time time.Duration
	sum  float64 // loss × time (ns)
}

func (d *dirStats) span(c *StatsCollector, s *Span) {
	length := s.To - s.From
	start := d.covered == 0
	d.covered += length
	rate := s.Capacity()
	d.total.Add(rate, length)
	d.addBins(c, rate, length)

	if rate == 0 {
		d.gap += length
		d.gapMax = max(d.gapMax, d.gap)
	} else {
		d.gap = 0
	}
	out := s.Outage()
	if out && !d.out {
		d.outages++
	}
	d.out = out

	d.delay.Add(BitRate(s.Delay), length)
	d.jitter.Add(BitRate(s.Jitter), length)
	d.delayMin, d.delayMax = min(d.delayMin, s.Delay), max(d.delayMax, s.Delay)

	loss := s.MeanLoss()
	weighted := float64(loss * float64(length))
	d.loss += weighted
	level := lossIndex(loss)
	if d.levels == nil {
		d.levels = make(map[uint16]*lossLevel)
		d.changes = make(map[[2]uint16]int64)
	}
	l := d.levels[level]
	if l == nil {
		l = new(lossLevel)
		d.levels[level] = l
	}
	l.time += length
	l.sum += weighted
	if start {
		d.first = level
	} else if level != d.level {
		d.changes[[2]uint16{d.level, level}]++
	}
	d.level = level

	if s.GE.Enabled() {
		if b := s.GE.MeanBurst(); !math.IsInf(b, 0) && !math.IsNaN(b) {
			d.geBurst += float64(b * float64(length))
			d.geTime += length
		}
	}

	if d.labels == nil {
		d.labels = make(map[string]time.Duration)
	}
	if _, ok := d.labels[s.Label]; ok || len(d.labels) < maxLabels {
		d.labels[s.Label] += length
	} else {
		d.otherLabel += length
	}
}

// addBins spreads a constant rate over the bins that it covers.
func (d *dirStats) addBins(c *StatsCollector, rate BitRate, length time.Duration) {
	if d.fill > 0 {
		part := min(length, c.bin-d.fill)
		d.partial.Add(rate, part)
		d.fill += part
		length -= part
		if d.fill < c.bin {
			return
		}
		d.addBin(c, d.partial.Mean(c.bin), 1)
		d.fill, d.partial = 0, Service{}
	}
	d.addBin(c, float64(rate), int64(length/c.bin))
	if rest := length % c.bin; rest > 0 {
		d.fill = rest
		d.partial.Add(rate, rest)
	}
}

// addBin takes n bins of this rate.
func (d *dirStats) addBin(c *StatsCollector, rate float64, n int64) {
	if n == 0 {
		return
	}
	d.rates.add(int64(math.Round(rate)), n)
	d.mean.add(rate, n)
	if rate == 0 {
		d.empty += n
	}
	for n > 0 {
		if len(d.window) == 0 && n >= acfWindow {
			n %= acfWindow // whole windows of one rate: no covariance
			continue
		}
		if d.window == nil {
			d.window = make([]float64, 0, min(acfWindow, c.bins))
		}
		k := min(n, int64(acfWindow-len(d.window)))
		for range k {
			d.window = append(d.window, rate)
		}
		n -= k
		if len(d.window) == acfWindow {
			d.acov = c.acf.add(d.acov, d.window)
			d.window = d.window[:0]
		}
	}
}

func (d *dirStats) finish(c *StatsCollector, ld LinkDir) Stats {
	s := Stats{
		Link: ld.Link, Dir: ld.Dir.String(),
		Steps: d.steps, Duration: c.duration, CapacityBytes: d.total.Bytes(),
		Bin: c.bin, Bins: c.bins, Labels: []LabelShare{},
	}
	if d.covered == 0 {
		return s
	}
	if len(d.window) > 0 {
		d.acov = c.acf.add(d.acov, d.window)
		d.window = nil
	}
	ns := func(v float64) time.Duration { return time.Duration(math.Round(v)) }
	total := float64(d.covered)
	s.RateMean = d.total.Mean(d.covered)
	s.RateMin, s.RateMax = d.mean.min, d.mean.max
	s.RateP5, s.RateP50, s.RateP95 = d.rates.quantile(d.mean, 5), d.rates.quantile(d.mean, 50), d.rates.quantile(d.mean, 95)
	if d.mean.mean != 0 {
		s.RateCV = math.Sqrt(d.mean.m2/float64(d.mean.n)) / d.mean.mean
	}
	if d.mean.n > 0 {
		s.EmptyFraction = float64(d.empty) / float64(d.mean.n)
	}
	s.AutocorrelationTime = ns(decayLag(d.acov) * float64(c.bin))
	s.LongestGap, s.Outages = d.gapMax, d.outages
	s.DelayMean, s.JitterMean = ns(d.delay.Mean(d.covered)), ns(d.jitter.Mean(d.covered))
	s.DelayMin, s.DelayMax = d.delayMin, d.delayMax
	s.LossMean = d.loss / total
	s.LossBurstMean = ns(d.lossBurst(s.LossMean))
	if d.geTime > 0 {
		s.GEBurstPackets = d.geBurst / float64(d.geTime)
	}
	for name, t := range d.labels {
		s.Labels = append(s.Labels, LabelShare{name, float64(t) / total})
	}
	slices.SortFunc(s.Labels, func(a, b LabelShare) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Label, b.Label))
	})
	s.OtherLabels = float64(d.otherLabel) / total
	return s
}

// lossBurst returns the mean length, in ns, of the maximal runs of time with a
// loss above mean.
func (d *dirStats) lossBurst(mean float64) float64 {
	if len(d.levels) < 2 {
		return 0 // constant: rounding may put the mean on either side
	}
	above := func(level uint16) bool {
		l := d.levels[level]
		return l.sum/float64(l.time) > mean
	}
	var long time.Duration
	for level, l := range d.levels {
		if above(level) {
			long += l.time
		}
	}
	bursts := int64(0)
	if above(d.first) {
		bursts++
	}
	for change, n := range d.changes {
		if !above(change[0]) && above(change[1]) {
			bursts += n
		}
	}
	if bursts == 0 {
		return 0
	}
	return float64(long) / float64(bursts)
}

// lossIndex returns the level of a loss: its exponent and the first bits of its
// fraction.
func lossIndex(loss float64) uint16 {
	if loss < lossFloor {
		return 0
	}
	return uint16(math.Float64bits(loss)>>(52-lossBits) - math.Float64bits(lossFloor)>>(52-lossBits) + 1)
}

// moments are the running moments of bins (Chan, Golub and LeVeque 1983,
// eq. 2.1, for a group of n equal values).
type moments struct {
	n        int64
	mean, m2 float64
	min, max float64
}

func (m *moments) add(v float64, n int64) {
	if m.n == 0 {
		m.min, m.max = v, v
	}
	m.min, m.max = min(m.min, v), max(m.max, v)
	all := float64(m.n + n)
	delta := v - m.mean
	m.m2 += float64(delta * float64(delta*(float64(m.n)*float64(n)/all)))
	m.mean += float64(delta * (float64(n) / all))
	m.n += n
}

// histogram counts values ≥ 0 in buckets of a relative width of at most
// 2^−rateBits; values below 2^(rateBits+1) have a bucket each.
type histogram struct {
	buckets [64 - rateBits][]bucket // by the number of bits beyond rateBits+1
}

type bucket struct {
	n   int64
	sum float64
}

func (h *histogram) add(v, n int64) {
	shift := max(bits.Len64(uint64(v))-rateBits-1, 0)
	if h.buckets[shift] == nil {
		h.buckets[shift] = make([]bucket, 2<<rateBits)
	}
	b := &h.buckets[shift][v>>shift]
	b.n += n
	b.sum += float64(float64(v) * float64(n))
}

// quantile returns the nearest rank, which is the least value that has percent
// of all values at or below it, as the mean of its bucket: exact where that
// holds one value.
func (h *histogram) quantile(m moments, percent int64) float64 {
	hi, lo := bits.Mul64(uint64(m.n), uint64(percent))
	lo, carry := bits.Add64(lo, 99, 0)
	rank, _ := bits.Div64(hi+carry, lo, 100)
	left := max(int64(rank), 1)
	for _, buckets := range h.buckets {
		for _, b := range buckets {
			if left -= b.n; left <= 0 {
				return max(min(math.Round(b.sum/float64(b.n)), m.max), m.min)
			}
		}
	}
	return m.max
}

// autocorrelator computes autocovariances by Fourier transform. The windows
// are padded with as many zeros, so that nothing wraps around.
type autocorrelator struct {
	fft   map[int]*fourier.FFT // by window length
	seq   []float64
	coeff []complex128
}

func newAutocorrelator() *autocorrelator { return &autocorrelator{fft: make(map[int]*fourier.FFT)} }

// add adds the autocovariance of a window, not divided by its length, to sum
// and returns that; nil stands for zeros.
func (a *autocorrelator) add(sum, window []float64) []float64 {
	first, constant := window[0], true
	mean := 0.0
	for _, v := range window {
		mean += v
		constant = constant && v == first
	}
	if constant {
		return sum
	}
	mean /= float64(len(window))
	n := 2
	for n < 2*len(window) {
		n *= 2
	}
	fft := a.fft[n]
	if fft == nil {
		fft = fourier.NewFFT(n)
		a.fft[n] = fft
	}
	a.seq = append(a.seq[:0], make([]float64, n)...)
	for i, v := range window {
		a.seq[i] = v - mean
	}
	if cap(a.coeff) < n/2+1 {
		a.coeff = make([]complex128, n/2+1)
	}
	coeff := fft.Coefficients(a.coeff[:n/2+1], a.seq)
	for i, v := range coeff {
		re, im := real(v), imag(v)
		coeff[i] = complex(float64(re*re)+float64(im*im), 0)
	}
	seq := fft.Sequence(a.seq, coeff)
	if len(sum) < len(window) {
		sum = append(sum, make([]float64, len(window)-len(sum))...)
	}
	for i := range window {
		sum[i] += seq[i] / float64(n)
	}
	return sum
}

// decayLag returns the first lag, in bins, at which the autocorrelation falls
// below 1/e, linearly interpolated; 0 when there is no variance.
func decayLag(acov []float64) float64 {
	if len(acov) == 0 || acov[0] <= 0 {
		return 0
	}
	prev := 1.0
	for k := 1; ; k++ {
		r := 0.0 // beyond the windows
		if k < len(acov) {
			r = acov[k] / acov[0]
		}
		if r < acfDecay {
			return float64(k-1) + (prev-acfDecay)/(prev-r)
		}
		prev = r
	}
}
