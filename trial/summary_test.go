package trial

import (
	"path/filepath"
	"testing"
	"time"

	"linktape/internal/table"
	"linktape/trial/media"
)

// writeRows writes a table of a test.
func writeRows[T any](t *testing.T, file string, rows []T) {
	t.Helper()
	f, err := table.Create[T](file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := f.Write(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// Ten datagrams a second for 10 s: of those from 2 s to 9 s some are lost, one comes
// twice, one after another.
func TestSummarize(t *testing.T) {
	dir := t.TempDir()
	m := &Manifest{Format: manifestFormat, Duration: 10 * time.Second, WarmUp: WarmUp, CoolDown: CoolDown}
	if err := m.write(dir); err != nil {
		t.Fatal(err)
	}
	const ms = int64(time.Millisecond)
	var sent []media.SourceRow
	var got []media.SinkRow
	for i := range int64(100) {
		at := i * 100 * ms
		sent = append(sent, media.SourceRow{Seq: i, Sent: at})
		switch {
		case i < 5, i == 40, i == 41, i == 95: // the first never came
			continue
		case i == 61:
			continue // below
		}
		late := 10 * ms
		if i == 50 {
			late = 30 * ms
		}
		got = append(got, media.SinkRow{Seq: i, Sent: at, Arrived: at + late})
		switch i {
		case 55:
			got = append(got, media.SinkRow{Seq: i, Sent: at, Arrived: at + 12*ms})
		case 62:
			got = append(got, media.SinkRow{Seq: 61, Sent: at - 100*ms, Arrived: at + 15*ms})
		}
	}
	writeRows(t, filepath.Join(dir, SourceFile), sent)
	writeRows(t, filepath.Join(dir, SinkFile), got)
	s, err := Summarize(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := Summary{
		Sent: 70, Received: 68, Lost: 2, Duplicates: 1, OutOfOrder: 1, StartupLoss: 5,
		Latency:    Quantiles{10 * time.Millisecond, 10 * time.Millisecond, 115 * time.Millisecond, 115 * time.Millisecond},
		LongestGap: 300 * time.Millisecond,
	}
	if *s != want {
		t.Errorf("got %+v, want %+v", *s, want)
	}
}
