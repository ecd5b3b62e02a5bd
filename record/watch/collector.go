package watch

import (
	"fmt"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// Generator is what the metadata says made the tape. It changes when the same
// readings give another tape.
const Generator = "record watch 1"

// Count is what one direction of a link has counted so far.
type Count struct {
	Bytes   int64 // of IP packets
	Packets int64
	Drops   int64 // packets that were dropped before the link
	Backlog int64 // bytes that wait before the link, now
}

// Reading is what was read of a link.
type Reading struct {
	Up, Down Count
	Carrier  bool
	Signal   float64 // dBm; 0: not known
}

// Echo is what the pings of a link did since the reading before.
type Echo struct {
	Quickest time.Duration // round trip; 0: none was answered
	Answered int64
	Lost     int64 // not answered in time
}

// Labels of steps.
const (
	LabelDown   = "down"   // without carrier
	LabelSilent = "silent" // no ping was answered
)

// Row is one direction of a link between two readings.
type Row struct {
	At       int64   `parquet:"t_ns"` // the reading before, from the start
	Length   int64   `parquet:"length_ns"`
	Link     string  `parquet:"link"`
	Dir      string  `parquet:"dir"`
	Bytes    int64   `parquet:"bytes"` // of IP packets
	Packets  int64   `parquet:"packets"`
	Drops    int64   `parquet:"drops"`
	Backlog  int64   `parquet:"backlog_bytes"` // at the end
	RTT      int64   `parquet:"rtt_ns"`        // of the quickest ping; −1: none was answered
	Answered int64   `parquet:"pings_answered"`
	Lost     int64   `parquet:"pings_lost"`
	Carrier  bool    `parquet:"carrier"`
	Signal   float64 `parquet:"signal_dbm"` // 0: not known
	Label    string  `parquet:"label"`
}

// Stats sums up a direction.
type Stats struct {
	Link       string        `json:"link"`
	Dir        string        `json:"dir"`
	Bytes      int64         `json:"bytes"`
	Packets    int64         `json:"packets"`
	Drops      int64         `json:"drops"`
	Throughput float64       `json:"throughput_bit_s"`
	Peak       trace.BitRate `json:"peak_bit_s"`     // between two readings
	Answered   int64         `json:"pings_answered"` // of the link
	Lost       int64         `json:"pings_lost"`
	Quickest   time.Duration `json:"rtt_min_ns"`
	Resets     int64         `json:"resets"` // times that a counter began anew
}

type direction struct {
	trace.LinkDir
	last  Count
	fill  *fill.Filler
	due   fill.Amount
	rate  trace.BitRate
	state trace.State
	stats Stats
}

// Collector makes a tape of readings.
type Collector struct {
	dirs     []*direction // in canonical order: down and up of each link
	at       time.Duration
	begun    bool
	steps    func([]trace.Step) error
	rows     func(*Row) error
	coalesce trace.Coalescer
}

// NewCollector returns a collector for links in the order of their names. It passes
// on steps, which are valid until the function returns, and rows.
func NewCollector(links []string, steps func([]trace.Step) error, rows func(*Row) error) *Collector {
	c := &Collector{steps: steps, rows: rows}
	for _, l := range links {
		for _, dir := range []trace.Direction{trace.Down, trace.Up} {
			d := &direction{LinkDir: trace.LinkDir{Link: l, Dir: dir}}
			d.fill = fill.New(func(_ time.Duration, r trace.BitRate) bool {
				d.rate = r
				return true
			})
			d.stats.Link, d.stats.Dir = l, dir.String()
			c.dirs = append(c.dirs, d)
		}
	}
	return c
}

// Take takes a reading of each link, made at an instant after the one before, and
// what its pings did since. The first reading is what later ones are counted from;
// it is made at instant 0.
func (c *Collector) Take(at time.Duration, readings []Reading, echoes []Echo) error {
	if 2*len(readings) != len(c.dirs) || len(echoes) != len(readings) {
		return fmt.Errorf("%d readings and %d echoes of %d links", len(readings), len(echoes), len(c.dirs)/2)
	}
	if c.begun && at <= c.at {
		return fmt.Errorf("reading at %v after one at %v", at, c.at)
	}
	var steps []trace.Step
	for i, d := range c.dirs {
		r, e := &readings[i/2], &echoes[i/2]
		now := r.Down
		if d.Dir == trace.Up {
			now = r.Up
		}
		if c.begun {
			s, row, err := d.span(c.at, at, now, r, e)
			if err != nil {
				return err
			}
			if c.coalesce.Keep(&s) {
				steps = append(steps, s)
			}
			if c.rows != nil {
				if err := c.rows(&row); err != nil {
					return err
				}
			}
		}
		d.last = now
	}
	c.begun, c.at = true, at
	if len(steps) == 0 {
		return nil
	}
	return c.steps(steps)
}

// span is the direction's time between two readings.
func (d *direction) span(from, to time.Duration, now Count, r *Reading, e *Echo) (trace.Step, Row, error) {
	grown := func(now, last int64) int64 {
		if now < last { // the interface was made anew
			d.stats.Resets++
			return max(now, 0)
		}
		return now - last
	}
	row := Row{
		At: int64(from), Length: int64(to - from), Link: d.Link, Dir: d.Dir.String(),
		Bytes: grown(now.Bytes, d.last.Bytes), Packets: grown(now.Packets, d.last.Packets), Drops: grown(now.Drops, d.last.Drops),
		Backlog: now.Backlog, RTT: -1, Answered: e.Answered, Lost: e.Lost, Carrier: r.Carrier, Signal: r.Signal,
	}
	d.due = d.due.Add(fill.Mul(uint64(row.Bytes)*8, fill.BitNs))
	if to-from > 8*time.Second {
		return trace.Step{}, row, fmt.Errorf("%v without a reading: the machine slept or was overloaded", to-from)
	}
	if _, err := d.fill.To(to, d.due); err != nil {
		return trace.Step{}, row, fmt.Errorf("%v: %w", d.LinkDir, err)
	}
	d.state.Rate, d.state.Carrier, d.state.Label = d.rate, r.Carrier, ""
	if e.Answered > 0 {
		row.RTT = int64(e.Quickest)
		d.state.Delay = min(max(e.Quickest/2, 0), trace.MaxDelay)
		if d.stats.Answered == 0 || e.Quickest < d.stats.Quickest {
			d.stats.Quickest = e.Quickest
		}
	}
	switch {
	case !r.Carrier:
		d.state.Label = LabelDown
	case e.Lost > 0 && e.Answered == 0:
		d.state.Label = LabelSilent
	}
	row.Label = d.state.Label
	s := &d.stats
	s.Bytes += row.Bytes
	s.Packets += row.Packets
	s.Drops += row.Drops
	s.Answered += e.Answered
	s.Lost += e.Lost
	s.Peak = max(s.Peak, d.rate)
	return trace.Step{At: from, Link: d.Link, Dir: d.Dir, State: d.state}, row, nil
}

// Finish returns how long the recording is, and sums it up.
func (c *Collector) Finish() (time.Duration, []Stats) {
	var out []Stats
	for _, d := range c.dirs {
		if c.at > 0 {
			d.stats.Throughput = float64(d.stats.Bytes) * 8 / c.at.Seconds()
		}
		out = append(out, d.stats)
	}
	return c.at, out
}
