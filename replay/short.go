package replay

import (
	"fmt"
	"time"

	"linktape/trace"
)

// coarse are endpoints that are told of a step when it begins, and so not of one
// that is over before they have been told.
type coarse interface{ LeastStep() time.Duration }

// short finds steps of a window that serve something and are over too soon to be
// told, such as delivery opportunities. A stall may be as short as it likes: what
// it keeps back is next to nothing.
type short struct {
	sched  *schedule
	least  []time.Duration // by direction; 0: any step can be told
	before []trace.Step    // by direction, the newest step
}

func newShort(sched *schedule, endpoints []Endpoint) *short {
	c := &short{sched: sched, least: make([]time.Duration, len(endpoints)), before: make([]trace.Step, len(endpoints))}
	for i, e := range endpoints {
		if e, ok := e.(coarse); ok {
			c.least[i] = e.LeastStep()
		}
	}
	return c
}

// add takes a direction's next step.
func (c *short) add(dir int, s *trace.Step) error {
	err := c.held(dir, s.At)
	c.before[dir] = *s
	return err
}

// finish says that every direction's last step ends with the window.
func (c *short) finish() error {
	for dir := range c.before {
		if err := c.held(dir, c.sched.to); err != nil {
			return err
		}
	}
	return nil
}

func (c *short) held(dir int, to time.Duration) error {
	s := &c.before[dir]
	from := max(s.At, c.sched.from)
	if d := c.sched.scaled(to - from); s.Capacity() > 0 && d > 0 && d < c.least[dir] {
		return fmt.Errorf("the tape has a step of %v at %v on %v at %v, too short for a bottleneck of qdiscs, which takes steps from %v on: "+
			"build the link with backend: edt, which plays it as it is, give the tape longer ones (tracegen resample --step 5ms), or import its trace with --step in place of --opportunities",
			d, s.Rate, s.LinkDir(), s.At, c.least[dir])
	}
	return nil
}
