package edit

import (
	"fmt"
	"strings"

	"linktape/trace"
)

// Mode says what an outage does to a link. The kind decides how a bonding sender
// notices it, and what it costs.
type Mode uint8

const (
	DropBoth    Mode = iota // every packet is lost, both ways
	DropUp                  // every packet of the uplink is lost
	DropDown                // every packet of the downlink is lost: data arrives, feedback does not
	Stall                   // nothing leaves, the queues stay; what waits is sent afterwards
	CarrierDown             // the interface is down, as when a modem is gone; the queues are lost
)

// Modes lists the modes by name, in the order of their constants.
func Modes() []string { return []string{"drop-both", "drop-up", "drop-down", "stall", "carrier-down"} }

// String returns the mode's name, such as "drop-both".
func (m Mode) String() string {
	if int(m) < len(Modes()) {
		return Modes()[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// ParseMode reads the name of a mode.
func ParseMode(s string) (Mode, error) {
	for i, name := range Modes() {
		if s == name {
			return Mode(i), nil
		}
	}
	return 0, fmt.Errorf("outage mode %q: write one of %s", s, strings.Join(Modes(), ", "))
}

// LabelOutage labels the directions that an outage concerns.
const LabelOutage = "outage"

// Concerns reports whether an outage of the mode changes the direction.
func (m Mode) Concerns(d trace.Direction) bool {
	return m != DropUp && m != DropDown || (m == DropUp) == (d == trace.Up)
}

// Apply puts one direction of a link into an outage of the mode. A direction
// that the mode does not concern stays as it is.
func (m Mode) Apply(d trace.Direction, s *trace.State) {
	if !m.Concerns(d) {
		return
	}
	switch m {
	case Stall:
		s.Rate = 0
	case CarrierDown:
		s.Carrier = false
	default:
		s.Loss, s.GE = 1, trace.GE{}
	}
	s.Label = LabelOutage
}
