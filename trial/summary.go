package trial

import (
	"path/filepath"
	"slices"
	"time"

	"linktape/internal/table"
	"linktape/trial/media"
)

// Summary is what source and sink say of a trial, for datagrams that were sent after
// the warm-up and before the cool-down.
type Summary struct {
	Sent        int64         `json:"sent"`
	Received    int64         `json:"received"` // different datagrams that came at all
	Lost        int64         `json:"lost"`
	Duplicates  int64         `json:"duplicates"`
	OutOfOrder  int64         `json:"out_of_order"`
	Latency     Quantiles     `json:"latency"`
	LongestGap  time.Duration `json:"longest_gap_ns"`
	StartupLoss int64         `json:"startup_loss"` // datagrams lost before the first that came, of all
}

// Quantiles of durations.
type Quantiles struct {
	P50 time.Duration `json:"p50_ns"`
	P95 time.Duration `json:"p95_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// Summarize reads a trial's folder.
func Summarize(dir string) (*Summary, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	from, to := int64(m.WarmUp), int64(m.Duration-m.CoolDown)
	within := func(sent int64) bool { return sent >= from && sent < to }
	s := new(Summary)
	for row, err := range table.Rows[media.SourceRow](filepath.Join(dir, SourceFile)) {
		if err != nil {
			return nil, err
		}
		if within(row.Sent) {
			s.Sent++
		}
	}
	var latency []time.Duration
	seen := make(map[int64]bool)
	highest, last, first := int64(-1), int64(-1), int64(-1)
	for row, err := range table.Rows[media.SinkRow](filepath.Join(dir, SinkFile)) {
		if err != nil {
			return nil, err
		}
		if first < 0 || row.Seq < first {
			first = row.Seq
		}
		if !within(row.Sent) {
			continue
		}
		if seen[row.Seq] {
			s.Duplicates++
			continue
		}
		seen[row.Seq] = true
		s.Received++
		if row.Seq < highest {
			s.OutOfOrder++
		}
		highest = max(highest, row.Seq)
		latency = append(latency, time.Duration(row.Arrived-row.Sent))
		if last >= 0 {
			s.LongestGap = max(s.LongestGap, time.Duration(row.Arrived-last))
		}
		last = row.Arrived
	}
	s.Lost, s.StartupLoss = s.Sent-s.Received, max(first, 0)
	slices.Sort(latency)
	if n := len(latency); n > 0 {
		at := func(part float64) time.Duration { return latency[min(int(part*float64(n)), n-1)] }
		s.Latency = Quantiles{at(.5), at(.95), at(.99), latency[n-1]}
	}
	return s, nil
}
