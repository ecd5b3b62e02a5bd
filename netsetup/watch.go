package netsetup

import (
	"errors"
	"time"

	"linktape/trace"
)

// ErrGone marks the error of a run that was taken down while it was watched.
var ErrGone = errors.New("was taken down")

// Sample is one direction of one link at one instant: what the kernel says of
// it, and how that changed since the sample before.
type Sample struct {
	Time      time.Time `json:"time"`
	Run       string    `json:"run"`
	Link      string    `json:"link"`
	Dir       string    `json:"dir"`       // up or down
	Replaying bool      `json:"replaying"` // a replay changes the run's links
	Carrier   bool      `json:"carrier"`   // false: the interface is down
	DirStatus

	// Of the time since the sample before; zero in the first.
	Interval      time.Duration `json:"interval_ns"`
	Throughput    trace.BitRate `json:"throughput_bit_s"` // of IP packets that left the bottleneck
	IntervalDrops uint32        `json:"interval_drops"`   // packets that found the queue full

	// QueueDelay is how long what waits now will take to leave, as long as the
	// interval's throughput lasts, or, where nothing left, at the bucket's rate.
	// Nil: not known, since nothing leaves.
	QueueDelay *time.Duration `json:"queue_delay_ns"`
}

// since fills in what follows from the sample before.
func (s *Sample) since(before *Sample) {
	if before != nil {
		s.Interval = s.Time.Sub(before.Time)
		if s.Bytes >= before.Bytes && s.Interval > 0 { // else the link was made anew
			s.Throughput = trace.BitRate(float64(s.Bytes-before.Bytes) * 8 / s.Interval.Seconds())
		}
		if s.Drops >= before.Drops {
			s.IntervalDrops = s.Drops - before.Drops
		}
	}
	rate := s.Throughput
	if rate == 0 {
		rate = s.Rate
	}
	switch {
	case s.BacklogBytes == 0:
		s.QueueDelay = new(time.Duration)
	case rate > 0:
		d := time.Duration(float64(s.BacklogBytes) * 8 / float64(rate) * 1e9)
		s.QueueDelay = &d
	}
}
