package netsetup

import (
	"fmt"
	"time"

	"linktape/trace"
)

// StateDir is where runs are recorded, one readable file each.
const StateDir = "/run/linktape"

// runFormat is the version of the files in StateDir.
const runFormat = 2

// record is what is known of a run: enough to make its plan again.
type record struct {
	Format   int        `json:"format"`
	Run      string     `json:"run"`
	Created  time.Time  `json:"created"`
	Boot     string     `json:"boot"`            // of the kernel: what another boot recorded is gone
	Builder  processID  `json:"builder"`         // the process that builds or built it
	Owner    *processID `json:"owner,omitempty"` // the process that the run belongs to; none: to nobody
	Complete bool       `json:"complete"`        // false: it is being built, or was left half-built
	Features Features   `json:"features"`
	Topology *Topology  `json:"topology"`
	Found    *Found     `json:"found,omitempty"` // what is to be given back as it was

	// Replaying is set while a replay changes the links, and stays set when it
	// is killed: Applied is out of date then.
	Replaying bool                   `json:"replaying,omitempty"`
	Applied   map[string]trace.State `json:"applied,omitempty"` // by LINK.DIR, what the last replay left
}

// processID is a process, told apart from a later one with the same number.
type processID struct {
	PID       int    `json:"pid"`
	Start     uint64 `json:"start_ticks"`   // after boot: proc_pid_stat(5), starttime
	Namespace string `json:"pid_namespace"` // in which the number counts
}

func (r *record) plan() (*Plan, error) {
	p, err := NewPlan(r.Run, r.Topology, r.Features)
	if err != nil {
		return nil, err
	}
	return p.with(r.Found), nil
}

// RunStatus is what a run is and what the kernel has of it.
type RunStatus struct {
	Run         string       `json:"run"`
	Created     time.Time    `json:"created"`
	Complete    bool         `json:"complete"`
	Owner       int          `json:"owner,omitempty"` // process that the run belongs to: see [GC]
	Links       []LinkStatus `json:"links"`
	Differences []string     `json:"differences,omitempty"` // from the plan; none: all is as planned
	Processes   []Process    `json:"processes,omitempty"`   // that run inside it
	Warnings    []string     `json:"warnings,omitempty"`    // what its links cannot do exactly
}

// LinkStatus is one link of a run.
type LinkStatus struct {
	Name         string     `json:"name"`
	Shaper       ShaperKind `json:"shaper"`
	Netem        bool       `json:"netem"` // the link can delay and lose
	MTU          int        `json:"mtu_bytes"`
	Device       string     `json:"device"` // at the sender's end: in its namespace, or the interface
	FarDevice    string     `json:"receiver_device"`
	SenderAddr   []string   `json:"sender_address"`
	ReceiverAddr []string   `json:"receiver_address"`
	Up           DirStatus  `json:"up"`
	Down         DirStatus  `json:"down"`
}

// ExactStats is what the program of backend: edt counts besides, since the link was
// built.
type ExactStats struct {
	OutageDrops uint64 `json:"outage_drops"` // packets without carrier, or that waited when it was lost
	Beyond      uint64 `json:"beyond"`       // packets whose steps were not known in time
	MaxBacklog  uint64 `json:"max_backlog_bytes"`
	Segmented   uint64 `json:"segmented"` // packets that stood for several on the wire, and are one to the queue
	Unstamped   uint64 `json:"unstamped"` // packets that the kernel would not stamp, and that did not wait

	// QueueTimes counts packets by their time in the queue, with the time to be sent:
	// class k is below 2^k ns and no less than half of it; the 40th has no end. Classes
	// above the last one with a packet are left out.
	QueueTimes []uint64 `json:"queue_times"`
}

// QueueTime is the time in the queue that a share of the packets stayed below, 0 to 1,
// rounded up to a power of two of ns; 0 where none was counted.
func (s *ExactStats) QueueTime(share float64) time.Duration {
	var all, sum uint64
	for _, n := range s.QueueTimes {
		all += n
	}
	for k, n := range s.QueueTimes {
		if sum += n; all > 0 && float64(sum) >= share*float64(all) {
			return 1 << k
		}
	}
	return 0
}

// DirStatus is what the kernel says of one direction.
type DirStatus struct {
	Rate         trace.BitRate `json:"rate_bit_s"`                    // of the token bucket in force; 0: closed, or pulsed
	Pulsed       bool          `json:"pulsed,omitempty"`              // what is granted comes in pulses, of which the kernel does not tell the size
	LimitBytes   int64         `json:"queue_limit_bytes"`             // of CoDel in packets of the MTU, of CAKE in the kernel's memory; 1: of a plug, which tells none
	LimitPackets uint32        `json:"queue_limit_packets,omitempty"` // of a nested tree, whose queue is netem's
	BacklogBytes uint32        `json:"backlog_bytes"`
	Bytes        uint64        `json:"delivered_bytes"` // of IP packets, since the link is up
	Packets      uint64        `json:"delivered_packets"`
	Drops        uint32        `json:"drops"` // packets that found the queue full
	Delay        time.Duration `json:"delay_ns"`
	Jitter       time.Duration `json:"jitter_ns"`
	Loss         trace.Prob    `json:"loss"` // mean, of a chain its stationary loss
	PathDrops    uint32        `json:"path_drops"`

	Exact *ExactStats `json:"exact,omitempty"` // of backend: edt

	CAKE  *CAKEStats    `json:"cake,omitempty"`  // of shaper: cake
	CoDel *FQCoDelStats `json:"codel,omitempty"` // of a queue of kind codel
}

func checkRunName(run string) error {
	if err := trace.CheckName(run); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// Process is one that runs inside a namespace of a run.
type Process struct {
	PID       int    `json:"pid"`
	Command   string `json:"command"`
	Namespace string `json:"namespace"`
}

// Garbage is a run, or what is left of one, that nobody will take down.
type Garbage struct {
	Run  string `json:"run"`
	Why  string `json:"why"`            // nobody will
	Left string `json:"left,omitempty"` // why it is still there; empty: it is gone, or would be
}
