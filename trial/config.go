package trial

import (
	"errors"
	"fmt"
	"time"

	"linktape/netsetup"
	"linktape/trace"
	"linktape/trial/media"
	"linktape/trial/stack"
)

// Defaults of a trial.
const (
	DefaultRate   = 4 * trace.Mbit
	DefaultBuffer = time.Second
)

// Bounds of a trial.
const (
	MinRate   = 50 * trace.Kbit
	MaxRate   = 500 * trace.Mbit
	MinBuffer = 10 * time.Millisecond
	MaxBuffer = 30 * time.Second
)

// Config is what a trial runs.
type Config struct {
	Name       string
	Source     string             // scenario or tape, for people
	Stack      stack.Stack        // nil: none, the devices under test are outside
	Rate       trace.BitRate      // of the source's transport stream
	Buffer     time.Duration      // for recovery
	Topology   *netsetup.Topology // nil: that of the tape's links
	Cross      []Cross
	Thresholds []Threshold
	RatesOnly  bool // leave delay, jitter and loss of the tape out

	Run     string   // name of the run of links
	Virtual bool     // it runs in the lab
	Inside  []string // how to run a command in a part of the run: these words, RUN, PART, --, the command
	// Progress is told what part of the tape has been played; may be nil.
	Progress func(fraction float64)
}

// Check finds faults of a configuration.
func (c *Config) Check() error {
	var errs []error
	if c.Stack != nil {
		if c.Rate < MinRate || c.Rate > MaxRate {
			errs = append(errs, fmt.Errorf("rate %v: from %v to %v", c.Rate, MinRate, MaxRate))
		}
		if c.Buffer < MinBuffer || c.Buffer > MaxBuffer {
			errs = append(errs, fmt.Errorf("buffer %v: from %v to %v", c.Buffer, MinBuffer, MaxBuffer))
		}
		if c.Buffer%time.Millisecond != 0 {
			errs = append(errs, fmt.Errorf("buffer %v: whole milliseconds", c.Buffer))
		}
	}
	for i := range c.Cross {
		if err := c.Cross[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("cross traffic %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}

// topology is what is built for a tape: its links, with a namespace for cross
// traffic where some is to be.
func (c *Config) topology(meta trace.Meta) (*netsetup.Topology, error) {
	t := c.Topology
	if t == nil {
		t = netsetup.LinksOf(meta)
	}
	have := make(map[string]int)
	for i, l := range t.Links {
		have[l.Name] = i
	}
	for _, l := range meta.Links {
		if _, ok := have[l.Name]; !ok {
			return nil, fmt.Errorf("the topology has no link %s, which the tape plays", l.Name)
		}
	}
	for _, x := range c.Cross {
		i, ok := have[x.Link]
		if !ok {
			return nil, fmt.Errorf("cross traffic on %s: there is no such link", x.Link)
		}
		t.Links[i].Cross = true
	}
	if c.Stack != nil {
		for _, l := range t.Links {
			if l.Sender.Interface != "" || l.Receiver.Interface != "" {
				return nil, fmt.Errorf("link %s ends at an interface of the host, where a stack cannot run: use stack none", l.Name)
			}
		}
	}
	return t, t.Check()
}

// datagramBytes is the payload of the source's datagrams.
const datagramBytes = media.DatagramBytes
