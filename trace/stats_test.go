package trace

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func collect(tl *Timeline, bin time.Duration) []Stats {
	c := NewStatsCollector(tl.Meta, StatsOptions{Bin: bin})
	for i := range tl.Steps {
		c.Step(&tl.Steps[i])
	}
	return c.Finish()
}

func TestStatsGolden(t *testing.T) {
	b, err := json.MarshalIndent(collect(twoLinks(), 0), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "stats.golden", string(b)+"\n")
}

// series makes a timeline of one direction with a step for each state.
func series(interval time.Duration, states ...State) *Timeline {
	tl := &Timeline{Meta: Meta{Duration: interval * time.Duration(len(states)), Links: []Link{{Name: "a", Up: true}}}}
	for i, s := range states {
		tl.Steps = append(tl.Steps, Step{interval * time.Duration(i), "a", Up, s})
	}
	return tl
}

func rates(mbit ...float64) (out []State) {
	for _, r := range mbit {
		out = append(out, State{Rate: BitRate(r * 1e6), Carrier: true})
	}
	return out
}

func within(t *testing.T, what string, got, want, relative float64) {
	t.Helper()
	if math.Abs(got-want) > relative*math.Abs(want)+1e-12 || math.IsNaN(got) {
		t.Errorf("%s got %v, want %v within %g", what, got, want, relative)
	}
}

func TestStatsRates(t *testing.T) {
	// Four bins of 100 ms, 50 ms that are in no bin, and a step off the grid.
	tl := &Timeline{
		Meta: Meta{Duration: 450 * time.Millisecond, Links: []Link{{Name: "a", Up: true}}},
		Steps: []Step{
			{0, "a", Up, State{Rate: 8 * Mbit, Carrier: true}},
			{150 * time.Millisecond, "a", Up, State{Rate: 0, Carrier: true}},
			{300 * time.Millisecond, "a", Up, State{Rate: 5 * Mbit, Carrier: false}},
			{310 * time.Millisecond, "a", Up, State{Rate: 10 * Mbit, Carrier: true}},
		},
	}
	s := collect(tl, 0)[0]
	// bins: 8, 4, 0, 9 Mbit/s
	if s.Bins != 4 || s.Bin != 100*time.Millisecond || s.Steps != 4 {
		t.Errorf("got %d bins of %v, %d steps", s.Bins, s.Bin, s.Steps)
	}
	if got, want := s.CapacityBytes, int64((8e6*0.15+10e6*0.14)/8); got != want {
		t.Errorf("CapacityBytes got %d, want %d", got, want)
	}
	within(t, "RateMean", s.RateMean, (8e6*0.15+10e6*0.14)/0.45, 1e-12)
	within(t, "RateMin", s.RateMin, 0, 0)
	within(t, "RateMax", s.RateMax, 9e6, 1e-12)
	within(t, "RateP5", s.RateP5, 0, 0)
	within(t, "RateP50", s.RateP50, 4e6, 1e-3)
	within(t, "RateP95", s.RateP95, 9e6, 1e-3)
	mean := 21.0 / 4
	within(t, "RateCV", s.RateCV, math.Sqrt((64+16+81)/4.0-mean*mean)/mean, 1e-9)
	within(t, "EmptyFraction", s.EmptyFraction, 0.25, 0)
	if s.LongestGap != 160*time.Millisecond || s.Outages != 1 {
		t.Errorf("got a gap of %v, %d outages, want 160ms, 1", s.LongestGap, s.Outages)
	}
}

// TestStatsQuantiles compares with sorting, over rates of all sizes.
func TestStatsQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{1, 2, 19, 20, 21, 1000} {
		var all []float64
		var states []State
		for range n {
			v := BitRate(math.Exp2(r.Float64() * math.Log2(float64(MaxRate))))
			all = append(all, float64(v))
			states = append(states, State{Rate: v, Carrier: true})
		}
		s := collect(series(100*time.Millisecond, states...), 0)[0]
		slices.Sort(all)
		for _, q := range []struct {
			p   int
			got float64
		}{{5, s.RateP5}, {50, s.RateP50}, {95, s.RateP95}} {
			within(t, "quantile", q.got, all[max((n*q.p+99)/100, 1)-1], 1e-3)
		}
		if s.RateMin != all[0] || s.RateMax != all[n-1] {
			t.Errorf("min and max got %v %v, want %v %v", s.RateMin, s.RateMax, all[0], all[n-1])
		}
	}
}

// bruteLag computes the autocorrelation time of rates by its definition.
func bruteLag(x []float64) float64 {
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	acov := func(k int) (sum float64) {
		for i := 0; i+k < len(x); i++ {
			sum += (x[i] - mean) * (x[i+k] - mean)
		}
		return sum
	}
	c0, prev := acov(0), 1.0
	for k := 1; ; k++ {
		r := acov(k) / c0
		if r < 1/math.E {
			return float64(k-1) + (prev-1/math.E)/(prev-r)
		}
		prev = r
	}
}

func TestStatsAutocorrelation(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, n := range []int{2, 3, 10, 1000} {
		var x []float64
		v := 0.0
		for range n {
			v = 0.9*v + r.NormFloat64()
			x = append(x, math.Round(1e6*(20+v))/1e6)
		}
		s := collect(series(100*time.Millisecond, rates(x...)...), 0)[0]
		within(t, "AutocorrelationTime", s.AutocorrelationTime.Seconds()/0.1, bruteLag(x), 1e-5)
	}
	if s := collect(series(time.Second, rates(5, 5, 5)...), 0)[0]; s.AutocorrelationTime != 0 || s.RateCV != 0 {
		t.Errorf("constant rate: got %v, %v, want 0, 0", s.AutocorrelationTime, s.RateCV)
	}
}

// TestStatsAutoregressive compares with the closed form: an AR(1) series with
// coefficient a has the autocorrelation a^k, which falls below 1/e at
// −1/ln a. By Bartlett's formula the estimate from 2^18 bins has a standard
// deviation of 1.3 %; 5 % are passed in 1 of 10^4 seeds, and this one is fixed.
func TestStatsAutoregressive(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	const a = 0.9
	var states []State
	v := r.NormFloat64() / math.Sqrt(1-a*a)
	for range 1 << 18 {
		states = append(states, State{Rate: BitRate(50e6 + 1e6*v), Carrier: true})
		v = a*v + r.NormFloat64()
	}
	s := collect(series(100*time.Millisecond, states...), 0)[0]
	within(t, "AutocorrelationTime", s.AutocorrelationTime.Seconds()/0.1, -1/math.Log(a), 0.05)
	within(t, "RateMean", s.RateMean, 50e6, 0.01)
	within(t, "RateCV", s.RateCV, 1e6/math.Sqrt(1-a*a)/50e6, 0.03)
}

func TestStatsDelayLossLabels(t *testing.T) {
	st := func(delay, jitter time.Duration, loss Prob, label string) State {
		return State{Rate: Mbit, Carrier: true, Delay: delay, Jitter: jitter, Loss: loss, Label: label}
	}
	chain := st(0, 0, 0, "chain")
	chain.GE = GE{P: 0.1, R: 0.4, LossBad: 1} // stationary loss 0.2, mean burst 2.5
	endless := st(0, 0, 0, "chain")
	endless.GE = GE{P: 0.1, R: 0, LossBad: 1}
	tl := series(time.Second,
		st(10*time.Millisecond, 2*time.Millisecond, 0, "good"),
		st(30*time.Millisecond, 0, 0.5, "bad"), // burst
		st(30*time.Millisecond, 0, 0.6, "bad"), // of 2 s
		st(10*time.Millisecond, 0, 0, "good"),
		chain, // loss 0.2
		st(20*time.Millisecond, 0, 0, "good"),
		st(20*time.Millisecond, 0, 1, "out"), // burst of 1 s, outage
		st(20*time.Millisecond, 0, 0.01, "good"),
		endless, // burst of 1 s, outage
		st(20*time.Millisecond, 0, 0, "good"),
	)
	s := collect(tl, 0)[0]
	if got, want := s.DelayMean, 16*time.Millisecond; got != want {
		t.Errorf("DelayMean got %v, want %v", got, want)
	}
	if s.DelayMin != 0 || s.DelayMax != 30*time.Millisecond || s.JitterMean != 200*time.Microsecond {
		t.Errorf("got delay %v to %v, jitter %v", s.DelayMin, s.DelayMax, s.JitterMean)
	}
	mean := (0.5 + 0.6 + 0.2 + 1 + 0.01 + 1) / 10
	within(t, "LossMean", s.LossMean, mean, 1e-12)
	if got, want := s.LossBurstMean, 4*time.Second/3; (got - want).Abs() > 1 { // mean 0.331: 2 s, 1 s, 1 s
		t.Errorf("LossBurstMean got %v, want %v", got, want)
	}
	within(t, "GEBurstPackets", s.GEBurstPackets, 2.5, 1e-12)
	if s.Outages != 2 || s.LongestGap != 0 {
		t.Errorf("got %d outages, gap %v, want 2, 0", s.Outages, s.LongestGap)
	}
	want := []LabelShare{{"good", 0.5}, {"bad", 0.2}, {"chain", 0.2}, {"out", 0.1}}
	if !slices.Equal(s.Labels, want) {
		t.Errorf("Labels got %v, want %v", s.Labels, want)
	}
}

// TestStatsBursts compares with a second pass over random losses.
func TestStatsBursts(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	levels := []Prob{0, 0.001, 0.01, 0.02, 0.1, 0.5, 1}
	for range 50 {
		var states []State
		sum := 0.0
		for range 2 + r.IntN(60) {
			states = append(states, State{Rate: 1, Carrier: true, Loss: levels[r.IntN(len(levels))]})
			sum += float64(states[len(states)-1].Loss)
		}
		mean := sum / float64(len(states))
		long, bursts, in := 0, 0, false
		for _, s := range states {
			above := float64(s.Loss) > mean
			if above {
				long++
				if !in {
					bursts++
				}
			}
			in = above
		}
		s := collect(series(time.Second, states...), 0)[0]
		want := 0.0
		if bursts > 0 {
			want = float64(long) / float64(bursts)
		}
		within(t, "LossBurstMean", s.LossBurstMean.Seconds(), want, 1e-8)
	}
}

func TestStatsBounds(t *testing.T) {
	// A year in two steps, more labels and losses than are kept, no steps.
	tl := &Timeline{Meta: Meta{Duration: 365 * 24 * time.Hour, Links: []Link{{Name: "a", Up: true, Down: true}}}}
	for i := range 5000 {
		tl.Steps = append(tl.Steps, Step{time.Duration(i) * time.Millisecond, "a", Up, State{
			Rate: 10 * Gbit, Carrier: true, Loss: Prob(float64(i) / 5000), Label: string(rune('Ā' + i)),
		}})
	}
	s := collect(tl, 0)
	if len(s) != 2 || s[0].Dir != "down" || s[0].Steps != 0 {
		t.Fatalf("got %v", s)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
	if got := len(s[1].Labels); got != maxLabels {
		t.Errorf("got %d labels, want %d", got, maxLabels)
	}
	total := s[1].OtherLabels
	for _, l := range s[1].Labels {
		total += l.Share
	}
	within(t, "sum of the label shares", total, 1, 1e-9)
	if got, want := s[1].CapacityBytes, int64(10*Gbit)/8*365*24*3600; got != want {
		t.Errorf("CapacityBytes got %d, want %d", got, want)
	}
	// Shorter than a bin: one bin.
	short := collect(series(time.Millisecond, rates(3)...), 0)[0]
	if short.Bins != 1 || short.RateP50 != 3e6 || short.RateMax != 3e6 {
		t.Errorf("short timeline: got %+v", short)
	}
}
