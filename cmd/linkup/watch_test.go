package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/trace"
)

// lookedAt are two directions: one busy, one that says as little as there can be.
func lookedAt() []netsetup.Sample {
	wait := 23456 * time.Microsecond
	return []netsetup.Sample{{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Run: "bench", Link: "att", Dir: "up", Carrier: true,
		DirStatus: netsetup.DirStatus{
			Rate: 6 * trace.Mbit, LimitBytes: 225000, BacklogBytes: 14660, Bytes: 1 << 53, Packets: 1234567, Drops: 8,
			Delay: 35 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.0125, PathDrops: 9,
		},
		Interval: time.Second, Throughput: 4999993, IntervalDrops: 2, QueueDelay: &wait,
	}, {
		Time: time.Date(2026, 1, 2, 3, 4, 5, 679e6, time.UTC), Run: "bench", Link: "att", Dir: "down", Replaying: true,
		DirStatus: netsetup.DirStatus{BacklogBytes: 1},
	}}
}

func TestWatchText(t *testing.T) {
	checkGolden(t, "watch.golden", watchText(lookedAt())+"\n"+strings.Join(watchTable(lookedAt()), "\n")+"\n")
	if got := watchTable(nil); got != nil {
		t.Errorf("of nothing: %q", got)
	}
}

func TestFit(t *testing.T) {
	table := []string{"abc", "def", "ghi", "jkl"}
	for _, c := range []struct {
		columns, lines int
		want           string
	}{
		{80, 4, "abc def ghi jkl"},
		{2, 9, "ab de gh jk"},
		{80, 3, "abc def … 2 more: make the terminal larger, or use --json"},
		{3, 0, "… 4"},
	} {
		if got := strings.Join(fit(append([]string{}, table...), c.columns, c.lines), " "); got != c.want {
			t.Errorf("%d × %d: got %q, want %q", c.columns, c.lines, got, c.want)
		}
	}
}

// Each direction is one JSON object on one line.
func TestWatchJSON(t *testing.T) {
	var b strings.Builder
	if err := jsonLines(&b)(lookedAt()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 3 || lines[2] != "" {
		t.Fatalf("%q", lines)
	}
	for i, want := range []map[string]any{
		{"run": "bench", "link": "att", "dir": "up", "rate_bit_s": 6e6, "queue_delay_ns": 23456000.0, "drops": 8.0, "loss": 0.0125, "carrier": true},
		{"dir": "down", "rate_bit_s": 0.0, "queue_delay_ns": nil, "replaying": true, "carrier": false},
	} {
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("line %d: %s is %v, want %v", i, k, got[k], v)
			}
		}
	}
}

func TestMetrics(t *testing.T) {
	var b strings.Builder
	if err := writeMetrics(&b, lookedAt()); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "metrics.golden", b.String())
	for _, m := range metrics() {
		counter := strings.HasSuffix(m.name, "_total")
		if counter != (m.kind == "counter") {
			t.Errorf("%s is a %s: counters, and only those, end in _total", m.name, m.kind)
		}
	}
}

func TestListenAddress(t *testing.T) {
	for in, want := range map[string]string{
		"9560": "127.0.0.1:9560", ":9560": "127.0.0.1:9560", "0.0.0.0:9560": "0.0.0.0:9560", "[::1]:80": "[::1]:80", "box:1": "box:1", "0": "127.0.0.1:0",
	} {
		if got, err := listenAddress(in); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "box", "70000", ":http", "::1:80"} {
		if got, err := listenAddress(in); cli.Status(err) != 2 {
			t.Errorf("%s: got %s, %v, want an error in the usage", in, got, err)
		}
	}
}

// fakeRun is watched in place of a run.
type fakeRun struct {
	samples int
	gone    bool
	err     error
}

func (f *fakeRun) Gone() bool { return f.gone }

func (f *fakeRun) Sample() ([]netsetup.Sample, error) {
	f.samples++
	return lookedAt(), f.err
}

func TestWatchLines(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name    string
		count   int
		after   func(f *fakeRun, n int, stop func()) error // n times printed
		printed int
		took    time.Duration
		want    error
	}{
		{"count", 3, nil, 3, 3 * time.Second, nil},
		{"stopped", 0, func(_ *fakeRun, n int, stop func()) error {
			if n == 2 {
				stop()
			}
			return nil
		}, 2, 2 * time.Second, nil},
		{"taken down", 0, func(f *fakeRun, n int, _ func()) error { f.gone = n == 4; return nil }, 4, 4 * time.Second, netsetup.ErrGone},
		{"sample fails", 0, func(f *fakeRun, _ int, _ func()) error { f.err = broken; return nil }, 1, 2 * time.Second, broken},
		{"reader went", 0, func(*fakeRun, int, func()) error { return io.ErrClosedPipe }, 1, time.Second, io.ErrClosedPipe},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				f, n, start := &fakeRun{}, 0, time.Now()
				err := watchLines(ctx, f, time.Second, c.count, func(s []netsetup.Sample) error {
					n++
					if len(s) != 2 {
						t.Errorf("%d samples", len(s))
					}
					if c.after == nil {
						return nil
					}
					return c.after(f, n, stop)
				})
				if !errors.Is(err, c.want) || c.want == nil && err != nil {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if took := time.Since(start); n != c.printed || took < c.took || took > c.took+goneInterval {
					t.Errorf("printed %d times in %v, want %d in %v", n, took, c.printed, c.took)
				}
			})
		})
	}
}

// Prometheus gets its format, and an error where there is no run any more.
func TestExporter(t *testing.T) {
	f := &fakeRun{}
	get := func() *httptest.ResponseRecorder {
		r := httptest.NewRecorder()
		exporter(f).ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
		return r
	}
	if r := get(); r.Code != 200 || r.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" ||
		!strings.Contains(r.Body.String(), "\nlinktape_link_delay_seconds{run=\"bench\",link=\"att\",dir=\"up\"} 0.035\n") {
		t.Errorf("%d %v %s", r.Code, r.Header(), r.Body)
	}
	f.err = fmt.Errorf("run bench %w", netsetup.ErrGone)
	if r := get(); r.Code != 503 || r.Body.String() != "run bench was taken down\n" {
		t.Errorf("%d %s", r.Code, r.Body)
	}
}

// The server answers until the run goes.
func TestServe(t *testing.T) {
	f := &fakeRun{}
	said, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serve(t.Context(), f, "127.0.0.1:0", w) }()
	line := make([]byte, 200)
	n, err := said.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(string(line[:n])), "linkup: serving ")
	if !ok {
		t.Fatalf("said %q", line[:n])
	}
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || r.StatusCode != 200 || !strings.Contains(string(body), "linktape_link_loss_ratio") {
		t.Errorf("%v, %d, %s", err, r.StatusCode, body)
	}
	taken, err := net.Listen("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics"))
	if err == nil {
		taken.Close()
		t.Error("the port is free")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := serve(ctx, f, "127.0.0.1:0", io.Discard); err != nil {
		t.Errorf("stopped: %v", err)
	}
	f.gone = true
	if err := <-ended; !errors.Is(err, netsetup.ErrGone) {
		t.Errorf("ended with %v", err)
	}
}

// The watch of a real run, to its end.
func TestStatusWatch(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	t.Cleanup(func() { call(t, "down", "--all") })
	if _, _, err := call(t, "up", "--links", "a,b"); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := call(t, "status", "--watch", "--interval", "10ms", "--count", "3")
	if lines := strings.Count(stdout, "\n"); err != nil || stderr != "" || lines != 12 || !strings.Contains(stdout, " b.down rate=1Gbit ") {
		t.Errorf("%v, %q, %d lines, want 12:\n%s", err, stderr, lines, stdout)
	}
	stdout, _, err = call(t, "status", "--watch", "--interval", "10ms", "--count", "1", "--json")
	if err != nil || strings.Count(stdout, "\n") != 4 {
		t.Errorf("%v\n%s", err, stdout)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	var said strings.Builder
	began, w := io.Pipe()
	go func() {
		ended <- run(ctx, []string{"status", "--watch", "--interval", "10ms"}, strings.NewReader(""), w, &said)
		w.Close()
	}()
	if _, err := began.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, began)
	if _, _, err := call(t, "down"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || said.String() != "linkup: run main was taken down\n" {
		t.Errorf("%v, said %q", err, said.String())
	}
}
