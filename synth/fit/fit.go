package fit

import (
	"context"
	"fmt"
	"math"
	"time"

	"linktape/trace"
)

// Options says how a timeline is read.
type Options struct {
	Bin       time.Duration // 0 = the median distance of a direction's steps; [DefaultBin] where that is below 10 ms or there are fewer than 16
	Outage    time.Duration // shortest outage that the tape does not label; 0 = [DefaultOutage]
	NoRegimes bool          // one process for each rate
}

// Report is what was estimated of a timeline.
type Report struct {
	Duration     time.Duration  `json:"duration_ns"`
	Directions   []*Direction   `json:"directions"`
	Correlations []*Correlation `json:"correlations,omitempty"`
	Warnings     []string       `json:"warnings,omitempty"`

	links []trace.Link
	seed  uint64 // of a lookalike; 0 = any
}

// Direction is what was estimated of one direction of a link. What could not be
// estimated is nil, and a warning of the report says why.
type Direction struct {
	Link    string        `json:"link"`
	Dir     string        `json:"dir"`
	Bin     time.Duration `json:"bin_ns"`
	Rate    *Process      `json:"rate"`
	Regimes *Regimes      `json:"regimes,omitempty"`
	Outages *Outages      `json:"outages,omitempty"`
	Loss    *Loss         `json:"loss"`
	Delay   *Delay        `json:"delay,omitempty"`
	Jitter  *Delay        `json:"jitter,omitempty"`

	ld   trace.LinkDir
	bin  time.Duration
	runs []run
}

// shortSpan is how many τ a series has at least; with less, mean and τ are
// hardly known.
const shortSpan = 20

// Fit estimates the processes of a timeline. Its time and memory grow with the
// number of bins.
func Fit(ctx context.Context, meta trace.Meta, steps Steps, opts Options) (*Report, error) {
	if opts.Outage == 0 {
		opts.Outage = DefaultOutage
	}
	rows, err := collect(meta, steps, opts)
	if err != nil {
		return nil, err
	}
	rep := &Report{Duration: meta.Duration, links: meta.Links}
	if meta.Scenario != "" {
		rep.seed = max(meta.Seed+1, 1)
	}
	for _, r := range rows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rep.Directions = append(rep.Directions, rep.direction(r, opts))
	}
	var normals []normalSeries
	for _, d := range rep.Directions {
		if d.Rate != nil && d.Rate.series != nil {
			normals = append(normals, d.normal())
		}
	}
	for i := range normals {
		for k := i + 1; k < len(normals); k++ {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			c, err := correlate(normals[i], normals[k])
			if err != nil {
				rep.warnf("no correlation: %v", err)
				continue
			}
			rep.Correlations = append(rep.Correlations, c)
		}
	}
	return rep, nil
}

func (rep *Report) warnf(format string, args ...any) {
	rep.Warnings = append(rep.Warnings, fmt.Sprintf(format, args...))
}

func (rep *Report) direction(r *row, opts Options) *Direction {
	d := &Direction{Link: r.ld.Link, Dir: r.ld.Dir.String(), Bin: r.bin, ld: r.ld, bin: r.bin, runs: r.outages}
	var err error
	if d.Rate, err = fitProcess(r.rate, nil, r.bin); err != nil {
		rep.warnf("%v: rate: %v", r.ld, err)
	} else if distinct(r.rate, maxRegimes) == nil {
		rep.shortOf(r.ld, "rate", d.Rate)
	}
	if !opts.NoRegimes && d.Rate != nil {
		if d.Regimes = labelledRegimes(r.rate, r.label, r.bin); d.Regimes == nil {
			d.Regimes = findRegimes(r.rate, d.Rate, r.bin)
		}
		if d.Regimes != nil {
			for _, g := range d.Regimes.Regimes {
				if g.Visits < 5 {
					rep.warnf("%v: regime %s was left only %d times: its dwell time is known roughly", r.ld, g.Name, g.Visits)
				}
			}
		}
	}
	if levels := distinct(r.rate, maxRegimes); d.Rate != nil && len(levels) > 1 {
		// Steps from one value to another are no such process.
		d.Rate = &Process{Model: Constant, Bin: r.bin, Mean: unknown(meanOf(r.rate)), Share: d.Rate.Share}
		if d.Regimes == nil {
			rep.warnf("%v: rate: only %d different values and too few changes between them: its mean is used", r.ld, len(levels))
		}
	}
	d.Outages = fitOutages(r.outages, r.duration, opts.Outage, r.grid)
	if o := d.Outages; o != nil && o.Duration == nil {
		rep.warnf("%v: outages that were seen whole: %d: the distribution of durations needs 3", r.ld, len(o.Durations))
	}
	d.Loss = fitLoss(r)
	if l := d.Loss; l != nil && (l.Model == "varying" || r.geTime > 0 && l.Model != "ge-packet") {
		rep.warnf("%v: loss: its course fits no process: its mean is used", r.ld)
	}
	for _, q := range []struct {
		name   string
		x, top []float64
		to     **Delay
	}{{"delay", r.delay, r.delayTop, &d.Delay}, {"jitter", r.jitter, nil, &d.Jitter}} {
		if *q.to, err = fitDelay(q.x, q.top, r.bin); err != nil {
			rep.warnf("%v: %s: %v", r.ld, q.name, err)
		} else if *q.to != nil {
			rep.shortOf(r.ld, q.name, (*q.to).Process)
		}
	}
	return d
}

// shortOf warns where a process was not seen for long enough.
func (rep *Report) shortOf(ld trace.LinkDir, what string, p *Process) {
	switch {
	case p.why != "":
		rep.warnf("%v: %s: %s; its mean is used", ld, what, p.why)
	case p.Model == Constant:
	case p.White:
		rep.warnf("%v: %s: bins of %v are all but independent: tau cannot be estimated; choose a shorter --bin, if the steps allow it", ld, what, p.Bin)
	case p.span() < shortSpan*p.Tau.Value:
		rep.warnf("%v: %s: %.3g s are only %.2g tau: below %d tau mean and tau are known roughly", ld, what, p.span(), p.span()/p.Tau.Value, shortSpan)
	}
}

// meanOf what is known.
func meanOf(x []float64) float64 {
	sum, n := 0.0, 0.0
	for _, v := range x {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	return sum / n
}
