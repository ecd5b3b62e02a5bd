package replay

import (
	"iter"
	"time"

	"linktape/internal/table"
)

// LogRows reads an applied log a row at a time, in bounded memory; a row is valid
// until the next one. An error ends it.
func LogRows(file string) iter.Seq2[*LogRow, error] { return table.Rows[LogRow](file) }

// CounterRows reads the counters as LogRows reads the log.
func CounterRows(file string) iter.Seq2[*CounterRow, error] { return table.Rows[CounterRow](file) }

// ReadBackRows reads what was read back as LogRows reads the log.
func ReadBackRows(file string) iter.Seq2[*ReadBackRow, error] { return table.Rows[ReadBackRow](file) }

// Histogram counts durations, from 0 to an hour, in bins of at most 1.6 % width.
// The zero value is empty.
type Histogram struct{ h histogram }

// Add counts a duration.
func (h *Histogram) Add(d time.Duration) { h.h.add(d) }

// Count is the number of durations.
func (h *Histogram) Count() int64 { return h.h.n }

// Distribution returns the quantiles.
func (h *Histogram) Distribution() Distribution { return h.h.distribution() }

// Bins tells the bins that hold any, in order: from the first duration to before
// the last one.
func (h *Histogram) Bins(each func(from, to time.Duration, n int64)) {
	for i, n := range h.h.counts {
		if n > 0 {
			each(lowest(i), lowest(i+1), n)
		}
	}
}
