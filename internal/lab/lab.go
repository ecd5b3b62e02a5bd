package lab

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// ErrNotSupported is returned where a lab cannot run at all.
var ErrNotSupported = errors.New("a lab needs Linux on amd64")

// Time says how time passes in a lab.
type Time string

// How time passes in a lab.
const (
	Virtual Time = "virtual" // it moves when every process waits; computing costs none
	Real    Time = "real"    // as on the host, with the host's noise
)

// Defaults of [Options].
const (
	DefaultMemory = 512 << 20 // bytes
	DefaultSeed   = 1
)

// DefaultStart is the wall clock when the command of a lab in virtual time starts.
func DefaultStart() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// Options describe one run.
type Options struct {
	Kernel  string   // file of the kernel; Kernel.Use sets it and the next two
	Machine Machine  // what runs it; empty: UML
	Modules []string // files that it loads first, in order
	Argv    []string // the command: an absolute path, and its arguments
	Env     []string // its environment, "NAME=VALUE"
	Dir     string   // its working directory, absolute

	// Writable are the directories of the host, absolute, below which the
	// command writes to the host.
	Writable []string

	// Copy are the files and directories of the host, absolute, that an emulated
	// computer gets besides the command, its libraries and common tools. It sees
	// nothing else of the host, and nothing that it writes comes back.
	Copy []string

	Time   Time      // empty: virtual
	Start  time.Time // wall clock at the command's start in virtual time; zero: DefaultStart
	Seed   uint64    // of all randomness in virtual time
	Memory int64     // of the lab, bytes; 0: DefaultMemory

	Stdin          io.Reader // nil: empty
	Stdout, Stderr io.Writer // nil: discarded
	Console        io.Writer // gets the kernel's messages at the end; nil: only in a CrashError
}

// Result is how a command in a lab ended.
type Result struct {
	Code    int           // exit status
	Signal  int           // number of the signal that killed it; 0: none
	Elapsed time.Duration // time in the lab, from the command's start to its end
	Wall    time.Duration // time on the host, from Run's start to its end
	OOM     bool          // the lab ran out of memory and the kernel killed processes
}

// Status is the exit status that a shell would report: 128 and the signal's
// number for a command that was killed.
func (r *Result) Status() int {
	if r.Signal != 0 {
		return 128 + r.Signal
	}
	return r.Code
}

// StartError says that the lab came up, and could not run the command.
type StartError struct{ Err error }

func (e *StartError) Error() string { return "in the lab: " + e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// CrashError says that the kernel of a lab ended before its command.
type CrashError struct {
	State   string // how the kernel's process ended
	Console string // what it said
	Memory  string // the directory of the file that is its memory; empty: none
}

func (e *CrashError) Error() string {
	if strings.TrimSpace(e.Console) == "" && e.Memory != "" {
		// It takes room as it is used, and no more room kills the kernel in the
		// middle of anything.
		return fmt.Sprintf("the lab's kernel died (%s) without a word: was there no room left in %s, where its memory is? "+
			"Lower --mem, or set TMPDIR to another directory", e.State, e.Memory)
	}
	return fmt.Sprintf("the lab's kernel died (%s); its console:\n%s", e.State, e.Console)
}

// job is what the host tells the guest.
type job struct {
	Argv     []string `json:"argv"`
	Env      []string `json:"env"`
	Dir      string   `json:"dir"`
	Writable []string `json:"writable"`
	Files    uint64   `json:"files"` // limit of open files
	Modules  []string `json:"modules,omitempty"`
	Stdin    input    `json:"stdin"`
	OneOut   bool     `json:"one_out"`        // standard error goes where standard output goes
	Seed     *uint64  `json:"seed,omitempty"` // nil: the host's randomness
}

// input says where the command's standard input comes from: nowhere, a file
// from an offset on, or chunks that the host writes into the run directory.
type input struct {
	File   string `json:"file,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	Chunks bool   `json:"chunks,omitempty"`
}

// outcome is what the guest tells the host.
type outcome struct {
	Err       string `json:"error,omitempty"` // the command could not be started
	Code      int    `json:"code"`
	Signal    int    `json:"signal"`
	ElapsedNs int64  `json:"elapsed_ns"`
	OOM       bool   `json:"oom"`
}

// Names in the run directory.
const (
	jobFile     = "job.json"
	outcomeFile = "outcome.json"
	outFile     = "out"
	errFile     = "err"
	chunkFile   = "in.%d" // an empty chunk ends the input
	consoleFile = "console"
)
