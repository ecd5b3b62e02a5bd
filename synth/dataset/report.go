package dataset

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
)

// Report says what [Set.Make] did.
type Report struct {
	Dir       string    `json:"dir"`
	Scenarios []Summary `json:"scenarios"`
	Failures  []Failure `json:"failures"` // in the order of scenarios and seeds
	Failed    int64     `json:"failed"`   // tapes that failed
	Left      int64     `json:"left"`     // tapes that were not tried, because of Stop
	Warnings  []string  `json:"warnings"`

	// Stop is why not all tapes were tried: the context's error, or one that
	// says that the disk is full. It is nil when all were.
	Stop error `json:"-"`
}

// Summary says what became of a scenario's tapes.
type Summary struct {
	Scenario string `json:"scenario"`
	Tapes    int64  `json:"tapes"` // asked for
	Made     int64  `json:"made"`
	Kept     int64  `json:"kept"`
	Failed   int64  `json:"failed"`
	Steps    int64  `json:"steps"` // of the tapes that were made or kept
	Bytes    int64  `json:"bytes"` // likewise, in files
}

// Total returns the sums over the scenarios.
func (r *Report) Total() Summary {
	var t Summary
	for _, s := range r.Scenarios {
		t.Tapes += s.Tapes
		t.Made += s.Made
		t.Kept += s.Kept
		t.Failed += s.Failed
		t.Steps += s.Steps
		t.Bytes += s.Bytes
	}
	return t
}

// Failure is why a tape is not there, or none of a scenario is.
type Failure struct {
	Scenario string
	Seed     *uint64 // nil: all that was to be made of the scenario
	Err      error

	order int // of the scenario; -1: its file could not be read
}

// String says what failed, and why.
func (f *Failure) String() string {
	switch {
	case f.order < 0: // the error names the file
		return f.Err.Error()
	case f.Seed == nil:
		return "scenario=" + f.Scenario + ": " + f.Err.Error()
	}
	return "scenario=" + f.Scenario + "/seed=" + strconv.FormatUint(*f.Seed, 10) + ": " + f.Err.Error()
}

// MarshalJSON writes the error as text.
func (f Failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Scenario string  `json:"scenario"`
		Seed     *uint64 `json:"seed,omitempty"`
		Error    string  `json:"error"`
	}{f.Scenario, f.Seed, f.Err.Error()})
}

func sortFailures(failures []Failure) {
	slices.SortStableFunc(failures, func(a, b Failure) int {
		switch {
		case a.order != b.order:
			return cmp.Compare(a.order, b.order)
		case a.Seed == nil || b.Seed == nil:
			return 0
		}
		return cmp.Compare(*a.Seed, *b.Seed)
	})
}
