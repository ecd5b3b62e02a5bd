package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"linktape/internal/table"
	"linktape/netsetup"
	"linktape/trace"
)

// Files of a run's folder. While a replay writes one of the tables, or after it
// was killed, a journal beside it holds its last rows; the readers of this package
// look there too.
const (
	LogFile      = "applied.parquet"
	CountersFile = "counters.parquet"
	ReadBackFile = "readback.parquet"
	ManifestFile = "run.json"
	SummaryFile  = "summary.json"
	ActsFile     = "events.jsonl" // what was done by hand, an [Act] a line; none without
	ReportFile   = "report.html"  // where a report is written
)

// LeastCounters is the shortest time from one reading of the counters to the next.
const LeastCounters = 10 * time.Millisecond

// Recording says what a replay writes into a folder while it plays: the applied
// log, and, by a thread and sockets of its own that the loop never waits for, the
// links' counters and what the kernel says that it was told. What was written up
// to a second ago outlives the process.
type Recording struct {
	Dir      string        // an existing folder; "": nothing is recorded
	Tape     string        // the tape's name, for people
	Counters time.Duration // from one reading of the counters to the next, LeastCounters or more; 0: none are read
	ReadBack time.Duration // the same of the parameters; 0: none are read

	// Trouble is told, once, that recording has failed while the replay goes on;
	// may be nil. Another goroutine calls it.
	Trouble func(error)
}

func (r *Recording) check() error {
	switch {
	case r.Counters < 0 || r.Counters > 0 && r.Counters < LeastCounters:
		return fmt.Errorf("read the counters every %v: not %v or more", r.Counters, LeastCounters)
	case r.ReadBack < 0 || r.ReadBack > 0 && r.ReadBack < time.Millisecond:
		return fmt.Errorf("read the parameters back every %v: not a millisecond or more", r.ReadBack)
	}
	return nil
}

// Meter reads links beside a replay: a [netsetup.Meter].
type Meter interface {
	Links() int
	Read(link int, params bool, each func(dir int, r *netsetup.Reading)) error
	Close() error
}

// metered are links that can be read beside a replay.
type metered interface {
	Meter(dirs []trace.LinkDir) (Meter, error)
}

// Meter opens a meter of the run.
func (r onRun) Meter(dirs []trace.LinkDir) (Meter, error) { return r.Run.Meter(dirs) }

// flushEvery is the most that a killed process loses of its tables.
const flushEvery = time.Second

// longestRest is how long the recorder rests where little happens: the ring of
// records holds what 40,000 steps a second leave in it.
const longestRest = 4 * nap

// recorder writes a run's folder.
type recorder struct {
	opts     Recording
	player   *Player
	log      *table.File[LogRow]
	counters *table.File[CounterRow]
	readBack *table.File[ReadBackRow]
	gauge    *gauge // nil: nothing is read
	resolver resolver

	acts    *os.File // nil: none yet
	written int      // acts

	rows     []CounterRow
	samples  []backSample
	manifest Manifest
	began    bool          // the manifest has the epoch
	over     chan struct{} // closed when there are no more records
	err      error
}

// newRecorder starts the files.
func newRecorder(p *Player) (_ *recorder, err error) {
	opts := p.opts.Record
	r := &recorder{over: make(chan struct{}), opts: opts, player: p, manifest: p.manifest(), resolver: newResolver(p.dirs)}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	// No summary or report stands beside the log of another replay.
	for _, name := range []string{SummaryFile, ReportFile, CountersFile, ReadBackFile, ActsFile} {
		for _, name := range []string{name, name + table.JournalSuffix} {
			if err := os.Remove(filepath.Join(opts.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
	}
	if err := r.manifest.write(opts.Dir); err != nil {
		return nil, err
	}
	if r.log, err = table.Create[LogRow](filepath.Join(opts.Dir, LogFile)); err != nil {
		return nil, err
	}
	if opts.Counters == 0 && opts.ReadBack == 0 {
		return r, nil
	}
	links, ok := p.links.(metered)
	if !ok {
		return nil, errors.New("read the counters: these links cannot be read beside a replay")
	}
	if opts.Counters > 0 {
		if r.counters, err = table.Create[CounterRow](filepath.Join(opts.Dir, CountersFile)); err != nil {
			return nil, err
		}
	}
	if opts.ReadBack > 0 {
		if r.readBack, err = table.Create[ReadBackRow](filepath.Join(opts.Dir, ReadBackFile)); err != nil {
			return nil, err
		}
	}
	meter, err := links.Meter(p.dirs)
	if err != nil {
		return nil, err
	}
	r.gauge = newGauge(p, meter, opts)
	return r, nil
}

// close ends the files; it is called once.
func (r *recorder) close() {
	if r.gauge != nil {
		r.fail(r.gauge.meter.Close())
	}
	if r.log != nil {
		r.fail(r.log.Close())
	}
	if r.counters != nil {
		r.fail(r.counters.Close())
	}
	if r.readBack != nil {
		r.fail(r.readBack.Close())
	}
	if r.acts != nil {
		r.fail(r.acts.Close())
	}
}

// takeActs writes what has been done by hand since.
func (r *recorder) takeActs() {
	acts, _ := r.player.Acts(r.written)
	for i := range acts {
		r.written++
		if r.acts == nil {
			f, err := os.Create(filepath.Join(r.opts.Dir, ActsFile))
			if err != nil {
				r.fail(err)
				return
			}
			r.acts = f
		}
		line, err := json.Marshal(&acts[i])
		if err == nil {
			_, err = r.acts.Write(append(line, '\n'))
		}
		r.fail(err)
	}
}

// ReadActs reads what was done by hand in a replay, of its folder; none where there
// is no such file. A last line that a killed process did not finish is left out.
func ReadActs(file string) ([]Act, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Act
	for n := 1; ; n++ {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return out, nil
		}
		var a Act
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("read %s:%d: %w", file, n, err)
		}
		out, b = append(out, a), rest
	}
}

// fail keeps the first error and says it at once.
func (r *recorder) fail(err error) {
	if err == nil || r.err != nil {
		return
	}
	r.err = err
	if r.opts.Trouble != nil {
		r.opts.Trouble(err)
	}
}

// write moves everything that comes into the files until the ring is closed and
// nothing more is read. After a failure it goes on without that file.
func (r *recorder) write(records *ring[Record], read *sync.WaitGroup) {
	flushed := time.Now()
	rest := nap
	timer := time.NewTimer(rest)
	defer timer.Stop()
	for {
		ended := records.ended()
		if ended {
			read.Wait()
		}
		busy := 0
		for range recordRing {
			rec := records.peek()
			if rec == nil {
				break
			}
			busy++
			row := rowOf(rec, r.player.dirs[rec.Dir])
			r.resolver.record(rec)
			records.drop()
			r.fail(r.log.Write(&row))
		}
		r.takeReadings(ended)
		r.takeActs()
		if !r.began {
			r.begin()
		}
		if ended {
			return
		}
		if time.Since(flushed) >= flushEvery {
			flushed = time.Now()
			r.fail(r.log.Flush())
			if r.counters != nil {
				r.fail(r.counters.Flush())
			}
			if r.readBack != nil {
				r.fail(r.readBack.Flush())
			}
		}
		switch {
		case busy > recordRing/64:
			rest = nap
		case rest < longestRest:
			rest *= 2
		}
		if busy == 0 {
			timer.Reset(rest)
			select {
			case <-timer.C:
			case <-r.over:
			}
		}
	}
}

// takeReadings writes what the gauge has read, and judges what was read back as
// far as the records have come.
func (r *recorder) takeReadings(ended bool) {
	if r.gauge == nil {
		return
	}
	r.rows, r.samples = r.gauge.take(r.rows, r.samples)
	for i := range r.rows {
		r.fail(r.counters.Write(&r.rows[i]))
	}
	r.resolver.add(r.samples)
	for _, row := range r.resolver.resolve(ended) {
		r.fail(r.readBack.Write(&row))
	}
}

// begin completes the manifest when the epoch is known.
func (r *recorder) begin() {
	epoch := r.player.epoch.Load()
	if epoch == 0 {
		return
	}
	r.began = true
	since := r.player.loop.clock.Now() - time.Duration(epoch)
	r.manifest.Epoch = time.Now().Add(-since).UTC()
	r.fail(r.manifest.write(r.opts.Dir))
}

// stop ends the readings, with one of the loop's last instant.
func (r *recorder) stop() {
	if r.gauge != nil {
		close(r.gauge.stop)
	}
}

// end closes the files, whose error it returns, and says in a summary, which may
// be nil, what they hold. A nil recorder has nothing to end.
func (r *recorder) end(s *Summary) error {
	if r == nil {
		return nil
	}
	r.close()
	if s != nil {
		r.report(s)
	}
	if r.err != nil {
		return fmt.Errorf("record the replay: %w", r.err)
	}
	return nil
}

// report says in a summary what was recorded, and what was found.
func (r *recorder) report(s *Summary) {
	if r.gauge == nil {
		return
	}
	s.Metering = r.gauge.report(s.Played)
	if r.opts.ReadBack == 0 {
		return
	}
	s.ReadBack = r.resolver.report(r.opts.ReadBack)
	for _, ld := range slices.SortedFunc(keys(r.resolver.first), trace.LinkDir.Compare) {
		f := r.resolver.first[ld]
		s.Warnings = append(s.Warnings, fmt.Sprintf("%v: %d of %d readings have something else than the kernel was told, first at %v: %s",
			ld, f.count, r.resolver.compared[ld], f.at.Round(time.Millisecond), f.what))
	}
	if err := r.gauge.err; err != nil {
		s.Warnings = append(s.Warnings, fmt.Sprintf("the links could not be read from %v on: %v", r.gauge.failedAt.Round(time.Millisecond), err))
	}
}
