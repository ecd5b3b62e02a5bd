package convert

import (
	"bufio"
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

// Role is the part of a state that a file is read for.
type Role string

// The roles of a file.
const (
	RoleAll   Role = ""      // whatever the file holds
	RoleRate  Role = "rate"  // the rate alone
	RoleDelay Role = "delay" // the delay and jitter alone
	RoleLoss  Role = "loss"  // the loss alone
)

// Gap policies: what holds where a file has no sample.
const (
	GapHold   = "hold"   // the neighbouring sample's state goes on
	GapZero   = "zero"   // a rate of 0: the queue stays
	GapOutage = "outage" // no carrier, labelled outage: the queue is lost
)

// Policies for samples of the same instant.
const (
	SameMean  = "mean"  // their mean
	SameFirst = "first" // the first one counts
	SameLast  = "last"  // the last one counts
)

// ImportOptions say how to read a file; the zero value takes each format's own
// conventions.
type ImportOptions struct {
	LinkDir trace.LinkDir // the direction that is made: it picks the column or the rows of a file that holds several
	Role    Role          // what the file is read for
	Step    time.Duration // length of the bins; 0 = the format's own

	// Opportunities lays delivery opportunities into the tape themselves, each a
	// pulse of 1 µs, in place of bins; an error where the format has none. It
	// excludes Step and Clip.
	Opportunities bool

	Interval string        // IntervalStart, IntervalEnd or "" = the format's own
	Delay    time.Duration // constant one-way delay, where the file has none
	Loss     trace.Prob    // constant loss, where the file has none

	Sort     bool          // sort samples that are out of order, in place of refusing them
	Same     string        // SameMean, SameFirst, SameLast or "" = the format's own, mostly refusing
	Gap      string        // GapHold, GapZero, GapOutage or "" = hold
	GapAfter time.Duration // a distance above this is a gap; 0 = three times the median
	Scale    Scale         // of the rates; the zero value leaves them
	Clip     *RateRange    // bounds of the rates after scaling
	Zone     *Zone         // of times that have none; nil = UTC
	Run      int64         // the run of a file that holds several; 0 = the only one
	CSV      CSVOptions    // for the format csv
}

// wants reports whether a part of the state is asked for.
func (o ImportOptions) wants(r Role) bool { return o.Role == RoleAll || o.Role == r }

func (o ImportOptions) check() error {
	switch {
	case o.Step < 0:
		return fmt.Errorf("step %v: negative", o.Step)
	case o.Step > MaxDuration:
		return fmt.Errorf("step %v: longer than %v", o.Step, MaxDuration)
	case o.Opportunities && o.Step > 0:
		return fmt.Errorf("step %v: opportunities are not binned: choose one", o.Step)
	case o.Interval != "" && o.Interval != IntervalStart && o.Interval != IntervalEnd:
		return fmt.Errorf("interval %q: write start or end", o.Interval)
	case o.Delay < 0 || o.Delay > trace.MaxDelay:
		return fmt.Errorf("delay %v: outside 0 to %v", o.Delay, trace.MaxDelay)
	case !o.Loss.Valid():
		return fmt.Errorf("loss %v: outside 0 to 1", float64(o.Loss))
	case o.GapAfter < 0:
		return fmt.Errorf("gap after %v: negative", o.GapAfter)
	case o.Run < 0:
		return fmt.Errorf("run %d: negative", o.Run)
	}
	if err := ParseGap(o.Gap); err != nil {
		return err
	}
	if err := ParseSame(o.Same); err != nil {
		return err
	}
	if _, err := ParseRole(string(o.Role)); err != nil {
		return err
	}
	return nil
}

// ParseGap verifies a gap policy; "" is none.
func ParseGap(s string) error {
	switch s {
	case "", GapHold, GapZero, GapOutage:
		return nil
	}
	return fmt.Errorf("gap %q: write hold, zero or outage", s)
}

// ParseSame verifies a policy for samples of the same instant; "" is none.
func ParseSame(s string) error {
	switch s {
	case "", SameMean, SameFirst, SameLast:
		return nil
	}
	return fmt.Errorf("same %q: write mean, first or last", s)
}

// ParseRole reads rate, delay or loss; "" is RoleAll.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case RoleAll, RoleRate, RoleDelay, RoleLoss:
		return r, nil
	}
	return "", fmt.Errorf("role %q: write rate, delay or loss", s)
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

	Role     Role         // what it was read for
	HasRate  bool         // the steps hold rates
	HasDelay bool         // the file holds delays
	HasLoss  bool         // the file holds losses
	Start    time.Time    // the beginning on the file's clock; zero where the file has none
	Local    bool         // Start is in an unknown zone, taken as UTC
	Gap      string       // the policy for gaps that was asked for; "" = none
	Queue    *trace.Queue // of the link, where the file says it
}

// An Importer reads one foreign format.
type Importer interface {
	Name() string
	Description() string // one line

	// Sniff says why head, the beginning of a file in whole lines, is
	// unambiguously of this format, or as an error why it is not.
	Sniff(head []byte) (why string, err error)

	// Import reads a whole file. Its name serves the messages. Errors are
	// *Faults where the content is to blame. Import sets everything but
	// Format, File, SHA256 and Role.
	Import(r io.Reader, name string, opts ImportOptions) (*Result, error)
}

// An Exporter writes one direction of a timeline in one foreign format.
type Exporter interface {
	Name() string
	Description() string // one line
	Export(w io.Writer, d Direction, opts ExportOptions) (*Exported, error)
}

// A TapeExporter is an exporter that can write several directions at once, with
// every column of the tape.
type TapeExporter interface {
	Exporter
	ExportTape(w io.Writer, t Tape, opts ExportOptions) (*Exported, error)
}

// Tape is a timeline, or some directions of one, as a TapeExporter reads it.
type Tape struct {
	Meta  trace.Meta                          // Links name the directions that Steps has
	Steps func() iter.Seq2[trace.Step, error] // in canonical order; called once per loop
}

// tape makes a tape of one direction.
func (d Direction) tape() Tape {
	l := trace.Link{Name: d.LinkDir.Link, Up: d.LinkDir.Dir == trace.Up, Down: d.LinkDir.Dir == trace.Down}
	return Tape{
		Meta: trace.Meta{Duration: d.Duration, Links: []trace.Link{l}, Generator: Generator},
		Steps: func() iter.Seq2[trace.Step, error] {
			return func(yield func(trace.Step, error) bool) {
				for s, err := range d.Steps() {
					s.Link, s.Dir = d.LinkDir.Link, d.LinkDir.Dir
					if !yield(s, err) {
						return
					}
				}
			}
		},
	}
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
	What     string                 // for netem-trace: bandwidth, delay or loss; "" = bandwidth
	Plain    bool                   // for netem-trace: numbers in place of texts such as 12Mbps
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

// A Lister is an importer of files that can hold several directions.
type Lister interface {
	// List returns the directions that a file holds. Link is empty where the
	// file does not name links.
	List(r io.Reader, name string, opts ImportOptions) ([]trace.LinkDir, error)
}

// Importers lists the formats that can be read, by name.
func Importers() []Importer {
	return []Importer{
		cellReplay{}, csvTable{}, riiser{ghent4G}, riiser{hsdpa}, jsonTape{}, lumos5G{}, mahimahi{}, netemTrace{},
		netemTraceCSV{}, pensieve{}, satVsCell{}, saturator{}, starlinkIperf{}, ucc{ucc4G}, ucc{ucc5G},
	}
}

// Exporters lists the formats that can be written, by name.
func Exporters() []Exporter {
	return []Exporter{csvTable{}, jsonTape{}, mahimahi{}, netemTrace{}, parquetTape{}, pensieve{}}
}

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

// Import reads one direction from r in the given format, or in the format that
// the content tells when format is empty; with columns in opts.CSV that is csv.
// Name is the file's name. What was asked for and does not apply to the format
// is a warning.
func Import(format string, r io.Reader, name string, opts ImportOptions) (*Result, error) {
	all, err := ImportAll(format, r, name, []ImportOptions{opts})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// A tapeImporter reads several directions of one file at once.
type tapeImporter interface {
	importTape(r io.Reader, name string, each []ImportOptions) ([]*Result, error)
}

// ImportAll reads a file for several directions, as [Import] does for one; a
// tape in CSV or JSON is read once for all of them. Other formats hold one
// direction to a read: more are an error.
func ImportAll(format string, r io.Reader, name string, each []ImportOptions) ([]*Result, error) {
	if len(each) == 0 {
		return nil, errors.New("import: no direction asked for")
	}
	for _, o := range each {
		if err := o.check(); err != nil {
			return nil, err
		}
	}
	sum := sha256.New()
	br := bufio.NewReaderSize(io.TeeReader(r, sum), sniffBytes)
	head, err := peekHead(br, name)
	if err != nil {
		return nil, err
	}
	var im Importer
	columns := each[0].CSV.Columns != ""
	if format == "" && columns {
		format = csvTable{}.Name()
	}
	if format == "" {
		im, err = Detect(head)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	} else if im, err = FindImporter(format); err != nil {
		return nil, err
	}
	for _, o := range each {
		if err := o.checkOpportunities(im); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	var all []*Result
	if ti, ok := im.(tapeImporter); ok && !columns {
		all, err = ti.importTape(br, name, each)
	} else if len(each) > 1 {
		err = fmt.Errorf("%s: the format %s is read for one direction at a time", name, im.Name())
	} else {
		var res *Result
		res, err = im.Import(br, name, each[0])
		all = []*Result{res}
	}
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, br); err != nil { // what follows the part that counts
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	for i, res := range all {
		o := each[i]
		res.Format, res.File, res.Role = im.Name(), filepath.Base(name), o.Role
		res.SHA256 = hex.EncodeToString(sum.Sum(nil))
		if err := res.applies(o, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// applies verifies that the result holds what was asked for, and notes what of
// the options did not apply.
func (r *Result) applies(o ImportOptions, name string) error {
	if has := map[Role]bool{RoleAll: true, RoleRate: r.HasRate, RoleDelay: r.HasDelay, RoleLoss: r.HasLoss}; !has[o.Role] {
		return fmt.Errorf("%s: the file, read as %s, holds no %s", name, r.Format, o.Role)
	}
	if got := r.Choices["interval"]; o.Interval != "" && got != o.Interval {
		r.warn(0, "the interval %s is not used: %s", o.Interval, got)
	}
	if o.Run != 0 && r.Choices["run"] == "" {
		r.warn(0, "run %d is not used: the format has no runs", o.Run)
	}
	if r.HasDelay && o.Delay != 0 {
		r.warn(0, "the constant delay of %v is not used: the file holds delays", o.Delay)
	}
	if r.HasLoss && o.Loss != 0 {
		r.warn(0, "the constant loss of %v is not used: the file holds losses", o.Loss)
	}
	return nil
}

// interval returns the convention asked for, or the format's own.
func (o ImportOptions) interval(own string) string {
	if o.Interval != "" {
		return o.Interval
	}
	return own
}
