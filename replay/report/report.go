package report

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"linktape/replay"
	"linktape/trace"
)

// Report is what a replay did.
type Report struct {
	Dir        string               `json:"dir"`
	Complete   bool                 `json:"complete"` // the replay has written its summary
	Manifest   *replay.Manifest     `json:"manifest"`
	Summary    *replay.Summary      `json:"summary,omitempty"` // nil: it was killed, or still runs
	Played     time.Duration        `json:"played_ns"`
	Bin        time.Duration        `json:"bin_ns"` // of the pictures
	Steps      int64                `json:"steps"`
	Missed     int64                `json:"missed"` // applied when the direction's next one was due
	Lateness   replay.Distribution  `json:"lateness"`
	Exchange   replay.Distribution  `json:"exchange"`
	Skew       replay.Distribution  `json:"skew"`
	Directions []Direction          `json:"directions"`
	Events     []Event              `json:"events"`
	MoreEvents int                  `json:"more_events"`       // that are not listed
	ByHand     []replay.Act         `json:"by_hand,omitempty"` // commands that were given while it played
	ReadBack   *ReadBack            `json:"read_back,omitempty"`
	Findings   []string             `json:"findings"`
	histograms map[string]histogram // by what they are of
}

type histogram = replay.Histogram

// Direction is what one direction of one link did.
type Direction struct {
	Link           string        `json:"link"`
	Dir            string        `json:"dir"`
	Shaper         string        `json:"shaper,omitempty"`
	Steps          int64         `json:"steps"`
	TapeBytes      int64         `json:"tape_bytes"`      // that the tape allowed
	DeliveredBytes int64         `json:"delivered_bytes"` // that left the bottleneck
	Packets        int64         `json:"delivered_packets"`
	Use            float64       `json:"use"` // delivered / allowed
	QueueDrops     int64         `json:"queue_drops"`
	PathDrops      int64         `json:"path_drops"`
	OutageDrops    int64         `json:"outage_drops"`
	TapeLoss       float64       `json:"tape_loss"`   // of the packets outside outages, expected by the tape
	PathLoss       float64       `json:"path_loss"`   // of the same packets, lost
	Outage         time.Duration `json:"outage_ns"`   // nothing passed
	QueueDelay     *Delays       `json:"queue_delay"` // nil: the counters were not read

	counted bool
	nested  bool      // the path's drops are among the queue's
	tape    []float64 // Mbit/s in each bin
	bytes   []float64 // delivered in each bin
	backlog []float64 // kB, largest in each bin; nil: unknown
	delay   []float64 // ms, largest in each bin; NaN: nothing leaves, or not read
	rtt     []float64 // one-way delay of the tape's path, ms
	loss    []float64 // tape's mean loss outside outages in each bin, NaN: all is outage
	lost    []float64 // measured, NaN: no packets
	clear   []float64 // s of each bin outside outages
	spans   []span    // outages
	offered []float64 // packets that came to the path in bins without an outage
	chained bool      // losses come in bursts
}

type span struct{ from, to time.Duration }

// Delays are quantiles over the readings of the counters.
type Delays struct {
	P50    time.Duration `json:"p50_ns"`
	P99    time.Duration `json:"p99_ns"`
	Max    time.Duration `json:"max_ns"`
	Stuck  float64       `json:"stuck"` // share of readings with a backlog that does not leave
	sample replay.Histogram
	stuck  int64
	total  int64
}

// Event is a stretch of time that the tape has labelled, or in which nothing
// passed.
type Event struct {
	At       time.Duration `json:"at_ns"`
	Duration time.Duration `json:"duration_ns"`
	Link     string        `json:"link"`
	Dir      string        `json:"dir"`
	Label    string        `json:"label,omitempty"`
	What     string        `json:"what,omitempty"` // stall, no carrier or loses all; empty: packets pass
}

// ReadBack is what came of asking the kernel.
type ReadBack struct {
	Readings int64        `json:"readings"`
	Same     int64        `json:"same"`
	Differ   int64        `json:"differ"`
	Changing int64        `json:"changing"`
	First    []Difference `json:"first,omitempty"` // differences, the first few
}

// Difference is a reading that is not what was told.
type Difference struct {
	At   time.Duration `json:"at_ns"`
	Link string        `json:"link"`
	Dir  string        `json:"dir"`
	What string        `json:"what"`
}

const (
	mostBins   = 1200
	leastBin   = 10 * time.Millisecond
	mostEvents = 200
	mostDiffer = 10

	// late is what a step may be late by before the report finds fault with it.
	late = 10 * time.Millisecond
)

// Read reads the folder of a replay.
//
// Errors: a folder without run.json, and tables that are damaged. What a replay
// that was killed did not write is left out.
func Read(dir string) (*Report, error) {
	r := &Report{Dir: dir, histograms: make(map[string]histogram)}
	var err error
	if r.Manifest, err = replay.ReadManifest(filepath.Join(dir, replay.ManifestFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: not a folder that replay run --out wrote", err)
		}
		return nil, err
	}
	switch r.Summary, err = replay.ReadSummary(filepath.Join(dir, replay.SummaryFile)); {
	case err == nil:
		r.Complete = true
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := r.findEnd(); err != nil {
		return nil, err
	}
	log := newLogReader(r)
	if err := log.read(); err != nil {
		return nil, err
	}
	if err := r.readCounters(log); err != nil {
		return nil, err
	}
	if err := r.readBack(); err != nil {
		return nil, err
	}
	if r.ByHand, err = replay.ReadActs(r.file(replay.ActsFile)); err != nil {
		return nil, err
	}
	r.sum(log)
	r.find()
	return r, nil
}

// findEnd learns how long was played, and so how long a bin is.
func (r *Report) findEnd() error {
	if r.Summary != nil {
		r.Played = r.Summary.Played
	} else {
		for row, err := range replay.LogRows(r.file(replay.LogFile)) {
			if err != nil {
				return err
			}
			r.Played = max(r.Played, time.Duration(row.Acked))
		}
		if r.Manifest.Counters > 0 {
			for row, err := range replay.CounterRows(r.file(replay.CountersFile)) {
				if err != nil {
					return err
				}
				r.Played = max(r.Played, time.Duration(row.At))
			}
		}
	}
	r.Bin = binOf(r.Played, r.Manifest.Counters)
	return nil
}

func (r *Report) file(name string) string { return filepath.Join(r.Dir, name) }

// binOf is the shortest of 1, 2 and 5 × 10ⁿ that gives few enough bins, each with a
// reading of the counters, and at least a tenth of a second where there is enough
// time for many.
func binOf(played, counters time.Duration) time.Duration {
	least := max(played/mostBins, leastBin, counters)
	if played >= 20*time.Second {
		least = max(least, 100*time.Millisecond)
	}
	for unit := leastBin; ; unit *= 10 {
		for _, m := range []time.Duration{1, 2, 5} {
			if m*unit >= least {
				return m * unit
			}
		}
	}
}

// bins is the number of bins; the last one may be cut short.
func (r *Report) bins() int { return max(int((r.Played+r.Bin-1)/r.Bin), 1) }

// spread adds a quantity to the bins that a stretch of time meets, in proportion.
func (r *Report) spread(bins []float64, from, to time.Duration, v float64) {
	from, to = max(from, 0), min(to, r.Played)
	if to <= from {
		return
	}
	for i := int(from / r.Bin); i < len(bins) && time.Duration(i)*r.Bin < to; i++ {
		a, b := max(from, time.Duration(i)*r.Bin), min(to, time.Duration(i+1)*r.Bin)
		bins[i] += v * float64(b-a) / float64(to-from)
	}
}

// readBack counts what the kernel said.
func (r *Report) readBack() error {
	if r.Manifest.ReadBack == 0 {
		return nil
	}
	b := new(ReadBack)
	for row, err := range replay.ReadBackRows(r.file(replay.ReadBackFile)) {
		if err != nil {
			return err
		}
		b.Readings++
		switch row.Result {
		case replay.BackSame:
			b.Same++
		case replay.BackChanging:
			b.Changing++
		default:
			if b.Differ++; len(b.First) < mostDiffer {
				b.First = append(b.First, Difference{time.Duration(row.At), row.Link, row.Dir, row.Difference})
			}
		}
	}
	r.ReadBack = b
	return nil
}

// find says what a reader should know before he believes the rest.
func (r *Report) find() {
	r.Findings = []string{}
	say := func(format string, args ...any) { r.Findings = append(r.Findings, fmt.Sprintf(format, args...)) }
	if !r.Complete {
		say("There is no summary: the replay was killed, or still runs. What it had flushed is shown.")
		if n := len(r.ByHand); n > 0 { // else a warning of the summary says it
			say("%d commands were given by hand: the tape was not played as it is.", n)
		}
	}
	if s := r.Summary; s != nil {
		for _, w := range s.Warnings {
			say("%s", w)
		}
		if !s.Realtime {
			say("The loop ran under ordinary scheduling (real-time needs CAP_SYS_NICE).")
		}
		if !s.Locked {
			say("Memory was not locked, so that page faults could delay a step (needs CAP_IPC_LOCK).")
		}
		if s.Stopped {
			say("The replay was stopped before its end.")
		}
		if s.RatesOnly {
			say("Only the tape's rates were played: its delays and losses were left out.")
		}
		for _, l := range s.Links {
			const share, deviation = 0.01, 0.01
			if l.Saturated >= share && math.Abs(l.Deviation) > deviation {
				say("%s.%s delivered %+.1f %% of what the tape allows in the time with a queue (%.0f %% of the replay).", l.Link, l.Dir, 100*l.Deviation, 100*l.Saturated)
			}
		}
	}
	if r.Missed > 0 {
		say("%d steps were applied when the direction's next one was due.", r.Missed)
	}
	if n := r.laterThan(late); n > 0 {
		say("%d steps were more than %v late, the latest by %v.", n, late, r.Lateness.Max.Round(time.Microsecond))
	}
	if b := r.ReadBack; b != nil && b.Differ > 0 && !r.Complete { // else the summary's warnings say it
		say("%d of %d readings have something else than the kernel was told.", b.Differ, b.Same+b.Differ)
	}
	for i := range r.Directions {
		d := &r.Directions[i]
		if d.chained || d.nested || !d.counted || r.Manifest.RatesOnly {
			continue
		}
		offered := d.clearPackets()
		sigma := math.Sqrt(offered * d.TapeLoss * (1 - d.TapeLoss))
		if diff := offered * (d.PathLoss - d.TapeLoss); sigma > 0 && math.Abs(diff) > 4*sigma+1 {
			say("%s.%s lost %.3f %% of its packets outside outages; the tape says %.3f %% (%.1f standard deviations).", d.Link, d.Dir, 100*d.PathLoss, 100*d.TapeLoss, diff/sigma)
		}
	}
}

func (r *Report) laterThan(limit time.Duration) (n int64) {
	h := r.histograms[ofLateness]
	h.Bins(func(from, _ time.Duration, count int64) {
		if from >= limit {
			n += count
		}
	})
	return n
}

// linkDir names a direction.
func linkDir(link, dir string) trace.LinkDir {
	d := trace.Up
	if dir == trace.Down.String() {
		d = trace.Down
	}
	return trace.LinkDir{Link: link, Dir: d}
}
