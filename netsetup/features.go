package netsetup

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotSupported marks what this kernel or system cannot do. Its text reads
// on with what that is.
var ErrNotSupported = errors.New("not supported by this kernel")

// Features are what a kernel can do, found by trying ([Probe]).
type Features struct {
	IPv6  bool `json:"ipv6"`
	HTB   bool `json:"htb"`   // shaper: htb
	Netem bool `json:"netem"` // delay, jitter, loss and what else a path does

	CAKE    bool `json:"cake"`     // shaper: cake
	FQCoDel bool `json:"fq_codel"` // a queue of kind codel

	Plug bool `json:"plug"` // shaper: pulse
	Prio bool `json:"prio"` // a pulse whose queue is CAKE or CoDel

	EDT bool `json:"edt"` // backend: edt

	// PulseKept: no pulse is lost to the next one (Linux 6.4).
	PulseKept bool `json:"pulse_kept"`

	// NetemSeed: the same seed loses the same packets (Linux 6.6).
	NetemSeed bool `json:"netem_seed"`

	// NetemDuplicate: a path can duplicate packets.
	NetemDuplicate bool `json:"netem_duplicate"`
}

// AllFeatures are those of a kernel that has everything.
func AllFeatures() Features {
	return Features{IPv6: true, HTB: true, Netem: true, CAKE: true, FQCoDel: true, Plug: true, Prio: true, PulseKept: true, EDT: true, NetemSeed: true, NetemDuplicate: true}
}

// Feature is one thing that a run needs of the kernel.
type Feature struct {
	Name string `json:"name"`
	What string `json:"what"`          // what it is for
	Need string `json:"need"`          // the kernel option and module
	Err  string `json:"err,omitempty"` // why it is missing; empty: it works
}

// optional reports whether links can be built without the feature.
func (f *Feature) optional() bool {
	switch f.Name {
	case "htb", "netem", "cake", "fq_codel", "plug", "prio", featureEDT, "ipv6", featurePulseKept, featureSeed, featureSeedKept, featureDuplicate:
		return true
	}
	return false
}

// missing returns the error that names every missing feature that all links
// need; nil when none is missing.
func missing(found []Feature) error {
	var names []string
	for _, f := range found {
		if f.Err != "" && !f.optional() {
			names = append(names, fmt.Sprintf("%s for %s (%s: %s)", f.Name, f.What, f.Need, f.Err))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotSupported, strings.Join(names, "; "))
}
