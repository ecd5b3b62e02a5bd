package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"linktape/replay"
	"linktape/trace"
)

// What the histograms are of.
const (
	ofLateness = "lateness"
	ofExchange = "exchange"
	ofSkew     = "skew"
)

// dirLog is what the log says of one direction so far.
type dirLog struct {
	Direction
	begun   bool
	row     replay.LogRow // in force
	readAt  time.Duration // when the counters were read last
	first   int64         // delivered bytes at the first step
	packets int64         // the same
	drops   int64         // the same
	service trace.Service
	event   *Event // going on

	// Of the counters.
	last replay.CounterRow

	arrived   []float64 // packets that came to the path, by bin
	pathDrops []float64 // packets that it lost, by bin
}

// logReader takes the log's rows in.
type logReader struct {
	r                         *Report
	dirs                      map[trace.LinkDir]*dirLog
	order                     []*dirLog
	lateness, exchange, skew  replay.Histogram
	groupDue, groupFirst, end int64
	group                     int
}

func newLogReader(r *Report) *logReader {
	l := &logReader{r: r, dirs: make(map[trace.LinkDir]*dirLog)}
	n := r.bins()
	for _, m := range r.Manifest.Links {
		d := &dirLog{Direction: Direction{Link: m.Link, Dir: m.Dir, Shaper: m.Shaper, nested: m.Nested}}
		for _, b := range []*[]float64{&d.tape, &d.bytes, &d.rtt, &d.loss, &d.clear, &d.arrived, &d.pathDrops} {
			*b = make([]float64, n)
		}
		l.dirs[linkDir(m.Link, m.Dir)] = d
		l.order = append(l.order, d)
	}
	return l
}

func (l *logReader) read() error {
	for row, err := range replay.LogRows(l.r.file(replay.LogFile)) {
		if err != nil {
			return err
		}
		l.add(row)
	}
	l.endGroup()
	for _, d := range l.order {
		l.hold(d, l.r.Played)
		l.endEvent(d, l.r.Played)
	}
	return nil
}

func (l *logReader) add(row *replay.LogRow) {
	d := l.dirs[linkDir(row.Link, row.Dir)]
	if d == nil {
		return // not of this manifest
	}
	r := l.r
	if row.Hand {
		l.take(d, row)
		return
	}
	r.Steps++
	d.Steps++
	l.lateness.Add(time.Duration(row.Sent - row.Due))
	l.exchange.Add(time.Duration(row.Acked - row.Sent))
	if row.Hold > 0 && row.Sent >= row.Due+row.Hold {
		r.Missed++
	}
	if l.group == 0 || row.Due != l.groupDue {
		l.endGroup()
		l.groupDue, l.groupFirst = row.Due, row.Acked
	}
	l.group++
	l.end = row.Acked
	l.take(d, row)
}

// take takes in what a row says of its direction.
func (l *logReader) take(d *dirLog, row *replay.LogRow) {
	r := l.r
	if !d.begun {
		d.begun, d.first, d.packets, d.drops = true, row.Bytes, row.Packets, row.Drops
	} else {
		l.hold(d, time.Duration(row.Due))
		if !row.Carried {
			r.spread(d.bytes, d.readAt, time.Duration(row.Due), float64(max(row.Bytes-d.row.Bytes, 0)))
		}
	}
	if !row.Carried {
		d.readAt = time.Duration(row.Due)
	}
	if what := whatOf(row); d.event == nil || d.event.Label != row.Label || d.event.What != what {
		l.endEvent(d, time.Duration(row.Due))
		d.event = &Event{At: time.Duration(row.Due), Link: row.Link, Dir: row.Dir, Label: row.Label, What: what}
	}
	d.row = *row
}

func (l *logReader) endGroup() {
	if l.group > 1 {
		l.skew.Add(time.Duration(l.end - l.groupFirst))
	}
	l.group = 0
}

// whatOf says how nothing passes.
func whatOf(row *replay.LogRow) string {
	switch {
	case !row.Carrier:
		return "no carrier"
	case row.Rate == 0:
		return "stall"
	case row.Loss >= 1:
		return "loses all"
	}
	return ""
}

// hold settles the state in force until an instant.
func (l *logReader) hold(d *dirLog, to time.Duration) {
	from := time.Duration(d.row.Due)
	if to = min(to, l.r.Played); !d.begun || to <= from {
		return
	}
	r, row := l.r, &d.row
	rate := trace.BitRate(row.Rate)
	if !row.Carrier {
		rate = 0
	}
	var s trace.Service
	s.Add(rate, to-from)
	d.service.AddService(s)
	r.spread(d.tape, from, to, float64(rate)/1e6*(to-from).Seconds())
	r.spread(d.rtt, from, to, float64(row.Delay)/1e6*(to-from).Seconds())
	if whatOf(row) != "" {
		d.Outage += to - from
		return
	}
	r.spread(d.clear, from, to, (to - from).Seconds())
	r.spread(d.loss, from, to, row.Loss*(to-from).Seconds())
	d.chained = d.chained || row.GEP != 0 || row.GER != 0
}

// endEvent lists the event that was going on, where there is something to say.
func (l *logReader) endEvent(d *dirLog, to time.Duration) {
	e := d.event
	d.event = nil
	if e == nil || e.Label == "" && e.What == "" || to <= e.At {
		return
	}
	e.Duration = to - e.At
	if e.What != "" {
		if n := len(d.spans); n > 0 && d.spans[n-1].to == e.At {
			d.spans[n-1].to = to
		} else {
			d.spans = append(d.spans, span{e.At, to})
		}
	}
	if len(l.r.Events) < mostEvents {
		l.r.Events = append(l.r.Events, *e)
	} else {
		l.r.MoreEvents++
	}
}

// readCounters takes the counters in. They say what was delivered and lost more
// often than steps do, where they were read.
func (r *Report) readCounters(l *logReader) error {
	if r.Manifest.Counters == 0 {
		return nil
	}
	n := r.bins()
	for _, d := range l.order {
		d.bytes, d.backlog, d.delay = make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range d.delay {
			d.delay[i] = math.NaN()
		}
		d.QueueDelay = new(Delays)
	}
	for row, err := range replay.CounterRows(r.file(replay.CountersFile)) {
		if err != nil {
			return err
		}
		d := l.dirs[linkDir(row.Link, row.Dir)]
		if d == nil {
			continue
		}
		d.counted = true
		from, to := time.Duration(d.last.At), time.Duration(row.At)
		r.spread(d.bytes, from, to, float64(row.Bytes-d.last.Bytes))
		r.spread(d.arrived, from, to, float64(row.Packets-d.last.Packets))
		r.spread(d.pathDrops, from, to, float64(row.PathDrops-d.last.PathDrops))
		if i := int(to / r.Bin); i < n {
			d.backlog[i] = max(d.backlog[i], float64(row.Backlog)/1e3)
			if row.QueueDelay >= 0 {
				ms := float64(row.QueueDelay) / 1e6
				if !(d.delay[i] >= ms) {
					d.delay[i] = ms
				}
			}
		}
		d.QueueDelay.total++
		if row.QueueDelay < 0 {
			d.QueueDelay.stuck++
		} else {
			d.QueueDelay.sample.Add(time.Duration(row.QueueDelay))
		}
		d.last = *row
	}
	return nil
}

// sum fills in what follows from the rows.
func (r *Report) sum(l *logReader) {
	r.Lateness, r.Exchange, r.Skew = l.lateness.Distribution(), l.exchange.Distribution(), l.skew.Distribution()
	r.histograms[ofLateness], r.histograms[ofExchange], r.histograms[ofSkew] = l.lateness, l.exchange, l.skew
	slices.SortStableFunc(r.Events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Link, b.Link), cmp.Compare(a.Dir, b.Dir))
	})
	if r.Events == nil {
		r.Events = []Event{}
	}
	for _, d := range l.order {
		d.TapeBytes = d.service.Bytes()
		if d.counted {
			d.DeliveredBytes, d.Packets = d.last.Bytes, d.last.Packets
			d.QueueDrops, d.PathDrops, d.OutageDrops = d.last.QueueDrops, d.last.PathDrops, d.last.OutageDrops
			q := d.QueueDelay
			dist := q.sample.Distribution()
			q.P50, q.P99, q.Max, q.Stuck = dist.P50, dist.P99, dist.Max, float64(q.stuck)/float64(q.total)
		} else {
			d.DeliveredBytes, d.Packets, d.QueueDrops = d.row.Bytes-d.first, d.row.Packets-d.packets, d.row.Drops-d.drops
			if s := r.Summary; s != nil {
				for _, x := range s.Links {
					if x.Link == d.Link && x.Dir == d.Dir {
						d.DeliveredBytes, d.Packets, d.QueueDrops = x.DeliveredBytes, x.Packets, x.Drops
					}
				}
			}
			d.QueueDelay = nil
		}
		if d.TapeBytes > 0 {
			d.Use = float64(d.DeliveredBytes) / float64(d.TapeBytes)
		}
		d.bin(r)
		r.Directions = append(r.Directions, d.Direction)
	}
}

// bin turns the sums of the bins into means.
func (d *dirLog) bin(r *Report) {
	d.lost = make([]float64, len(d.tape))
	d.offered = make([]float64, len(d.tape))
	var offered, expected, lost float64
	for i := range d.tape {
		length := (min(time.Duration(i+1)*r.Bin, r.Played) - time.Duration(i)*r.Bin).Seconds()
		d.lost[i] = math.NaN()
		if length <= 0 {
			d.loss[i] = math.NaN()
			continue
		}
		d.tape[i] /= length
		d.rtt[i] /= length
		d.bytes[i] *= 8 / 1e6 / length // Mbit/s
		if d.clear[i] <= 0 {
			d.loss[i] = math.NaN()
			continue
		}
		d.loss[i] /= d.clear[i]
		if d.clear[i] < 0.999*length {
			continue // which packets met the outage is not known
		}
		if d.arrived[i] > 0 {
			d.lost[i] = min(d.pathDrops[i]/d.arrived[i], 1)
		}
		d.offered[i] = d.arrived[i]
		offered += d.arrived[i]
		expected += d.arrived[i] * d.loss[i]
		lost += d.pathDrops[i]
	}
	if offered > 0 {
		d.TapeLoss, d.PathLoss = expected/offered, lost/offered
	}
}

// clearPackets is the number of packets that came to the path outside outages.
func (d *Direction) clearPackets() float64 {
	sum := 0.0
	for _, n := range d.offered {
		sum += n
	}
	return sum
}
