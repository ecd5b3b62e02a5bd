package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"

	"linktape/synth"
	"linktape/trace"
)

// tapeName is the file name of each tape.
const tapeName = "tape.parquet"

var errBusy = errors.New("another run is writing this tape; run again when it is done")

// Source is the file of a scenario.
type Source struct {
	Name string // for messages
	Data []byte
	Err  error // why there are no data; a failure like a fault in them
}

// Options are what [New] takes beside the scenarios.
type Options struct {
	Synth  synth.Options // for every scenario; Seed is not used
	Seeds  Seeds         // empty: the seed of each scenario
	Jobs   int           // tapes made at the same time; 0: one for each processor
	Verify bool          // read what is there to its end before it is kept
	Force  bool          // replace what is there and differs
}

// Set is a data set to be made.
type Set struct {
	dir       string
	opts      Options
	scenarios []*scenario
	failures  []Failure // of sources
	lost      int64     // tapes of sources that failed
	warnings  []string
}

// scenario is one scenario of a set.
type scenario struct {
	name   string
	file   string
	data   []byte
	opts   synth.Options
	own    *synth.Scenario // with the seed of its own
	seeds  Seeds
	weight float64 // of a tape, for progress: about its steps
}

// New reads scenarios for a data set in the folder dir. A scenario with faults is
// a [Failure] in what [Set.Make] reports. The error is for what cannot be meant:
// two scenarios of one name, too many tapes, a dir that is a file.
func New(dir string, sources []Source, opts Options) (*Set, error) {
	if opts.Jobs <= 0 {
		opts.Jobs = runtime.GOMAXPROCS(0)
	}
	s := &Set{dir: dir, opts: opts}
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() || errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%s is a file or lies below one: name a folder for the data set", dir)
	}
	perSource := int64(1)
	if len(opts.Seeds) > 0 {
		perSource = opts.Seeds.Len()
	}
	if n := int64(len(sources)); n > 0 && perSource > MaxTapes/n {
		return nil, fmt.Errorf("%d scenarios with %d seeds each: at most %d tapes", n, perSource, MaxTapes)
	}
	files := make(map[string]string) // by name of the scenario
	for _, src := range sources {
		sc, err := s.read(src)
		if err != nil {
			s.failures = append(s.failures, Failure{Scenario: src.Name, Err: err})
			s.lost += perSource
			continue
		}
		if other, ok := files[sc.name]; ok {
			return nil, fmt.Errorf("%s and %s are both named %s: rename one (scenario: NAME), since tapes are kept by that name", other, src.Name, sc.name)
		}
		files[sc.name] = src.Name
		s.scenarios = append(s.scenarios, sc)
		for _, w := range sc.own.Warnings() {
			s.warnings = append(s.warnings, src.Name+": "+w)
		}
	}
	return s, nil
}

func (s *Set) read(src Source) (*scenario, error) {
	if src.Err != nil {
		return nil, src.Err
	}
	sc := &scenario{file: src.Name, data: src.Data, opts: s.opts.Synth, seeds: s.opts.Seeds}
	sc.opts.Seed = nil
	var err error
	if sc.own, err = synth.Parse(src.Name, src.Data, sc.opts); err != nil {
		return nil, err
	}
	if sc.name = sc.own.Name(); sc.name == "null" {
		return nil, fmt.Errorf("%s: scenario null: a query takes this name for no value: choose another", src.Name)
	}
	meta := sc.own.Meta()
	if len(sc.seeds) == 0 {
		if meta.Seed > MaxSeed {
			return nil, fmt.Errorf("%s: seed %d: above the largest seed of a data set, %d: choose others with --seeds", src.Name, meta.Seed, uint64(MaxSeed))
		}
		sc.seeds = Seeds{{meta.Seed, meta.Seed}}
	}
	sc.weight = float64(meta.Duration) / float64(sc.own.Step()) * float64(len(meta.Directions()))
	return sc, nil
}

// Warnings returns what is doubtful but usable about the scenarios, one line
// each.
func (s *Set) Warnings() []string { return s.warnings }

// Tapes returns how many tapes the set has, those of scenarios with faults
// included.
func (s *Set) Tapes() int64 {
	n := s.lost
	for _, sc := range s.scenarios {
		n += sc.seeds.Len()
	}
	return n
}

func (s *Set) scenarioDir(sc *scenario) string {
	return filepath.Join(s.dir, "scenario="+sc.name)
}

func (s *Set) tapeDir(sc *scenario, seed uint64) string {
	return filepath.Join(s.scenarioDir(sc), fmt.Sprintf("seed=%d", seed))
}

// withSeed returns the scenario whose tape a seed has, and others that differ
// from it in nothing but whether the seed is written into the text.
func (s *Set) withSeed(sc *scenario, seed uint64) (made *synth.Scenario, alike []*synth.Scenario, err error) {
	opts := sc.opts
	opts.Seed = &seed
	written, err := synth.Parse(sc.file, sc.data, opts)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case sc.own.Meta().Seed != seed:
		return written, nil, nil
	case len(s.opts.Seeds) == 0:
		return sc.own, []*synth.Scenario{written}, nil
	}
	return written, []*synth.Scenario{sc.own}, nil
}

// differs says how the tape that is there differs from the one asked for; it is
// empty where it is the same.
func differs(have, want trace.Meta) string {
	var out []string
	if have.Generator != want.Generator {
		out = append(out, fmt.Sprintf("it was made by %.40q, not %q", have.Generator, want.Generator))
	}
	if len(have.Sources) > 0 {
		out = append(out, fmt.Sprintf("it was imported, from %.80q", have.Sources[0].File))
	}
	if have.Seed != want.Seed {
		out = append(out, fmt.Sprintf("it has the seed %d", have.Seed))
	}
	if have.Scenario != want.Scenario {
		out = append(out, "its scenario "+differingLine(have.Scenario, want.Scenario))
	}
	if out == nil && (have.Duration != want.Duration || !reflect.DeepEqual(have.Links, want.Links)) {
		out = append(out, "its duration or its links are not those of the scenario that it holds")
	}
	return strings.Join(out, "; ")
}

// differingLine describes the first line in which two texts differ.
func differingLine(have, want string) string {
	h, w := strings.Split(have, "\n"), strings.Split(want, "\n")
	i := 0
	for i < len(h) && i < len(w) && h[i] == w[i] {
		i++
	}
	line := func(lines []string) string {
		if i >= len(lines) || i == len(lines)-1 && lines[i] == "" {
			return "nothing"
		}
		return fmt.Sprintf("%.80q", strings.TrimSpace(lines[i]))
	}
	return fmt.Sprintf("has %s in line %d, where %s is asked for", line(h), i+1, line(w))
}
