//go:build !linux

package netsetup

import (
	"context"
	"fmt"
	"runtime"

	"linktape/trace"
)

func errSystem() error {
	return fmt.Errorf("%w: links need Linux, this is %s", ErrNotSupported, runtime.GOOS)
}

// Rootless fails: links need Linux.
func Rootless([]string) (int, error) { return 0, errSystem() }

// EnterRootless fails: links need Linux.
func EnterRootless() error { return errSystem() }

// RunAsInit fails: links need Linux.
func RunAsInit([]string, []string) (int, error) { return 0, errSystem() }

// Watcher reads the counters of a run's links; only Linux has any.
type Watcher struct{}

// Watch fails: links need Linux.
func Watch(string) (*Watcher, error) { return nil, errSystem() }

// Close does nothing.
func (*Watcher) Close() error { return nil }

// Gone is true.
func (*Watcher) Gone() bool { return true }

// Sample fails: links need Linux.
func (*Watcher) Sample() ([]Sample, error) { return nil, errSystem() }

// Run is a run that is opened for change; only Linux has any.
type Run struct {
	Name     string
	Topology *Topology
}

// ExactEndpoint is a direction of a link with [ShaperEDT]; only Linux has any.
type ExactEndpoint struct{ *Endpoint }

// Exact is false.
func (*Run) Exact(string) bool { return false }

// ExactEndpoint fails: links need Linux.
func (*Run) ExactEndpoint(trace.LinkDir) (*ExactEndpoint, error) { return nil, errSystem() }

// Within fails: links need Linux.
func (*Run) Within(string, func() error) error { return errSystem() }

// Probe fails: links need Linux.
func Probe() (Features, []Feature, error) { return Features{}, nil, errSystem() }

// Examine fails: links need Linux.
func Examine() (*Examination, error) { return nil, errSystem() }

// Up fails: links need Linux.
func Up(context.Context, *Plan, func(float64)) error { return errSystem() }

// Down fails: links need Linux.
func Down(string, bool) error { return errSystem() }

// DownAll fails: links need Linux.
func DownAll(bool) error { return errSystem() }

// GC fails: links need Linux.
func GC(bool, bool) ([]Garbage, error) { return nil, errSystem() }

// Status fails: links need Linux.
func Status(string) (*RunStatus, error) { return nil, errSystem() }

// Runs fails: links need Linux.
func Runs() ([]string, error) { return nil, errSystem() }

// Exec fails: links need Linux.
func Exec(string, string, []string, []string) error { return errSystem() }

// Open fails: links need Linux.
func Open(string) (*Run, error) { return nil, errSystem() }

// Close does nothing.
func (*Run) Close() error { return nil }

// Endpoint fails: links need Linux.
func (*Run) Endpoint(trace.LinkDir) (*Endpoint, error) { return nil, errSystem() }

// Initial is the zero state.
func (*Run) Initial(trace.LinkDir) trace.State { return trace.State{} }

// Before is the zero state.
func (*Run) Before(trace.LinkDir) (trace.State, bool) { return trace.State{}, false }

// BeginReplay fails: links need Linux.
func (*Run) BeginReplay() error { return errSystem() }

// EndReplay fails: links need Linux.
func (*Run) EndReplay(map[trace.LinkDir]trace.State) error { return errSystem() }

// Arrivals waits for packets; only Linux has any.
type Arrivals struct{}

// Arrivals fails: links need Linux.
func (*Run) Arrivals([]string) (*Arrivals, error) { return nil, errSystem() }

// Next fails: links need Linux.
func (*Arrivals) Next(context.Context) (Arrival, error) { return Arrival{}, errSystem() }

// Close does nothing.
func (*Arrivals) Close() error { return nil }

// Meter reads a run's links beside a replay; only Linux has any.
type Meter struct{}

// Meter fails: links need Linux.
func (*Run) Meter([]trace.LinkDir) (*Meter, error) { return nil, errSystem() }

// Links is 0.
func (*Meter) Links() int { return 0 }

// Read fails: links need Linux.
func (*Meter) Read(int, bool, func(int, *Reading)) error { return errSystem() }

// Close does nothing.
func (*Meter) Close() error { return nil }

// CounterReader reads the counters of interfaces; only Linux has any that it
// knows.
type CounterReader struct{}

// OpenCounters fails: counters need Linux.
func OpenCounters() (*CounterReader, error) { return nil, errSystem() }

// Close does nothing.
func (*CounterReader) Close() error { return nil }

// Read fails: counters need Linux.
func (*CounterReader) Read([]string) ([]DeviceCounters, error) { return nil, errSystem() }

// Within fails: links need Linux.
func Within(string, string, func() error) error { return errSystem() }
