package metrics

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"time"

	"linktape/replay"
	"linktape/trace"
)

// counted are sums of a direction's counters, between two instants.
type counted struct {
	bytes, packets, queue, path, outage float64
}

func (c counted) minus(d counted) counted {
	return counted{c.bytes - d.bytes, c.packets - d.packets, c.queue - d.queue, c.path - d.path, c.outage - d.outage}
}

func sums(row *replay.CounterRow) counted {
	return counted{float64(row.Bytes), float64(row.Packets), float64(row.QueueDrops), float64(row.PathDrops), float64(row.OutageDrops)}
}

// between is what the counters were at an instant between two readings.
func between(a, b *replay.CounterRow, at int64) counted {
	if b.At <= a.At {
		return sums(b)
	}
	f := float64(at-a.At) / float64(b.At-a.At)
	x, y := sums(a), sums(b)
	mix := func(x, y float64) float64 { return x + float64(f*(y-x)) }
	return counted{mix(x.bytes, y.bytes), mix(x.packets, y.packets), mix(x.queue, y.queue), mix(x.path, y.path), mix(x.outage, y.outage)}
}

// counterState is what was read of a link's counters, upwards.
type counterState struct {
	there    bool
	last     replay.CounterRow // from 0 at the epoch
	from, to counted           // at the edges of the window
	backlog  float64           // packets, at the end
	delay    sample            // of the queue, in the window
	stuck    int64             // readings at which nothing left
	readings int64             // in the window
}

// window is what was counted in it.
func (c *counterState) window() counted { return c.to.minus(c.from) }

// readCounters reads the links' counters, where there are any.
func (a *analysis) readCounters() error {
	file := filepath.Join(a.dir, replayDir, replay.CountersFile)
	for row, err := range replay.CounterRows(file) {
		if errors.Is(err, os.ErrNotExist) {
			a.find("the links' counters were not read, so that losses cannot be told apart and queues are not known: play the tape with replay run --counters 100ms")
			return nil
		}
		if err != nil {
			return err
		}
		l := a.byName[row.Link]
		if l == nil || row.Dir != trace.Up.String() {
			continue
		}
		c := &l.counters
		if !c.there {
			c.there = true
			c.last = replay.CounterRow{}
		}
		for _, edge := range []struct {
			at   int64
			into *counted
		}{{a.from, &c.from}, {a.to, &c.to}} {
			if c.last.At < edge.at && row.At >= edge.at {
				*edge.into = between(&c.last, row, edge.at)
			}
		}
		if a.in(row.At) {
			c.readings++
			if row.QueueDelay < 0 {
				c.stuck++
			} else {
				c.delay.add(time.Duration(row.QueueDelay))
			}
		}
		if i := a.binOf(row.At); i >= 0 {
			ms := float64(row.QueueDelay) / 1e6
			if row.QueueDelay < 0 {
				ms = math.Inf(1) // nothing leaves: of the bin, more than any other
			}
			if !(l.queue[i] >= ms) {
				l.queue[i] = ms
			}
		}
		c.backlog = float64(row.BacklogPackets)
		c.last = *row
	}
	for _, l := range a.links {
		c := &l.counters
		if !c.there {
			a.findOn(l, "link %s: there are no counters of it", l.name)
			continue
		}
		// A replay that ended early has nothing after.
		if c.last.At < a.from {
			c.from = sums(&c.last)
		}
		if c.last.At < a.to {
			c.to = sums(&c.last)
			if a.to-c.last.At > 3*int64(bin) {
				a.findOn(l, "link %s: its counters end at %v: the replay was stopped early", l.name, time.Duration(c.last.At).Round(time.Millisecond))
			}
		}
	}
	return nil
}
