package replay

import "time"

// Summary says what a replay did, and how well.
type Summary struct {
	Tape     string        `json:"tape_sha256"`
	Epoch    time.Time     `json:"epoch"`                 // the wall clock at the window's first instant
	Start    string        `json:"start"`                 // what began it: now, at, or the event waited for
	Detected time.Duration `json:"detected_ns,omitempty"` // how long that event was past when it was seen
	Joined   time.Duration `json:"joined_ns,omitempty"`   // how far into it its first steps were: its instant had passed
	From     time.Duration `json:"from_ns"`
	Speed    float64       `json:"speed"`     // of the tape's time against the replay's
	Played   time.Duration `json:"played_ns"` // from the epoch to the end
	Loops    int           `json:"loops"`     // times that the window was begun
	Steps    int64         `json:"steps"`
	Messages int64         `json:"messages"` // to the kernel
	Kicks    int64         `json:"kicks"`    // queues woken

	Realtime  bool          `json:"realtime"`         // the loop ran under SCHED_FIFO
	Locked    bool          `json:"memory_locked"`    // no page fault could delay it
	Lateness  Distribution  `json:"lateness"`         // of a step's exchange with the kernel beginning
	Wake      Distribution  `json:"wake"`             // of the first exchange of each instant
	Exchange  Distribution  `json:"exchange"`         // how long it took
	Skew      Distribution  `json:"skew"`             // between the first and the last link to get the steps of one instant
	Missed    int64         `json:"missed"`           // steps applied when the direction's next one was due
	Starved   int64         `json:"starved"`          // times that the loop waited a millisecond for the tape
	Unlogged  int64         `json:"unlogged"`         // steps missing in the applied log
	Beyond    int64         `json:"beyond,omitempty"` // packets that came before the kernel knew the steps that decide on them, with backend edt
	LookAhead time.Duration `json:"look_ahead_ns"`    // the least by which the steps read were ahead of one that was due

	Wall *WallClock `json:"wall_clock,omitempty"`

	Metering *MeteringReport `json:"metering,omitempty"`  // of the links, beside the loop
	ReadBack *ReadBackReport `json:"read_back,omitempty"` // what the kernel has, against what it was told

	Acts   int   `json:"by_hand,omitempty"` // commands given by hand that changed something
	Retold int64 `json:"retold,omitempty"`  // states that the kernel was told for them, beside the steps

	RatesOnly bool         `json:"rates_only"` // delay and loss of the tape were left out
	Stopped   bool         `json:"stopped"`    // before the end, by a signal or an error
	Left      string       `json:"left"`       // what the links were left in: keep, restore or neutral; unknown after an error
	Warnings  []string     `json:"warnings,omitempty"`
	Links     []LinkReport `json:"links"`
}

// LinkReport is what one direction did in a replay.
type LinkReport struct {
	Link            string  `json:"link"`
	Dir             string  `json:"dir"`
	Shaper          string  `json:"shaper,omitempty"`     // the bottleneck, where the links say it
	ShaperWhy       string  `json:"shaper_why,omitempty"` // why it was chosen; empty: asked for by name
	Steps           int64   `json:"steps"`
	TapeBytes       int64   `json:"tape_bytes"`      // that the tape allowed while it played
	DeliveredBytes  int64   `json:"delivered_bytes"` // of IP packets
	Packets         int64   `json:"delivered_packets"`
	Drops           int64   `json:"queue_drops"` // packets that found the queue full
	MaxBacklogBytes int64   `json:"max_backlog_bytes"`
	Closed          int64   `json:"closed_steps"` // steps that held the queue
	Use             float64 `json:"use"`          // delivered / allowed
	Saturated       float64 `json:"saturated"`    // share of time between two steps that both found a backlog
	Deviation       float64 `json:"deviation"`    // delivered / allowed − 1 in that time; 0 without any
}
