package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"linktape/netsetup"
)

// Manifest says what is replayed, and how, before the first step: the file
// run.json of a run's folder.
type Manifest struct {
	Tape      string         `json:"tape"` // its name
	SHA256    string         `json:"tape_sha256"`
	Generator string         `json:"generator,omitempty"`
	Seed      uint64         `json:"seed"`
	Sources   []string       `json:"sources,omitempty"` // the files that it was imported from, by direction
	Length    time.Duration  `json:"tape_ns"`
	From      time.Duration  `json:"from_ns"`
	Window    time.Duration  `json:"window_ns"`
	Loop      bool           `json:"loop"`
	RatesOnly bool           `json:"rates_only"`
	Leave     string         `json:"leave"`
	Counters  time.Duration  `json:"counters_ns"`  // from one reading to the next; 0: none
	ReadBack  time.Duration  `json:"read_back_ns"` // the same
	Links     []ManifestLink `json:"links"`
	Epoch     time.Time      `json:"epoch"` // the wall clock at the window's first instant; zero: it did not come

	Version string `json:"version"` // of Linktape
	Go      string `json:"go"`
	Kernel  string `json:"kernel"`
	Host    string `json:"host"`
}

// ManifestLink is one direction that is played.
type ManifestLink struct {
	Link      string `json:"link"`
	Dir       string `json:"dir"`
	Shaper    string `json:"shaper,omitempty"`
	ShaperWhy string `json:"shaper_why,omitempty"`
	Nested    bool   `json:"nested,omitempty"` // path and queue are one: the kernel does not tell their drops apart
}

// nested are links that know how they are built.
type nested interface{ Nested(link string) bool }

// Nested reports whether a link has its path and its queue in one.
func (r onRun) Nested(link string) bool {
	for _, l := range r.Topology.Links {
		if l.Name == link {
			return l.Tree != netsetup.TreeSeparated
		}
	}
	return false
}

// manifest says what the player is to play.
func (p *Player) manifest() Manifest {
	m := Manifest{
		Tape: p.opts.Record.Tape, SHA256: p.sum.Tape, From: p.opts.From, Window: p.Window(), Loop: p.opts.Loop,
		RatesOnly: p.opts.RatesOnly, Leave: string(p.opts.Leave), Counters: p.opts.Record.Counters, ReadBack: p.opts.Record.ReadBack,
		Version: version(), Go: runtime.Version(), Kernel: kernelRelease(),
	}
	meta := p.sched.tape.Meta()
	m.Generator, m.Seed, m.Length = meta.Generator, meta.Seed, meta.Duration
	for _, s := range meta.Sources {
		m.Sources = append(m.Sources, fmt.Sprintf("%s.%s: %s (%s)", s.Link, s.Dir, s.File, s.Format))
	}
	m.Host, _ = os.Hostname() // no host has a say in what is applied
	for _, ld := range p.dirs {
		l := ManifestLink{Link: ld.Link, Dir: ld.Dir.String()}
		l.Shaper, l.ShaperWhy = shaperOf(p.links, ld)
		if n, ok := p.links.(nested); ok {
			l.Nested = n.Nested(ld.Link)
		}
		m.Links = append(m.Links, l)
	}
	return m
}

// version is the module's, with the revision that it was built from where that
// is known.
func version() string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := b.Main.Version
	for _, s := range b.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(v, s.Value[:min(len(s.Value), 12)]) {
			v += " " + s.Value
		}
	}
	return v
}

// kernelRelease is what uname -r says; "" where there is no Linux.
func kernelRelease() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// write puts the manifest in place at once.
func (m *Manifest) write(dir string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, ManifestFile)
	if err := os.WriteFile(file+".new", append(b, '\n'), 0o666); err != nil {
		return errors.Join(err, remove(file+".new"))
	}
	return os.Rename(file+".new", file)
}

func remove(file string) error {
	if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ReadManifest reads what a run's folder says was replayed.
func ReadManifest(file string) (*Manifest, error) { return readJSON[Manifest](file) }

// ReadSummary reads the summary of a run's folder. There is none where the replay
// was killed.
func ReadSummary(file string) (*Summary, error) { return readJSON[Summary](file) }

func readJSON[T any](file string) (*T, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return v, nil
}
