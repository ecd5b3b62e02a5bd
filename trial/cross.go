package trial

import (
	"fmt"
	"strings"
	"time"

	"linktape/trace"
)

// Kinds of cross traffic.
const (
	CrossTCP = "tcp" // as fast as its congestion control goes
	CrossUDP = "udp" // at a constant rate, on and off
)

// maxCross bounds the rate of a flow.
const maxCross = 10 * trace.Gbit

// Cross is a flow of other traffic through a link's bottleneck.
type Cross struct {
	Link       string        `json:"link"`
	Dir        string        `json:"dir"`                  // up or down
	Kind       string        `json:"kind"`                 // CrossTCP or CrossUDP
	Congestion string        `json:"congestion,omitempty"` // of TCP, as the kernel names it
	Rate       trace.BitRate `json:"rate_bit_s,omitempty"` // of UDP while it is on, in bytes of IP packets
	On         time.Duration `json:"on_ns,omitempty"`      // of UDP; 0: always
	Off        time.Duration `json:"off_ns,omitempty"`
	At         time.Duration `json:"at_ns"`       // when it begins, since the epoch
	Duration   time.Duration `json:"duration_ns"` // 0: to the trial's end
}

// CrossRow is what a flow of cross traffic delivered in a time.
type CrossRow struct {
	At    int64  `parquet:"t_ns"` // the interval's end
	Flow  int64  `parquet:"flow"` // its place in the manifest's list, from 0
	Link  string `parquet:"link"`
	Dir   string `parquet:"dir"`
	Kind  string `parquet:"kind"`
	Bytes int64  `parquet:"bytes"` // of payload, that arrived since the flow began
}

// congestions are the algorithms that a flow may ask for.
func congestions() []string { return []string{"cubic", "bbr", "reno"} }

func (x *Cross) check() error {
	switch {
	case x.Dir != trace.Up.String() && x.Dir != trace.Down.String():
		return fmt.Errorf("dir %q: up or down", x.Dir)
	case x.Kind != CrossTCP && x.Kind != CrossUDP:
		return fmt.Errorf("kind %q: tcp or udp", x.Kind)
	case x.Kind == CrossUDP && (x.Rate <= 0 || x.Rate > maxCross):
		return fmt.Errorf("rate %v: above 0, up to %v", x.Rate, maxCross)
	case (x.On == 0) != (x.Off == 0):
		return fmt.Errorf("on and off: both or neither")
	case x.At < 0 || x.Duration < 0 || x.On < 0 || x.Off < 0:
		return fmt.Errorf("a negative time")
	case x.Kind == CrossTCP && x.Congestion == "":
		return fmt.Errorf("congestion: one of %s", strings.Join(congestions(), ", "))
	}
	return nil
}

// Threshold is a bound of a metric.
type Threshold struct {
	Metric string   `json:"metric"`
	Min    *float64 `json:"min,omitempty"`
	Max    *float64 `json:"max,omitempty"`
}
