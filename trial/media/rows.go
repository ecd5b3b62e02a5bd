package media

import "linktape/replay"

// SourceRow is a datagram that was sent.
type SourceRow struct {
	Seq  int64 `parquet:"seq"`
	Sent int64 `parquet:"sent_ns"` // since the epoch
}

// SinkRow is a datagram that arrived whole.
type SinkRow struct {
	Seq     int64 `parquet:"seq"`
	Sent    int64 `parquet:"sent_ns"`    // since the epoch, by what the datagram says
	Arrived int64 `parquet:"arrived_ns"` // since the epoch, by the kernel's stamp of the packet that made it whole
}

// SourceReport says how a source kept to its schedule.
type SourceReport struct {
	Datagrams int64               `json:"datagrams"`
	Refused   int64               `json:"refused"` // by the sender's end: nobody listened
	Lateness  replay.Distribution `json:"lateness"`
	Realtime  bool                `json:"realtime"` // its thread ran under SCHED_FIFO
}
