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
	GEP      float64 `parquet:"ge_p"` // the chain's parameters; all 0: none
	GER      float64 `parquet:"ge_r"`
	GEBad    float64 `parquet:"ge_loss_bad"`
	GEGood   float64 `parquet:"ge_loss_good"`
	Double   float64 `parquet:"duplicate"`
	Corrupt  float64 `parquet:"corrupt"`
	Reorder  float64 `parquet:"reorder"`
	Carrier  bool    `parquet:"carrier"`
	Label    string  `parquet:"label"`
	Bucket   int64   `parquet:"bucket_bit_s"` // what the token bucket was told, which carries the step's bytes as rate and burst
	Burst    int64   `parquet:"bucket_bytes"`
	Messages int64   `parquet:"messages"`
	Closed   bool    `parquet:"closed"`
	Kicked   bool    `parquet:"kicked"`
	Hand     bool    `parquet:"by_hand"`         // not the tape's: told anew because of what was done by hand
	Bytes    int64   `parquet:"delivered_bytes"` // since the link is up
	Packets  int64   `parquet:"delivered_packets"`
	Drops    int64   `parquet:"queue_drops"`
	Backlog  int64   `parquet:"backlog_bytes"`
	Carried  bool    `parquet:"counters_carried"` // the counters are those of the step before: the queue was idle then, and they were not read
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
		row := rowOf(r, dirs[r.Dir])
		records.drop()
		if err := w.Write(&row); err != nil {
			return err
		}
	}
	return w.Close()
}

// rowOf is a record's row.
func rowOf(r *Record, ld trace.LinkDir) LogRow {
	s := &r.State
	return LogRow{
		Due: int64(r.At), Sent: int64(r.Sent), Acked: int64(r.Acked), Tape: int64(r.Tape), Loop: int64(r.Loop),
		Link: ld.Link, Dir: ld.Dir.String(), Hold: int64(r.Hold),
		Rate: int64(s.Rate), Delay: int64(s.Delay), Jitter: int64(s.Jitter), Loss: s.MeanLoss(),
		GEP: float64(s.GE.P), GER: float64(s.GE.R), GEBad: float64(s.GE.LossBad), GEGood: float64(s.GE.LossGood),
		Double: float64(s.Duplicate), Corrupt: float64(s.Corrupt), Reorder: float64(s.Reorder),
		Carrier: s.Carrier, Label: s.Label, Bucket: int64(r.Told.Rate), Burst: r.Told.BurstBytes,
		Messages: int64(r.Messages), Closed: r.Closed, Kicked: r.Kicked, Hand: r.Hand,
		Bytes: int64(r.Bytes), Packets: int64(r.Packets), Drops: int64(r.Drops), Backlog: int64(r.BacklogBytes), Carried: r.Carried,
	}
}
