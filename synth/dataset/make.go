package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"linktape/trace"
)

// Phases that the progress of [Set.Make] names.
const (
	PhaseLook = "look at what is there"
	PhaseMake = "synth"
)

// errFull is why a run stops when the disk is full.
var errFull = errors.New("no space left on the disk")

// task is one tape: to be looked at, then to be made.
type task struct {
	scenario int
	seed     uint64
	asked    bool // false: it is only there, and must belong to the set
	make     bool
	replace  bool
}

// maker is a run of [Set.Make].
type maker struct {
	*Set
	progress func(phase string, fraction float64)

	mu     sync.Mutex
	report *Report
	mixed  []mixture // by scenario
	done   float64   // of total
	total  float64
}

// mixture is what does not belong to a scenario and stands in its folder.
type mixture struct {
	n     int
	seed  uint64 // the smallest
	first error
}

// Make makes the tapes that are not there. A tape that fails leaves the others to
// be made; see [Report]. When ctx ends, or the disk is full, what is being
// written is given up and what is whole stays. progress, which may be nil, is
// told the fraction of a phase that is done, by one goroutine at a time.
func (s *Set) Make(ctx context.Context, progress func(phase string, fraction float64)) *Report {
	m := &maker{Set: s, progress: progress, report: &Report{Dir: s.dir}, mixed: make([]mixture, len(s.scenarios))}
	r := m.report
	r.Failures = append([]Failure{}, s.failures...)
	for i := range r.Failures {
		r.Failures[i].order = -1
	}
	r.Failed = s.lost
	r.Scenarios, r.Warnings = []Summary{}, []string{} // for JSON
	for _, sc := range s.scenarios {
		r.Scenarios = append(r.Scenarios, Summary{Scenario: sc.name, Tapes: sc.seeds.Len()})
	}
	m.foreign(s.foreignTables())

	todo := m.look(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.write(ctx, cancel, todo)
	for _, sc := range s.scenarios {
		os.Remove(s.scenarioDir(sc)) // if it is empty
	}

	t := r.Total()
	r.Failed += t.Failed
	if r.Left = t.Tapes - t.Made - t.Kept - t.Failed; r.Left > 0 {
		r.Stop = context.Cause(ctx)
	}
	sortFailures(r.Failures)
	slices.Sort(r.Warnings)
	return r
}

// foreign warns of tables that a query over the data set would read too.
func (m *maker) foreign(paths []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, path := range paths {
		m.report.Warnings = append(m.report.Warnings, path+" is not of the data set, and a query over the folder reads it too: move it away")
	}
}

// parallel calls f for 0 to n−1 on all workers, until ctx ends.
func (m *maker) parallel(ctx context.Context, n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(m.opts.Jobs, n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}

// start begins a phase of the progress with a total amount of work.
func (m *maker) start(total float64) {
	m.mu.Lock()
	m.done, m.total = 0, total
	m.mu.Unlock()
}

// advance adds work that is done.
func (m *maker) advance(phase string, amount float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += amount
	if m.progress != nil {
		m.progress(phase, m.done/m.total)
	}
}

// fail records why a tape is not made.
func (m *maker) fail(t task, err error) {
	if other := (*otherError)(nil); errors.As(err, &other) {
		err = fmt.Errorf("%w; --force makes it again in its place, or choose another folder", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	seed := t.seed
	m.report.Failures = append(m.report.Failures, Failure{Scenario: m.scenarios[t.scenario].name, Seed: &seed, Err: err, order: t.scenario})
	m.report.Scenarios[t.scenario].Failed++
}

// add counts a tape that is there.
func (m *maker) add(t task, have *tape, made bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.report.Scenarios[t.scenario]
	if made {
		s.Made++
	} else {
		s.Kept++
	}
	s.Steps += have.steps
	s.Bytes += have.bytes
}

// look looks at what is there, and returns what is to be made.
func (m *maker) look(ctx context.Context) []task {
	var tasks []task
	for i, sc := range m.scenarios {
		for seed := range sc.seeds.All() {
			tasks = append(tasks, task{scenario: i, seed: seed, asked: true})
		}
		seeds, foreign, err := m.others(sc)
		if err != nil {
			m.mixed[i] = mixture{n: 1, first: err}
		}
		m.foreign(foreign)
		for _, seed := range seeds {
			tasks = append(tasks, task{scenario: i, seed: seed})
		}
	}
	m.start(float64(len(tasks)))
	m.parallel(ctx, len(tasks), func(i int) {
		m.lookAt(ctx, &tasks[i])
		m.advance(PhaseLook, 1)
	})
	if ctx.Err() != nil {
		return nil
	}
	todo := tasks[:0]
	for _, t := range tasks {
		if t.make && m.mixed[t.scenario].n == 0 {
			todo = append(todo, t)
		} else if t.make {
			m.report.Scenarios[t.scenario].Failed++
		}
	}
	for i, mix := range m.mixed {
		if mix.n > 0 {
			m.report.Failures = append(m.report.Failures, Failure{Scenario: m.scenarios[i].name, Err: m.mixtureError(i), order: i})
		}
	}
	return todo
}

func (m *maker) mixtureError(i int) error {
	mix := m.mixed[i]
	if other := (*otherError)(nil); !errors.As(mix.first, &other) {
		return mix.first
	}
	more := ""
	if mix.n > 1 {
		more = fmt.Sprintf(" (and %d more)", mix.n-1)
	}
	return fmt.Errorf("what seed %d has there%s would make a mixture, though it is not asked for: %w; choose another folder, move it away, or make its seed again too (--force)", mix.seed, more, mix.first)
}

// lookAt looks at what is there under the name of a tape.
func (m *maker) lookAt(ctx context.Context, t *task) {
	sc := m.scenarios[t.scenario]
	dir := m.tapeDir(sc, t.seed)
	foreign, err := clean(dir)
	m.foreign(foreign)
	var have *tape
	if err == nil {
		have, err = m.Set.look(ctx, sc, t.seed)
	}
	other := (*otherError)(nil)
	switch {
	case err != nil && ctx.Err() != nil:
	case !t.asked:
		if err != nil {
			m.mix(t, err)
		}
	case errors.As(err, &other) && m.opts.Force:
		t.make, t.replace = true, true
	case err != nil:
		m.fail(*t, err)
	case have != nil:
		m.add(*t, have, false)
	default:
		t.make = true
	}
}

func (m *maker) mix(t *task, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mix := &m.mixed[t.scenario]
	mix.n++
	if mix.first == nil || t.seed < mix.seed {
		mix.seed, mix.first = t.seed, err
	}
}

// write makes tapes. A full disk ends it.
func (m *maker) write(ctx context.Context, cancel context.CancelCauseFunc, todo []task) {
	total := 0.0
	for _, t := range todo {
		total += m.scenarios[t.scenario].weight
	}
	m.start(total)
	m.parallel(ctx, len(todo), func(i int) {
		t := todo[i]
		weight, seen := m.scenarios[t.scenario].weight, 0.0
		have, made, err := m.writeTape(ctx, t, func(fraction float64) {
			m.advance(PhaseMake, weight*(fraction-seen))
			seen = fraction
		})
		switch {
		case err == nil:
			m.add(t, have, made)
		case ctx.Err() != nil: // given up
		case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
			m.fail(t, err)
			cancel(errFull)
		default:
			m.fail(t, err)
		}
		m.advance(PhaseMake, weight*(1-seen))
	})
}

// takeFolder makes the folder of a tape and locks it. Another run that gives the
// tape up may remove the folder in between.
func takeFolder(dir string) (unlock func(), err error) {
	for range 10 {
		if err = os.MkdirAll(dir, 0o777); err == nil {
			unlock, err = lock(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return unlock, err
}

// writeTape makes a tape, unless another run has made it meanwhile.
func (m *maker) writeTape(ctx context.Context, t task, progress func(float64)) (_ *tape, made bool, err error) {
	sc := m.scenarios[t.scenario]
	dir := m.tapeDir(sc, t.seed)
	unlock, err := takeFolder(dir)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	defer func() {
		if err != nil {
			os.Remove(dir) // if it is empty
		}
	}()
	if !t.replace {
		if have, err := m.Set.look(ctx, sc, t.seed); have != nil || err != nil {
			return have, false, err
		}
	}
	chosen, _, err := m.withSeed(sc, t.seed)
	if err != nil {
		return nil, false, err
	}
	path := filepath.Join(dir, tapeName)
	w, err := trace.Create(path, chosen.Meta())
	if err != nil {
		return nil, false, err
	}
	defer w.Abort()
	have := &tape{}
	err = chosen.Synthesize(ctx, func(steps []trace.Step) error {
		have.steps += int64(len(steps))
		return w.Write(steps)
	}, progress)
	if err != nil {
		return nil, false, err
	}
	if err := w.Close(); err != nil {
		return nil, false, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, false, err
	}
	have.bytes = fi.Size()
	return have, true, nil
}
