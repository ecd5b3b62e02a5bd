package netsetup

import (
	"testing"
	"time"

	"linktape/trace"
)

// Throughput, drops and the queue's delay follow from two samples.
func TestSampleSince(t *testing.T) {
	start := time.Unix(1000, 0)
	ms := func(n float64) *time.Duration {
		d := time.Duration(n * float64(time.Millisecond))
		return &d
	}
	at := func(after time.Duration, bytes uint64, backlog uint32, drops uint32, rate trace.BitRate) *Sample {
		return &Sample{Time: start.Add(after), DirStatus: DirStatus{Bytes: bytes, BacklogBytes: backlog, Drops: drops, Rate: rate}}
	}
	for _, c := range []struct {
		name          string
		before, after *Sample
		throughput    trace.BitRate
		drops         uint32
		queueDelay    *time.Duration // nil: not known
	}{
		{"first, idle", nil, at(0, 5000, 0, 3, trace.Mbit), 0, 0, ms(0)},
		{"first, backlog", nil, at(0, 5000, 1000, 3, trace.Mbit), 0, 0, ms(8)},
		{"busy", at(0, 5000, 0, 3, trace.Mbit), at(500*time.Millisecond, 67500, 12500, 7, trace.Mbit), trace.Mbit, 4, ms(100)},
		{"busy at another rate than the bucket's", at(0, 0, 0, 0, trace.Gbit), at(time.Second, 125000, 125000, 0, trace.Gbit), trace.Mbit, 0, ms(1000)},
		{"nothing left in the interval", at(0, 0, 0, 0, trace.Mbit), at(time.Second, 0, 1000, 0, trace.Mbit), 0, 0, ms(8)},
		{"closed", at(0, 0, 0, 0, 0), at(time.Second, 0, 1000, 0, 0), 0, 0, nil},
		{"closed and empty", at(0, 0, 0, 0, 0), at(time.Second, 0, 0, 0, 0), 0, 0, ms(0)},
		{"made anew", at(0, 5000, 0, 9, trace.Mbit), at(time.Second, 100, 0, 1, trace.Mbit), 0, 0, ms(0)},
		{"no time passed", at(0, 0, 0, 0, trace.Mbit), at(0, 5000, 0, 0, trace.Mbit), 0, 0, ms(0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.after.since(c.before)
			s := c.after
			if s.Throughput != c.throughput || s.IntervalDrops != c.drops {
				t.Errorf("throughput %v, %d drops; want %v, %d", s.Throughput, s.IntervalDrops, c.throughput, c.drops)
			}
			if c.before != nil && s.Interval != s.Time.Sub(c.before.Time) {
				t.Errorf("interval %v", s.Interval)
			}
			switch {
			case (s.QueueDelay == nil) != (c.queueDelay == nil):
				t.Errorf("queue delay %v, want %v", s.QueueDelay, c.queueDelay)
			case c.queueDelay != nil && *s.QueueDelay != *c.queueDelay:
				t.Errorf("queue delay %v, want %v", *s.QueueDelay, *c.queueDelay)
			}
		})
	}
}
