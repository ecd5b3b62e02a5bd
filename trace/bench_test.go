package trace

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/parquet/file"
)

// benchTimeline has 16 directions that all change every 100 ms.
func benchTimeline() *Timeline {
	tl := &Timeline{Meta: longMeta()}
	tl.Meta.Duration = 20 * time.Minute
	tl.Steps = make([]Step, 0, 12000*16)
	rate := uint32(1)
	for at := time.Duration(0); at < tl.Meta.Duration; at += 100 * time.Millisecond {
		for _, ld := range tl.Meta.Directions() {
			rate = rate*1664525 + 1013904223
			tl.Steps = append(tl.Steps, Step{at, ld.Link, ld.Dir, State{
				Rate: BitRate(rate % 50e6), Delay: time.Duration(rate>>8%100) * time.Millisecond,
				Loss: Prob(rate>>16%100) / 1e4, Carrier: true, Label: "good",
			}})
		}
	}
	return tl
}

func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

func BenchmarkWrite(b *testing.B) {
	tl := benchTimeline()
	b.ReportAllocs()
	for b.Loop() {
		w, err := NewWriter(io.Discard, tl.Meta)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Write(tl.Steps); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, len(tl.Steps))
}

// BenchmarkWriteColumns writes the same rows, ready as columns, without checks
// and checksum: what the Parquet library takes.
func BenchmarkWriteColumns(b *testing.B) {
	tl := benchTimeline()
	var buf writeBuffer
	for i := range tl.Steps {
		buf.add(&tl.Steps[i])
	}
	b.ReportAllocs()
	for b.Loop() {
		pw := file.NewParquetWriter(io.Discard, tapeSchema(), file.WithWriterProps(writerProperties()))
		if err := buf.write(pw); err != nil {
			b.Fatal(err)
		}
		if err := pw.FlushWithFooter(); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, len(tl.Steps))
}

func BenchmarkRead(b *testing.B) {
	tl := benchTimeline()
	tape := writeTape(b, tl, 0)
	steps := make([]Step, 1024)
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(tape), int64(len(tape)))
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Read(steps)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		r.Close()
	}
	perRow(b, len(tl.Steps))
}

func BenchmarkSeek(b *testing.B) {
	tl := benchTimeline()
	tape := writeTape(b, tl, 0)
	r, err := NewReader(bytes.NewReader(tape), int64(len(tape)))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	at := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		at = (at + 7*time.Minute + 1) % tl.Meta.Duration
		if _, err := r.Seek(at); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	tl := benchTimeline()
	b.ReportAllocs()
	for b.Loop() {
		tl.Hash()
	}
	perRow(b, len(tl.Steps))
}

func BenchmarkCheck(b *testing.B) {
	tl := benchTimeline()
	b.ReportAllocs()
	for b.Loop() {
		if err := tl.Check(); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, len(tl.Steps))
}

func BenchmarkStats(b *testing.B) {
	tl := benchTimeline()
	b.ReportAllocs()
	for b.Loop() {
		c := NewStatsCollector(tl.Meta, StatsOptions{})
		for i := range tl.Steps {
			c.Step(&tl.Steps[i])
		}
		c.Finish()
	}
	perRow(b, len(tl.Steps))
}
