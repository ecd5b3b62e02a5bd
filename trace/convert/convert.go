package convert

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"time"

	"linktape/trace"
)

// MaxDuration is the longest foreign trace that is read, about 146 years; it
// keeps sums of instants within a time.Duration.
const MaxDuration = time.Duration(1 << 62)

// Intervals that a sample can stand for.
const (
	IntervalStart = "start" // the sample names the start of its interval
	IntervalEnd   = "end"   // the sample names the end of its interval
)

// ImportOptions say how to read a file; the zero value takes each format's own
// conventions.
type ImportOptions struct {
	Step     time.Duration // length of the bins; 0 = the format's own
	Interval string        // IntervalStart, IntervalEnd or "" = the format's own
	Delay    time.Duration // constant one-way delay, for formats that carry none
	Loss     trace.Prob    // constant loss, for formats that carry none
}

func (o ImportOptions) check() error {
	switch {
	case o.Step < 0:
		return fmt.Errorf("step %v: negative", o.Step)
	case o.Step > MaxDuration:
		return fmt.Errorf("step %v: longer than %v", o.Step, MaxDuration)
	case o.Interval != "" && o.Interval != IntervalStart && o.Interval != IntervalEnd:
		return fmt.Errorf("interval %q: write start or end", o.Interval)
	case o.Delay < 0 || o.Delay > trace.MaxDelay:
		return fmt.Errorf("delay %v: outside 0 to %v", o.Delay, trace.MaxDelay)
	case !o.Loss.Valid():
		return fmt.Errorf("loss %v: outside 0 to 1", float64(o.Loss))
	}
	return nil
}

// state is the state that a rate is laid into.
func (o ImportOptions) state() trace.State {
	return trace.State{Carrier: true, Delay: o.Delay, Loss: o.Loss}
}

// A Result is one imported direction.
type Result struct {
	Format   string
	File     string // base name
	SHA256   string // of the file's bytes, hexadecimal
	Duration time.Duration
	Steps    iter.Seq[trace.Step] // without link and direction; in order, the first at 0, equal neighbours joined; can be repeated
	Warnings []Warning
	Choices  map[string]string // for [trace.Source]
	Lines    int64             // samples in the file
	Bytes    int64             // of IP, per loop; 2^63−1 when there are more
}

// An Importer reads one foreign format.
type Importer interface {
	Name() string
	Description() string // one line

	// Sniff returns nil if head, the beginning of a file in whole lines, is
	// unambiguously of this format, and the reason why not otherwise.
	Sniff(head []byte) error

	// Import reads a whole file. Its name serves the messages. Errors are
	// *Faults where the content is to blame. Import sets Duration, Steps,
	// Warnings, Choices, Lines and Bytes.
	Import(r io.Reader, name string, opts ImportOptions) (*Result, error)
}

// An Exporter writes one direction of a timeline in one foreign format.
type Exporter interface {
	Name() string
	Description() string // one line
	Export(w io.Writer, d Direction, opts ExportOptions) (*Exported, error)
}

// Direction is one direction of a timeline, as an exporter reads it.
type Direction struct {
	LinkDir  trace.LinkDir
	Duration time.Duration
	Steps    func() iter.Seq2[trace.Step, error] // of this direction only, in order, the first at 0; called once per loop
}

// ExportOptions say how to write; the zero value writes one loop.
type ExportOptions struct {
	Loops    int                    // how often the timeline is written; 0 = once
	Progress func(fraction float64) // called now and then; may be nil
}

// extent returns how often a direction is written and how long that is in all.
func (o ExportOptions) extent(d Direction) (loops int, total time.Duration, err error) {
	loops = max(o.Loops, 1)
	switch {
	case o.Loops < 0:
		err = fmt.Errorf("export %s: %d loops: at least one", d.LinkDir, o.Loops)
	case d.Duration <= 0:
		err = fmt.Errorf("export %s: the tape has no duration", d.LinkDir)
	case d.Duration > MaxDuration/time.Duration(loops):
		err = fmt.Errorf("export %s: %d loops of %v are longer than %v", d.LinkDir, loops, d.Duration, MaxDuration)
	}
	return loops, d.Duration * time.Duration(loops), err
}

// Exported says what was written.
type Exported struct {
	Lines    int64
	Bytes    int64         // of IP that the written file stands for
	Duration time.Duration // of the written file, all loops together
	Warnings []Warning
}

// Importers lists the formats that can be read, by name.
func Importers() []Importer { return []Importer{mahimahi{}, pensieve{}} }

// Exporters lists the formats that can be written, by name.
func Exporters() []Exporter { return []Exporter{mahimahi{}, pensieve{}} }

// FindImporter returns the importer of a format.
func FindImporter(name string) (Importer, error) {
	var names []string
	for _, im := range Importers() {
		if im.Name() == name {
			return im, nil
		}
		names = append(names, im.Name())
	}
	return nil, fmt.Errorf("format %q: cannot be imported; one of %s", name, strings.Join(names, ", "))
}

// FindExporter returns the exporter of a format.
func FindExporter(name string) (Exporter, error) {
	var names []string
	for _, ex := range Exporters() {
		if ex.Name() == name {
			return ex, nil
		}
		names = append(names, ex.Name())
	}
	return nil, fmt.Errorf("format %q: cannot be exported; one of %s", name, strings.Join(names, ", "))
}

// ErrUnknownFormat says that a file's content does not tell its format.
var ErrUnknownFormat = errors.New("the content does not tell the format")

// Detect returns the one importer whose format head, the beginning of a file,
// unambiguously has; [ErrUnknownFormat] with the reasons otherwise.
func Detect(head []byte) (Importer, error) {
	var found []Importer
	var why []string
	for _, im := range Importers() {
		if err := im.Sniff(head); err != nil {
			why = append(why, fmt.Sprintf("not %s: %v", im.Name(), err))
		} else {
			found = append(found, im)
			why = append(why, "perhaps "+im.Name())
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, fmt.Errorf("%w (%s)", ErrUnknownFormat, strings.Join(why, "; "))
}

// sniffBytes is how much of a file Detect is shown.
const sniffBytes = 64 << 10

// Import reads one direction from r in the given format, or in the format that
// the content tells when format is empty. Name is the file's name.
func Import(format string, r io.Reader, name string, opts ImportOptions) (*Result, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	sum := sha256.New()
	br := bufio.NewReaderSize(io.TeeReader(r, sum), sniffBytes)
	head, err := br.Peek(sniffBytes)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if err := checkText(head); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err == nil { // the file goes on: leave out the last, cut line
		head = head[:bytes.LastIndexByte(head, '\n')+1]
	}
	var im Importer
	if format == "" {
		im, err = Detect(head)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	} else if im, err = FindImporter(format); err != nil {
		return nil, err
	}
	res, err := im.Import(br, name, opts)
	if err != nil {
		return nil, err
	}
	res.Format, res.File = im.Name(), filepath.Base(name)
	res.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return res, nil
}

// interval returns the convention asked for, or the format's own.
func (o ImportOptions) interval(own string) string {
	if o.Interval != "" {
		return o.Interval
	}
	return own
}

// rateSteps makes the steps of rates in a state, with equal neighbours joined.
func rateSteps(st trace.State, rates func(yield func(at time.Duration, r trace.BitRate) bool)) iter.Seq[trace.Step] {
	return func(yield func(trace.Step) bool) {
		last := trace.BitRate(-1)
		rates(func(at time.Duration, r trace.BitRate) bool {
			if r == last {
				return true
			}
			last = r
			s := trace.Step{At: at, State: st}
			s.Rate = r
			return yield(s)
		})
	}
}
