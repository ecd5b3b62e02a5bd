package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linktape/synth"
	"linktape/trace"
	"linktape/trace/convert"
	"linktape/traces"
)

// scenario stands in for the field traces where there are none.
const scenario = "three-carrier-drive"

// source is where a tape comes from: a Mahimahi trace, or a link of the
// synthesized scenario.
type source struct {
	Name string // in tables
	File string // empty: synthesized
	link string // of the scenario
}

// wandering is a tape whose rate is an Ornstein–Uhlenbeck process, beside the field
// traces.
const wandering = `scenario: ou
duration: 1m
seed: 7
links:
  ou:
    up:
      rate: {model: ou, mean: 5Mbit, cv: 0.4, tau: 1s, floor: 100kbit}
`

// ou is the source of the tape of [wandering].
func ou() source { return source{Name: "OU", link: "ou"} }

// grained reports whether there is anything finer than steps in the source.
func (s source) grained() bool { return s.File != "" }

// fieldTraces are the traces that BASELINE's figures are of, by their carriers.
func fieldTraces() []source {
	return []source{
		{Name: "ATT", File: "ATT-LTE-driving-2016.up"},
		{Name: "Verizon", File: "Verizon-LTE-short.up"},
		{Name: "T-Mobile", File: "TMobile-LTE-short.up"},
	}
}

// sourcesIn finds the field traces in a directory; where it has none of them,
// the scenario's uplinks stand in and field is false.
func sourcesIn(dir string) (all []source, field bool, err error) {
	all = fieldTraces()
	var missing []string
	for i := range all {
		all[i].File = filepath.Join(dir, all[i].File)
		if _, err := os.Stat(all[i].File); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, all[i].File)
		} else if err != nil {
			return nil, false, err
		}
	}
	switch len(missing) {
	case 0:
		return append(all, ou()), true, nil
	case len(all):
		return []source{{Name: "att", link: "att"}, {Name: "verizon", link: "verizon"}, {Name: "tmobile", link: "tmobile"}, ou()}, false, nil
	}
	return nil, false, fmt.Errorf("there are some of the field traces, but not %s: add it, or name a directory without any", strings.Join(missing, ", "))
}

// sourceNamed is a source by what a cell's command line says of it: a file, or
// a link of the scenario.
func sourceNamed(s string) source {
	if strings.ContainsRune(s, filepath.Separator) || strings.HasSuffix(s, ".up") {
		return source{Name: filepath.Base(s), File: s}
	}
	if s == ou().link {
		return ou()
	}
	return source{Name: s, link: s}
}

// arg is what [sourceNamed] makes the source of again.
func (s source) arg() string {
	if s.File == "" {
		return s.link
	}
	return s.File
}

// tape makes a tape with one uplink, "a", of a step; duration 0 is the whole
// trace, and a minute of the scenario.
func (s source) tape(step, duration time.Duration) (*trace.Timeline, error) {
	tl, err := s.whole(step, duration)
	if err != nil {
		return nil, err
	}
	if duration > tl.Meta.Duration {
		return nil, fmt.Errorf("measure %v of %s: it lasts %v", duration, s.Name, tl.Meta.Duration)
	}
	if duration > 0 {
		tl.Meta.Duration = duration
		tl.Steps = slices.DeleteFunc(tl.Steps, func(s trace.Step) bool { return s.At >= duration })
	}
	return tl, tl.Check()
}

const link = "a"

func (s source) whole(step, duration time.Duration) (*trace.Timeline, error) {
	up := trace.LinkDir{Link: link, Dir: trace.Up}
	if s.File == "" {
		name, data := scenario, []byte(wandering)
		if s.link == ou().link {
			name = ou().link
		} else {
			var err error
			if data, err = traces.Get(scenario); err != nil {
				return nil, err
			}
		}
		if duration == 0 {
			duration = time.Minute
		}
		sc, err := synth.Parse(name, data, synth.Options{Step: step, Duration: duration})
		if err != nil {
			return nil, err
		}
		tl, err := sc.Timeline()
		if err != nil {
			return nil, err
		}
		var steps []trace.Step
		for _, x := range tl.Steps {
			if x.Link == s.link && x.Dir == trace.Up {
				x.Link = link
				x.State = trace.State{Rate: x.Rate, Carrier: x.Carrier, Label: x.Label}
				steps = append(steps, x)
			}
		}
		if len(steps) == 0 {
			return nil, fmt.Errorf("scenario %s has no uplink of %s", scenario, s.link)
		}
		tl.Steps = steps
		tl.Meta.Scenario = "" // it is one link of it, and its rates alone
		tl.Meta.Links = []trace.Link{{Name: link, Up: true}}
		return tl, nil
	}
	f, err := os.Open(s.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	options := convert.ImportOptions{Step: step}
	if step == grain {
		// At each millisecond's end, when its packets are counted, all have left.
		options.Opportunities, options.Interval = true, convert.IntervalStart
	}
	res, err := convert.Import("mahimahi", f, s.File, options)
	if err != nil {
		return nil, err
	}
	meta, steps, err := convert.Merge([]convert.Input{{LinkDir: up, Result: res}}, convert.MergeOptions{})
	if err != nil {
		return nil, err
	}
	tl := &trace.Timeline{Meta: meta, Steps: slices.Collect(steps)}
	if step == grain {
		// The first opportunities would be over before the source has begun.
		for i := range tl.Steps {
			if tl.Steps[i].At < time.Millisecond {
				tl.Steps[i].Rate = 0
			}
		}
	}
	return tl, nil
}
