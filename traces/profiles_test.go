package traces_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"linktape/internal/conf"
	"linktape/synth"
	"linktape/trace"
	"linktape/traces"
)

// profile is a row of the table that the profiles are made from. Rates are in
// Mbit/s, times in the unit that the name ends in. The files are compared with
// this table, which is written down a second time here on purpose.
type profile struct {
	name, link            string
	down, up, cv, tauS    float64
	floor                 float64
	rttMS, rttSDMS        float64
	ge                    trace.GE
	outages               float64 // a minute
	medianS, p90S         float64 // of an outage; p90S 0: all last medianS
	queueMS               float64
	handovers, ho5, ho95  float64 // a minute; s, the 5th and 95th percentile of the interruption
	slotMinMS, slotMaxMS  float64
	slotPackets           int64
	atEpochs, delayStepMS float64
}

func profiles() []profile {
	return []profile{
		{name: "lte-stationary", link: "lte", down: 16, up: 10, cv: .25, tauS: 0.8, floor: 1, rttMS: 50, rttSDMS: 5,
			ge: trace.GE{P: .0001, R: .5, LossBad: 1}, outages: 0.1, medianS: 0.5, p90S: 2, queueMS: 400, slotMinMS: 1, slotMaxMS: 10},
		{name: "lte-walking", link: "lte", down: 12, up: 6, cv: .5, tauS: 6, floor: .5, rttMS: 60, rttSDMS: 10,
			ge: trace.GE{P: .0005, R: .33, LossBad: 1}, outages: 0.25, medianS: 1, p90S: 2, queueMS: 600, slotMinMS: 1, slotMaxMS: 10},
		{name: "lte-driving", link: "lte", down: 10, up: 4, cv: .75, tauS: 7, floor: .2, rttMS: 70, rttSDMS: 15,
			ge: trace.GE{P: .001, R: .25, LossBad: 1, LossGood: .0002}, outages: 1.2, medianS: 0.4, p90S: 1, queueMS: 800,
			handovers: 1, ho5: .03, ho95: .08, slotMinMS: 1, slotMaxMS: 10},
		{name: "lte-highway-poor", link: "lte", down: 5, up: 1.2, cv: 1, tauS: 5, floor: .1, rttMS: 90, rttSDMS: 40,
			ge: trace.GE{P: .003, R: .2, LossBad: 1, LossGood: .0005}, outages: 4, medianS: 0.9, p90S: 2, queueMS: 1500,
			handovers: 2, ho5: .03, ho95: .08, slotMinMS: 5, slotMaxMS: 50},
		{name: "hspa-fallback", link: "hspa", down: 2, up: 1, cv: .6, tauS: 8, floor: .05, rttMS: 125, rttSDMS: 60,
			ge: trace.GE{P: .002, R: .2, LossBad: 1}, outages: 5, medianS: 0.6, p90S: 2, queueMS: 2000, slotMinMS: 5, slotMaxMS: 50},
		{name: "5g-sub6-static", link: "nr", down: 75, up: 25, cv: .6, tauS: 10, floor: 3, rttMS: 40, rttSDMS: 4,
			ge: trace.GE{P: .0001, R: .5, LossBad: 1}, outages: 0.1, medianS: 0.3, queueMS: 300},
		{name: "5g-sub6-driving", link: "nr", down: 50, up: 12, cv: 1.2, tauS: 8, floor: 1, rttMS: 50, rttSDMS: 12,
			ge: trace.GE{P: .0007, R: .3, LossBad: 1}, outages: 1.5, medianS: 0.2, p90S: 0.6, queueMS: 600,
			handovers: 1.53, ho5: .05, ho95: .15},
		{name: "5g-mmwave-walking", link: "nr", down: 550, up: 60, cv: .82, tauS: 18, floor: 5, rttMS: 30, rttSDMS: 6,
			ge: trace.GE{P: .0003, R: .1, LossBad: 1}, outages: 1.35, medianS: 2, p90S: 5, queueMS: 100},
		{name: "starlink", link: "sat", down: 120, up: 12, cv: .35, tauS: 8, floor: 1, rttMS: 50, rttSDMS: 10,
			ge: trace.GE{P: .0005, R: .05, LossBad: .8, LossGood: .0005}, queueMS: 150,
			atEpochs: 4, medianS: 0.1, p90S: 0.5, delayStepMS: 4},
		{name: "geo-sat", link: "sat", down: 40, up: 6, cv: .15, tauS: 30, floor: 2, rttMS: 620, rttSDMS: 15,
			ge: trace.GE{P: .0002, R: .3, LossBad: 1}, outages: 0.05, medianS: 2, queueMS: 1000},
		{name: "wifi-good", link: "wifi", down: 60, up: 60, cv: .3, tauS: 0.5, floor: 5, rttMS: 6, rttSDMS: 3,
			ge: trace.GE{P: .0001, R: .9, LossBad: 1}, queueMS: 100, slotMinMS: 0.8, slotMaxMS: 10, slotPackets: 42},
		{name: "wifi-venue", link: "wifi", down: 12, up: 8, cv: .8, tauS: 1, floor: .2, rttMS: 25, rttSDMS: 20,
			ge: trace.GE{P: .006, R: .2, LossBad: 1, LossGood: .001}, outages: 1, medianS: 0.5, queueMS: 300,
			slotMinMS: 0.8, slotMaxMS: 10, slotPackets: 42},
	}
}

// Standard normal deviates below which 90 and 95 in 100 fall.
const z90, z95 = 1.2815515655446004, 1.6448536269514722

// logNormalMean is the mean of a duration with this median and 90th percentile.
func logNormalMean(median, p90 float64) float64 {
	if p90 == 0 {
		return median
	}
	sigma := math.Log(p90/median) / z90
	return median * math.Exp(sigma*sigma/2)
}

// relative verifies a value within a share of what is wanted.
func relative(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	if !(math.Abs(got-want) <= share*math.Abs(want)+1e-12) {
		t.Errorf("%s: got %.6g, want %.6g within %.3g %%", what, got, want, 100*share)
	}
}

// walk follows keys into a file.
func walk(t *testing.T, n conf.Node, keys ...string) conf.Node {
	t.Helper()
	for _, k := range keys {
		var ok bool
		if n, ok = n.Map().Get(k); !ok {
			t.Fatalf("no key %s of %v", k, keys)
		}
	}
	return n
}

// Every profile is in the table, and its file has the parameters of its row.
func TestProfileParameters(t *testing.T) {
	n := 0
	for _, e := range traces.List() {
		if e.Group == "profiles" {
			n++
		}
	}
	if n != len(profiles()) {
		t.Errorf("%d profiles in the library, %d in the table", n, len(profiles()))
	}
	for _, p := range profiles() {
		t.Run(p.name, func(t *testing.T) {
			data, err := traces.Get(p.name)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := conf.Parse(p.name, data)
			if err != nil {
				t.Fatal(err)
			}
			link := walk(t, doc.Root(), "links", p.link)
			has := func(key string) bool { _, ok := link.Map().Get(key); return ok }
			seconds := func(n conf.Node) float64 { return n.Duration().Seconds() }
			const exact, rounded = 0, 0.002
			relative(t, "queue", seconds(walk(t, link, "queue")), p.queueMS/1e3, exact)
			for dir, mean := range map[string]float64{"up": p.up, "down": p.down} {
				rate := walk(t, link, dir, "rate")
				model := "ou"
				if p.cv > 0.4 {
					model = "log-ou"
				}
				if got := walk(t, rate, "model").String(); got != model {
					t.Errorf("%s: model %s, want %s", dir, got, model)
				}
				relative(t, dir+" mean", float64(walk(t, rate, "mean").Rate()), mean*1e6, exact)
				relative(t, dir+" cv", walk(t, rate, "cv").Float(), p.cv, exact)
				relative(t, dir+" tau", seconds(walk(t, rate, "tau")), p.tauS, exact)
				relative(t, dir+" floor", float64(walk(t, rate, "floor").Rate()), p.floor*1e6, exact)
				if noise := walk(t, rate, "noise").Float(); noise < 0.2 || noise > 0.55 {
					t.Errorf("%s: noise %v, want 0.2 to 0.55", dir, noise)
				}
				delay := walk(t, link, dir, "delay")
				relative(t, dir+" delay", seconds(walk(t, delay, "mean")), p.rttMS/2e3, exact)
				// Two independent directions and a step that both have add up to the RTT.
				sigma := seconds(walk(t, delay, "sigma")) * 1e3
				relative(t, dir+" spread of the RTT", math.Sqrt(2*sigma*sigma+4*p.delayStepMS*p.delayStepMS), p.rttSDMS, rounded)
				loss := walk(t, link, dir, "loss")
				got := trace.GE{P: walk(t, loss, "p").Prob(), R: walk(t, loss, "r").Prob(), LossBad: walk(t, loss, "loss_bad").Prob(), LossGood: walk(t, loss, "loss_good").Prob()}
				if got != p.ge {
					t.Errorf("%s: got chain %+v, want %+v", dir, got, p.ge)
				}
			}
			if has("outages") != (p.outages > 0) {
				t.Errorf("outages: got %v, want %v", has("outages"), p.outages > 0)
			}
			distribution := func(n conf.Node, median, p90 float64) {
				t.Helper()
				if p90 == 0 {
					relative(t, "duration", seconds(n), median, exact)
					return
				}
				relative(t, "median", seconds(walk(t, n, "median")), median, rounded)
				relative(t, "p90", seconds(walk(t, n, "p90")), p90, rounded)
			}
			if p.outages > 0 && has("outages") {
				list := walk(t, link, "outages").List()
				if len(list) != 1 {
					t.Fatalf("%d kinds of outages, want 1", len(list))
				}
				relative(t, "every", seconds(walk(t, list[0], "every")), 60/p.outages-logNormalMean(p.medianS, p.p90S), rounded)
				distribution(walk(t, list[0], "duration"), p.medianS, p.p90S)
			}
			if has("handovers") != (p.handovers > 0 || p.atEpochs > 0) {
				t.Errorf("handovers: got %v", has("handovers"))
			}
			switch {
			case !has("handovers"):
			case p.atEpochs > 0:
				if got := walk(t, link, "handovers", "arrivals").String(); got != "starlink" {
					t.Errorf("arrivals %s, want starlink", got)
				}
				distribution(walk(t, link, "handovers", "interruption"), p.medianS, p.p90S)
				relative(t, "delay_step", seconds(walk(t, link, "handovers", "delay_step")), p.delayStepMS/1e3, exact)
			default:
				n := walk(t, link, "handovers", "interruption")
				median, p90 := seconds(walk(t, n, "median")), seconds(walk(t, n, "p90"))
				sigma := math.Log(p90/median) / z90
				relative(t, "5th percentile", median*math.Exp(-z95*sigma), p.ho5, 0.02)
				relative(t, "95th percentile", median*math.Exp(z95*sigma), p.ho95, 0.02)
				relative(t, "every", seconds(walk(t, link, "handovers", "every")), 60/p.handovers-logNormalMean(median, p90), rounded)
			}
			if has("slot") != (p.slotMaxMS > 0) {
				t.Errorf("slot: got %v, want %v", has("slot"), p.slotMaxMS > 0)
			} else if has("slot") {
				m := walk(t, link, "slot").Map()
				packets, _ := m.Get("packets")
				if got := packets.Int(); got != p.slotPackets {
					t.Errorf("slot of %d packets, want %d", got, p.slotPackets)
				}
				relative(t, "slot's min", seconds(m.Require("min")), p.slotMinMS/1e3, exact)
				relative(t, "slot's max", seconds(m.Require("max")), p.slotMaxMS/1e3, exact)
				// What a slot holds is not less than the link's peaks.
				if p.slotPackets > 0 {
					most := float64(p.slotPackets) * 1500 * 8 / ((p.slotMinMS + p.slotMaxMS) / 2e3)
					for _, dir := range []string{"up", "down"} {
						if got := float64(walk(t, link, dir, "rate", "ceiling").Rate()); got > most {
							t.Errorf("%s: up to %.3g bit/s, and the slot passes %.3g", dir, got, most)
						}
					}
				}
			}
			if err := doc.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Six hours of each profile have the statistics of its row. Of a mean, five
// standard errors and what floor and ceiling may shift are tolerated: among 100
// comparisons, one fails by chance with a probability of less than 10^-4. The
// seed is fixed.
func TestProfileStatistics(t *testing.T) {
	if testing.Short() {
		t.Skip("six hours of every profile: left out with -short")
	}
	const (
		seed      = 20
		hours     = 6
		step      = 0.1
		tolerance = 5.0
		clipped   = 0.006 // of a mean
	)
	for _, p := range profiles() {
		t.Run(p.name, func(t *testing.T) {
			s := uint64(seed)
			sc := parse(t, p.name, synth.Options{Seed: &s, Duration: hours * time.Hour})
			m := measure(t, sc)
			noise := 0.2 // the least, which gives the largest standard error
			for dir, want := range map[trace.Direction]float64{trace.Up: p.up, trace.Down: p.down} {
				x := &m[dir]
				// The sum of autocorrelations of a log-OU is at most that of its OU.
				se := p.cv * want * math.Sqrt(((1-noise)*2*p.tauS+noise*step)/x.seconds)
				got := x.rate / x.seconds / 1e6
				t.Logf("%v: mean rate %.4g Mbit/s, row %.4g, standard error %.2g", dir, got, want, se)
				if math.Abs(got-want) > tolerance*se+clipped*want {
					t.Errorf("%v: mean rate %.5g Mbit/s, want %.5g ± %.2g", dir, got, want, tolerance*se+clipped*want)
				}
				cv := math.Sqrt(x.rate2/x.seconds-x.rate/x.seconds*x.rate/x.seconds) / (x.rate / x.seconds)
				t.Logf("%v: cv %.3g, row %.3g", dir, cv, p.cv)
				relative(t, "cv", cv, p.cv, 0.15)
				if got := x.chain; got != p.ge {
					t.Errorf("%v: the tape has chain %+v, want %+v", dir, got, p.ge)
				}
				// Outages and handovers come as often and last as long as the row says.
				minutes := 60.0 * hours
				wantOutages := p.outages * minutes
				t.Logf("%v: %.3g outages a minute, row %.3g; %.3g handovers a minute", dir, float64(len(x.outages))/minutes, p.outages, float64(x.handovers)/minutes)
				if math.Abs(float64(len(x.outages))-wantOutages) > tolerance*math.Sqrt(wantOutages)+0.5 {
					t.Errorf("%v: %d outages, want %.1f ± %.1f", dir, len(x.outages), wantOutages, tolerance*math.Sqrt(wantOutages))
				}
				wantHandovers := (p.handovers + p.atEpochs) * minutes
				// An outage that covers one hides it, one that cuts one makes two of it.
				hidden := wantHandovers * 0.15
				if p.atEpochs > 0 {
					hidden = 0
				}
				if math.Abs(float64(x.handovers)-wantHandovers) > tolerance*math.Sqrt(wantHandovers)+hidden+0.5 {
					t.Errorf("%v: %d handovers, want %.1f", dir, x.handovers, wantHandovers)
				}
				if n := float64(len(x.outages)); n > 0 && p.p90S > 0 {
					short := 0.0
					for _, d := range x.outages {
						if d <= p.p90S+1e-6 {
							short++
						}
					}
					if se := math.Sqrt(0.9 * 0.1 / n); math.Abs(short/n-0.9) > tolerance*se {
						t.Errorf("%v: %.3g of the outages last up to %g s, want 0.9 ± %.2g", dir, short/n, p.p90S, tolerance*se)
					}
				}
			}
			lossMatches(t, m[trace.Up].chain)
			up, down := &m[trace.Up], &m[trace.Down]
			rtt := (up.delay/up.total + down.delay/down.total) * 1e3
			v := func(x *measured) float64 { return x.delay2/x.total - x.delay/x.total*x.delay/x.total }
			sd := math.Sqrt(v(up)+v(down)) * 1e3
			if p.delayStepMS > 0 { // both directions have it: its covariance counts twice
				sd = math.Sqrt(v(up)*1e6 + v(down)*1e6 + 2*p.delayStepMS*p.delayStepMS)
			}
			t.Logf("RTT %.4g ± %.3g ms, row %.4g ± %.3g", rtt, sd, p.rttMS, p.rttSDMS)
			relative(t, "mean RTT", rtt, p.rttMS, 0.02)
			relative(t, "spread of the RTT", sd, p.rttSDMS, 0.1)
		})
	}
}

// measured is what a direction did, in s, bit/s and their products.
type measured struct {
	seconds       float64 // outside of outages and handovers
	rate, rate2   float64
	total         float64
	delay, delay2 float64
	chain         trace.GE
	outages       []float64
	handovers     int
}

// measure integrates over the spans of both directions of the only link.
func measure(t *testing.T, sc *synth.Scenario) (out [2]measured) {
	t.Helper()
	var outage [2]float64
	var last [2]string
	sp := trace.NewSpanner(sc.Meta().Duration, func(s trace.Span) {
		m, d := &out[s.Dir], (s.To - s.From).Seconds()
		m.total += d
		delay := s.Delay.Seconds()
		m.delay += delay * d
		m.delay2 += delay * delay * d
		if s.Label == "outage" {
			outage[s.Dir] += d
		} else if outage[s.Dir] > 0 {
			m.outages, outage[s.Dir] = append(m.outages, outage[s.Dir]), 0
		}
		if s.Label == "handover" && last[s.Dir] != "handover" {
			m.handovers++
		}
		last[s.Dir] = s.Label
		if s.Label != "outage" && s.Label != "handover" {
			r := float64(s.Rate)
			m.seconds += d
			m.rate += r * d
			m.rate2 += r * r * d
			m.chain = s.GE
		}
	})
	err := sc.Synthesize(t.Context(), func(steps []trace.Step) error {
		for i := range steps {
			sp.Step(&steps[i])
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sp.Finish()
	return out
}

// lossMatches runs the tape's chain as the kernel does, and compares loss and
// bursts with π_B·loss_bad + π_G·loss_good, π_B = p/(p+r), and with the mean
// stay in the bad state, 1/r.
func lossMatches(t *testing.T, c trace.GE) {
	t.Helper()
	const packets = 4_000_000
	r := rand.New(rand.NewPCG(7, 7))
	lost, stays, inBad, bad := 0.0, 0.0, 0.0, false
	for range packets {
		if bad {
			bad = r.Float64() >= float64(c.R)
		} else if bad = r.Float64() < float64(c.P); bad {
			stays++
		}
		p := c.LossGood
		if bad {
			inBad++
			p = c.LossBad
		}
		if r.Float64() < float64(p) {
			lost++
		}
	}
	pB := float64(c.P) / (float64(c.P) + float64(c.R))
	want := pB*float64(c.LossBad) + (1-pB)*float64(c.LossGood)
	// The losses of a stay go together, and a geometric stay has twice the variance of
	// one that always lasts as long.
	se := want * math.Sqrt(2/stays+1/(want*packets))
	t.Logf("loss %.4g %%, row %.4g %%", 100*lost/packets, 100*want)
	if got := lost / packets; math.Abs(got-want) > 5*se {
		t.Errorf("loss %.4g, want %.4g ± %.2g", got, want, 5*se)
	}
	if got, want := inBad/stays, 1/float64(c.R); math.Abs(got-want) > 5*want/math.Sqrt(stays) {
		t.Errorf("bad for %.3g packets on average, want %.3g", got, want)
	}
}
