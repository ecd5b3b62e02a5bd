package replay

import (
	"time"

	"linktape/internal/table"
	"linktape/trace"
)

// LogRow is one row of the applied log: what a step asked for, when it was
// due, sent and acknowledged, and the counters of its bottleneck at that time.
// Instants are nanoseconds since the epoch.
type LogRow struct {
	Due      int64   `parquet:"due_ns"`
	Sent     int64   `parquet:"sent_ns"`
	Acked    int64   `parquet:"acked_ns"`
	Tape     int64   `parquet:"tape_ns"` // the step's own instant on the tape
	Loop     int64   `parquet:"loop"`
	Link     string  `parquet:"link"`
	Dir      string  `parquet:"dir"`
	Hold     int64   `parquet:"hold_ns"` // until the next step; 0: longer than a second
	Rate     int64   `parquet:"rate_bit_s"`
	Delay    int64   `parquet:"delay_ns"`
	Jitter   int64   `parquet:"jitter_ns"`
	Loss     float64 `parquet:"loss"` // mean, of a chain its stationary loss
	Carrier  bool    `parquet:"carrier"`
	Label    string  `parquet:"label"`
	Messages int64   `parquet:"messages"`
	Closed   bool    `parquet:"closed"`
	Kicked   bool    `parquet:"kicked"`
	Bytes    int64   `parquet:"delivered_bytes"` // since the link is up
	Packets  int64   `parquet:"delivered_packets"`
	Drops    int64   `parquet:"queue_drops"`
	Backlog  int64   `parquet:"backlog_bytes"`
}

// ReadLog reads an applied log.
func ReadLog(file string) ([]LogRow, error) { return table.ReadFile[LogRow](file) }

// logRecords writes what comes through the ring until it is closed.
func logRecords(records *ring[Record], dirs []trace.LinkDir, w *table.Writer[LogRow]) error {
	for !records.ended() {
		r := records.peek()
		if r == nil {
			time.Sleep(nap)
			continue
		}
		ld := dirs[r.Dir]
		row := LogRow{
			Due: int64(r.At), Sent: int64(r.Sent), Acked: int64(r.Acked), Tape: int64(r.Tape), Loop: int64(r.Loop),
			Link: ld.Link, Dir: ld.Dir.String(), Hold: int64(r.Hold),
			Rate: int64(r.State.Rate), Delay: int64(r.State.Delay), Jitter: int64(r.State.Jitter),
			Loss: r.State.MeanLoss(), Carrier: r.State.Carrier, Label: r.State.Label,
			Messages: int64(r.Messages), Closed: r.Closed, Kicked: r.Kicked,
			Bytes: int64(r.Bytes), Packets: int64(r.Packets), Drops: int64(r.Drops), Backlog: int64(r.BacklogBytes),
		}
		records.drop()
		if err := w.Write(&row); err != nil {
			return err
		}
	}
	return w.Close()
}
