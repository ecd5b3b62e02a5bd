//go:build !linux

package watch

import (
	"errors"
	"net/netip"
	"time"
)

// Pinger sends ICMP echo requests; only on Linux.
type Pinger struct{ *tracker }

// OpenPinger fails: pings by an interface need Linux.
func OpenPinger(string, netip.Addr, time.Duration) (*Pinger, error) {
	return nil, errors.New("pings by an interface need Linux")
}

// Send does nothing.
func (p *Pinger) Send() {}

// Take returns nothing.
func (p *Pinger) Take() Echo { return Echo{} }

// Close does nothing.
func (p *Pinger) Close() error { return nil }
