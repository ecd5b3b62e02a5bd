package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"linktape/internal/table"
	"linktape/replay"
	"linktape/trace"
)

const ms = time.Millisecond

// made is a run's folder that a test makes up: link a, up and down, with a step
// every 100 ms for 10 s, and a reading of the counters 3.7 ms after each.
type made struct {
	manifest replay.Manifest
	summary  *replay.Summary
	log      []replay.LogRow
	counters []replay.CounterRow
	back     []replay.ReadBackRow
}

// make10s: the tape says 8 Mbit/s and 1 % loss, up is saturated and stalls from 4 s
// to 5 s, down delivers half and loses all from 7 s to 7.5 s.
func make10s() *made {
	m := &made{manifest: replay.Manifest{
		Tape: "drive.tape", SHA256: strings.Repeat("5b", 32), Generator: "synth 1", Seed: 3, Length: time.Minute, Window: 10 * time.Second, Leave: "keep",
		Counters: 100 * ms, ReadBack: time.Second, Epoch: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Version: "v1", Go: "go1", Kernel: "6.12", Host: "box",
		Links: []replay.ManifestLink{{Link: "a", Dir: "down", Shaper: "tbf"}, {Link: "a", Dir: "up", Shaper: "tbf"}},
	}}
	m.summary = &replay.Summary{Tape: m.manifest.SHA256, Played: 10 * time.Second, Realtime: true, Locked: true, Left: "keep", Steps: 200}
	var sum [2]replay.CounterRow
	var bytes [2]int64
	for i := range 100 {
		due := time.Duration(i) * 100 * ms
		for d, dir := range []string{"down", "up"} {
			r := replay.LogRow{
				Due: int64(due), Sent: int64(due) + int64(d+1)*20_000, Acked: int64(due) + int64(d+1)*20_000 + 15_000, Tape: int64(due), Link: "a", Dir: dir,
				Hold: int64(100 * ms), Rate: int64(8 * trace.Mbit), Delay: int64(30 * ms), Loss: 0.01, Carrier: true, Bytes: bytes[d],
			}
			c := &sum[d]
			served, lost := int64(100_000), int64(1)
			if d == 0 {
				served, lost = 50_000, int64(i%2)
			}
			switch {
			case d == 1 && i >= 40 && i < 50:
				r.Rate, r.Label, served, lost = 0, "outage", 0, 0
			case d == 0 && i >= 70 && i < 75:
				r.Loss, r.Label = 1, "outage"
				c.OutageDrops += 50
				lost = 0
			}
			m.log = append(m.log, r)
			bytes[d] += served
			c.At, c.Link, c.Dir, c.Rate = int64(due+100*ms+3700*time.Microsecond), "a", dir, r.Rate
			c.Bytes += served
			c.Packets += served / 1000
			c.PathDrops += lost
			c.QueueDrops += int64(d)
			c.Backlog, c.QueueDelay = int64(d)*20_000, int64(d)*int64(20*ms)
			if r.Rate == 0 {
				c.QueueDelay = -1
			}
			m.counters = append(m.counters, *c)
		}
	}
	for i := range 10 {
		m.back = append(m.back, replay.ReadBackRow{At: int64(i+1) * 1e9, Link: "a", Dir: "up", Result: replay.BackSame})
	}
	return m
}

func writeTable[T any](t *testing.T, name string, rows []T, killed bool) {
	t.Helper()
	f, err := table.Create[T](name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := f.Write(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	end := f.Close
	if killed {
		end = f.Flush
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, name string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// write puts the folder down; killed leaves it as a replay does that was killed.
func (m *made) write(t *testing.T, killed bool) (dir string) {
	t.Helper()
	dir = t.TempDir()
	writeJSON(t, filepath.Join(dir, replay.ManifestFile), m.manifest)
	writeTable(t, filepath.Join(dir, replay.LogFile), m.log, killed)
	if m.manifest.Counters > 0 {
		writeTable(t, filepath.Join(dir, replay.CountersFile), m.counters, killed)
	}
	if m.manifest.ReadBack > 0 {
		writeTable(t, filepath.Join(dir, replay.ReadBackFile), m.back, killed)
	}
	if !killed {
		writeJSON(t, filepath.Join(dir, replay.SummaryFile), m.summary)
	}
	return dir
}

func read(t *testing.T, dir string) *Report {
	t.Helper()
	r, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(math.Abs(a), math.Abs(b), 1) }

func TestRead(t *testing.T) {
	r := read(t, make10s().write(t, false))
	if !r.Complete || r.Played != 10*time.Second || r.Bin != 100*ms || r.Steps != 200 || r.Missed != 0 || len(r.Findings) != 0 {
		t.Errorf("got %v in bins of %v, %d steps, %d missed, findings %q", r.Played, r.Bin, r.Steps, r.Missed, r.Findings)
	}
	if r.Lateness.Max != 40*time.Microsecond || r.Exchange.Max != 15*time.Microsecond || r.Skew.Max != 20*time.Microsecond {
		t.Errorf("got %v, %v, %v", r.Lateness, r.Exchange, r.Skew)
	}
	down, up := r.Directions[0], r.Directions[1]
	// 8 Mbit/s are 100 kB in a step; the stall allows nothing.
	if down.TapeBytes != 10_000_000 || up.TapeBytes != 9_000_000 || down.DeliveredBytes != 5_000_000 || up.DeliveredBytes != 9_000_000 || up.Use != 1 || down.Use != 0.5 {
		t.Errorf("bytes: %d and %d, %d and %d", down.TapeBytes, down.DeliveredBytes, up.TapeBytes, up.DeliveredBytes)
	}
	if down.Outage != 500*ms || up.Outage != time.Second || down.OutageDrops != 250 || down.PathDrops != 48 || up.PathDrops != 90 || up.QueueDrops != 100 {
		t.Errorf("outages %v and %v; drops %d, %d, %d, %d", down.Outage, up.Outage, down.OutageDrops, down.PathDrops, up.PathDrops, up.QueueDrops)
	}
	if !near(up.TapeLoss, 0.01) || math.Abs(up.PathLoss-0.01) > 0.0003 || !near(down.TapeLoss, 0.01) || math.Abs(down.PathLoss-0.01) > 0.0006 {
		t.Errorf("losses: %v and %v, %v and %v", up.TapeLoss, up.PathLoss, down.TapeLoss, down.PathLoss)
	}
	if q := up.QueueDelay; q.P50 < 19*ms || q.P50 > 20*ms || q.Max != 20*ms || q.Stuck != 0.1 {
		t.Errorf("queue delay: %+v", q)
	}
	want := []Event{
		{4 * time.Second, time.Second, "a", "up", "outage", "stall"},
		{7 * time.Second, 500 * ms, "a", "down", "outage", "loses all"},
	}
	if len(r.Events) != 2 || r.Events[0] != want[0] || r.Events[1] != want[1] {
		t.Errorf("got events %+v, want %+v", r.Events, want)
	}
	// The series of the pictures.
	for i := range r.bins() {
		tape := 8.0
		if i >= 40 && i < 50 {
			tape = 0
		}
		if !near(up.tape[i], tape) || !near(up.rtt[i], 30) || up.backlog[i] != 20 && i > 0 {
			t.Fatalf("bin %d: tape %v, delay %v, backlog %v", i, up.tape[i], up.rtt[i], up.backlog[i])
		}
		if stalled := i > 40 && i <= 50; math.IsNaN(up.delay[i]) != (stalled || i == 0) {
			t.Errorf("bin %d: queue delay %v", i, up.delay[i])
		}
		if out := i >= 70 && i < 75; math.IsNaN(down.loss[i]) != out || !out && !near(down.loss[i], 0.01) {
			t.Errorf("bin %d: loss %v", i, down.loss[i])
		}
	}
	if b := r.ReadBack; b == nil || b.Readings != 10 || b.Same != 10 {
		t.Errorf("read back: %+v", b)
	}
}

// The report of a killed replay is of what it had flushed.
func TestReadKilled(t *testing.T) {
	m := make10s()
	m.log, m.counters = m.log[:120], m.counters[:110]
	r := read(t, m.write(t, true))
	if r.Complete || r.Summary != nil || r.Steps != 120 || r.Played != 5900*ms+55*time.Microsecond || len(r.Findings) != 1 || !strings.Contains(r.Findings[0], "killed") {
		t.Errorf("got %v, %d steps, findings %q", r.Played, r.Steps, r.Findings)
	}
	if err := r.Page(&bytes.Buffer{}); err != nil {
		t.Error(err)
	}
}

// What was delivered at steps whose counters were not read is spread over the time
// since they were.
func TestReadCarried(t *testing.T) {
	m := make10s()
	m.manifest.Counters = 0
	want := read(t, m.write(t, false)).Directions[0].bytes
	for i := 2; i < len(m.log); i += 4 {
		r := &m.log[i]
		r.Carried, r.Bytes = true, m.log[i-2].Bytes
	}
	got := read(t, m.write(t, false)).Directions[0].bytes
	for i := range 98 { // the last step but one is the last that was read
		if !near(got[i], want[i]) || want[i] == 0 {
			t.Errorf("bin %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

// Without counters, what was delivered is the log's.
func TestReadWithoutCounters(t *testing.T) {
	m := make10s()
	m.manifest.Counters, m.manifest.ReadBack = 0, 0
	r := read(t, m.write(t, false))
	up := r.Directions[1]
	if up.DeliveredBytes != 8_900_000 || up.QueueDelay != nil || r.ReadBack != nil { // until the last step
		t.Errorf("got %d bytes, queue delay %v", up.DeliveredBytes, up.QueueDelay)
	}
	for i := range 99 {
		if want := 8.0; i < 40 && !near(up.bytes[i], want) {
			t.Fatalf("bin %d: %v Mbit/s, want %v", i, up.bytes[i], want)
		}
	}
	var page bytes.Buffer
	if err := r.Page(&page); err != nil || !strings.Contains(page.String(), "The counters were not read") {
		t.Errorf("the page does not say so: %v", err)
	}
}

func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*made)
		want   string
	}{
		{"warning", func(m *made) { m.summary.Warnings = []string{"of the replay"} }, "of the replay"},
		{"scheduling", func(m *made) { m.summary.Realtime = false }, "ordinary scheduling"},
		{"memory", func(m *made) { m.summary.Locked = false }, "Memory was not locked"},
		{"stopped", func(m *made) { m.summary.Stopped = true }, "stopped before its end"},
		{"deviation", func(m *made) {
			m.summary.Links = []replay.LinkReport{{Link: "a", Dir: "up", Saturated: 0.9, Deviation: -0.0213}}
		}, "a.up delivered -2.1 % of what"},
		{"late", func(m *made) { m.log[17].Sent, m.log[17].Acked = m.log[17].Due+15e6, m.log[17].Due+16e6 }, "1 steps were more than 10ms late, the latest by 15ms"},
		{"missed", func(m *made) {
			m.log[17].Hold, m.log[17].Sent, m.log[17].Acked = 5e6, m.log[17].Due+6e6, m.log[17].Due+7e6
		}, "1 steps were applied when"},
		{"loss", func(m *made) {
			for i := range m.counters {
				m.counters[i].PathDrops *= 3
			}
		}, "a.up lost 3.000 % of its packets outside outages; the tape says 1.000 %"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := make10s()
			c.change(m)
			r := read(t, m.write(t, false))
			if got := strings.Join(r.Findings, "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	// What the kernel does not tell apart, and bursts, are no finding.
	for _, change := range []func(*made){
		func(m *made) { m.manifest.Links[0].Nested, m.manifest.Links[1].Nested = true, true },
		func(m *made) {
			for i := range m.log {
				m.log[i].GEP, m.log[i].GER = 0.001, 0.1
			}
		},
	} {
		m := make10s()
		for i := range m.counters {
			m.counters[i].PathDrops = 0
		}
		change(m)
		if r := read(t, m.write(t, false)); len(r.Findings) > 0 {
			t.Errorf("got %q", r.Findings)
		}
	}
}

// The page is one file: nothing is loaded and nothing runs.
func TestPage(t *testing.T) {
	m := make10s()
	m.manifest.Tape = `<script>alert("x")</script>.tape`
	m.summary.Warnings = []string{"a <b> & c"}
	m.back[3].Result, m.back[3].Difference = replay.BackDiffers, "rate is 5Mbit, set 8Mbit"
	var b bytes.Buffer
	if err := read(t, m.write(t, false)).Page(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<script", "src=", "href=", "url(", "@import", "<?xml", "NaN", "ZgotmplZ", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, u := range regexp.MustCompile(`https?://[^"]*`).FindAllString(page, -1) {
		if !strings.HasPrefix(u, "http://www.w3.org/") { // names of XML namespaces
			t.Errorf("the page has %s", u)
		}
	}
	for _, want := range []string{"&lt;script&gt;", "a &lt;b&gt; &amp; c", "rate is 5Mbit, set 8Mbit", "2026-01-02 03:04:05.000006 UTC", "10s of 1m0s from 0s", m.manifest.SHA256, "loses all", "made by synth 1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(page, "<svg"); n != 4 || strings.Count(page, "</svg>") != n || strings.Count(page, `<svg width="100%"`) != n {
		t.Errorf("got %d pictures, want 4", n)
	}
	var again bytes.Buffer
	if err := read(t, m.write(t, false)).Page(&again); err != nil || again.String() != page {
		t.Errorf("the same run gives another page: %v", err)
	}
}

// Many directions go into many pictures.
func TestPageOfManyLinks(t *testing.T) {
	m := make10s()
	for i := range 40 {
		m.manifest.Links = append(m.manifest.Links, replay.ManifestLink{Link: "b" + string(rune('a'+i)), Dir: "up"})
	}
	var b bytes.Buffer
	if err := read(t, m.write(t, false)).Page(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "<svg"); n != 3*7+1 { // six directions in each
		t.Errorf("got %d pictures, want 22", n)
	}
}

func TestManyEvents(t *testing.T) {
	m := make10s()
	for i := range m.log {
		m.log[i].Label = "l" + string(rune('a'+i/2%26))
	}
	for range 2 {
		for _, r := range m.log {
			r.Due += m.log[len(m.log)-1].Due + int64(100*ms)
			m.log = append(m.log, r)
			if len(m.log) == 600 {
				break
			}
		}
	}
	m.summary.Played = time.Minute
	r := read(t, m.write(t, false))
	if len(r.Events) != mostEvents || r.MoreEvents < 300 {
		t.Errorf("got %d events and %d more", len(r.Events), r.MoreEvents)
	}
}

func TestReadErrors(t *testing.T) {
	if _, err := Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "not a folder that replay run --out wrote") {
		t.Errorf("got error %v", err)
	}
	for _, name := range []string{replay.ManifestFile, replay.SummaryFile, replay.LogFile, replay.CountersFile, replay.ReadBackFile} {
		dir := make10s().write(t, false)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestBinOf(t *testing.T) {
	for _, c := range []struct{ played, counters, want time.Duration }{
		{0, 0, 10 * ms}, {time.Second, 0, 10 * ms}, {10 * time.Second, 0, 10 * ms}, {10 * time.Second, 50 * ms, 50 * ms}, {10 * time.Second, 70 * ms, 100 * ms},
		{20 * time.Second, 0, 100 * ms}, {2 * time.Minute, 0, 100 * ms}, {5 * time.Minute, 100 * ms, 500 * ms}, {24 * time.Hour, 100 * ms, 100 * time.Second},
	} {
		if got := binOf(c.played, c.counters); got != c.want {
			t.Errorf("%v, %v: got %v, want %v", c.played, c.counters, got, c.want)
		}
	}
}
