package suite

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"linktape/trace"
)

// Change is what a run of a suite changes of all its cases: the build under test,
// first of all. Empty fields change nothing.
type Change struct {
	Stack     string   `json:"stack,omitempty"`
	Options   []string `json:"options,omitempty"` // of the stack, KEY=VALUE
	Sender    string   `json:"sender,omitempty"`  // of stack exec
	Receiver  string   `json:"receiver,omitempty"`
	Rate      string   `json:"rate,omitempty"`
	Buffer    string   `json:"buffer,omitempty"`
	Duration  string   `json:"duration,omitempty"`
	Links     string   `json:"links,omitempty"`
	Set       []string `json:"set,omitempty"`
	RatesOnly bool     `json:"rates_only,omitempty"`
}

// flags are those of trial run that make the change.
func (c *Change) flags() (out []string) {
	add := func(name, value string) {
		if value != "" {
			out = append(out, "--"+name, value)
		}
	}
	add("stack", c.Stack)
	for _, o := range c.Options {
		add("option", o)
	}
	add("sender", c.Sender)
	add("receiver", c.Receiver)
	add("rate", c.Rate)
	add("buffer", c.Buffer)
	add("duration", c.Duration)
	add("links", c.Links)
	for _, s := range c.Set {
		add("set", s)
	}
	if c.RatesOnly {
		out = append(out, "--rates-only")
	}
	return out
}

// Plan is what trials a suite runs, and how.
type Plan struct {
	Suite  *Suite
	Change Change
	Time   string // virtual or real
	Jobs   []Job
	Shard  Shard
}

// Job is one trial of a plan.
type Job struct {
	Case *Case
	Seed uint64 // of a tape: 0, its own
}

// String names a job for people.
func (j *Job) String() string {
	if j.Case.Tape {
		return j.Case.Name
	}
	return fmt.Sprintf("%s seed %d", j.Case.Name, j.Seed)
}

// dir is the job's folder in a suite's.
func (j *Job) dir() string { return runDir(j.Case.Name, j.Seed) }

// Length is how much of the tape a job plays, as far as it is known.
func (p *Plan) Length(j *Job) time.Duration {
	if d, err := time.ParseDuration(p.Change.Duration); err == nil && d > 0 {
		return d
	}
	return j.Case.Duration
}

// New makes a plan of a suite. Without seeds, those of the suite count. A case that
// plays a tape is run once.
func New(s *Suite, seeds []uint64, c Change, time string) (*Plan, error) {
	if len(seeds) > 0 {
		changed := *s
		changed.Seeds = seeds
		s = &changed
	}
	p := &Plan{Suite: s, Change: c, Time: time}
	var errs []error
	for i := range s.Cases {
		c := &s.Cases[i]
		if c.Tape {
			p.Jobs = append(p.Jobs, Job{Case: c})
			continue
		}
		for _, seed := range s.Seeds {
			p.Jobs = append(p.Jobs, Job{Case: c, Seed: seed})
		}
	}
	if c.Rate != "" {
		if _, err := trace.ParseBitRate(c.Rate); err != nil {
			errs = append(errs, err)
		}
	}
	return p, errors.Join(errs...)
}

// Shard is a part of a plan, the K-th of N from 1 on. The zero value is all of it.
type Shard struct{ K, N int }

// maxShards bounds the parts of a plan.
const maxShards = 10000

// ParseShard reads K/N.
func ParseShard(s string) (Shard, error) {
	k, n, ok := strings.Cut(s, "/")
	K, errK := strconv.Atoi(k)
	N, errN := strconv.Atoi(n)
	if !ok || errK != nil || errN != nil || N < 1 || N > maxShards || K < 1 || K > N {
		return Shard{}, fmt.Errorf("shard %q: write K/N, the K-th of N parts, such as 1/4", s)
	}
	return Shard{K, N}, nil
}

// String is K/N, or nothing for all of a plan.
func (s Shard) String() string {
	if s.N == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.K, s.N)
}

// Of returns the part of a plan. The same plan has the same parts on every machine,
// each trial is in one of them, and their trials are as long, as far as they can be:
// the longest first, each goes to the part that has the least so far.
func (s Shard) Of(p *Plan) *Plan {
	part := *p
	part.Shard = s
	if s.N == 0 {
		return &part
	}
	order := make([]int, len(p.Jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		la, lb := p.Length(&p.Jobs[a]), p.Length(&p.Jobs[b])
		return int(min(max(lb-la, -1), 1))
	})
	load := make([]time.Duration, s.N)
	var mine []int
	for _, i := range order {
		least := 0
		for k := range load {
			if load[k] < load[least] {
				least = k
			}
		}
		load[least] += max(p.Length(&p.Jobs[i]), 1)
		if least == s.K-1 {
			mine = append(mine, i)
		}
	}
	slices.Sort(mine)
	part.Jobs = nil
	for _, i := range mine {
		part.Jobs = append(part.Jobs, p.Jobs[i])
	}
	return &part
}
