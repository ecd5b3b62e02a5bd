package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/internal/table"
	"linktape/netsetup"
	"linktape/record/watch"
	"linktape/trace"
)

// built builds links of 8 Mbit/s for a test and takes them down after it.
func built(t *testing.T, run string, names ...string) *netsetup.Topology {
	t.Helper()
	topology := new(netsetup.Topology)
	for _, n := range names {
		l := netsetup.DefaultLink(n)
		l.Rate = 8 * trace.Mbit
		topology.Links = append(topology.Links, l)
	}
	features, _, err := netsetup.Probe()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := netsetup.NewPlan(run, topology, features)
	if err != nil {
		t.Fatal(err)
	}
	if err := netsetup.Up(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netsetup.Down(run, true); err != nil {
			t.Error(err)
		}
	})
	return topology
}

// A run is watched while something passes: the tape has its bytes, and pings are
// answered. SIGINT ends it in order.
func TestWatchRun(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	const run = "record-watch-test"
	built(t, run, "a", "b")
	t.Chdir(t.TempDir())
	var conn net.Conn
	err := netsetup.Within(run, netsetup.SenderEnd, func() (err error) {
		conn, err = net.Dial("udp4", net.JoinHostPort(netsetup.LinkAddresses(0).Receiver[0].Addr().String(), strconv.Itoa(9)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// What is sent between two readings, by the reader's own progress.
	ctx, cancel := context.WithCancelCause(t.Context())
	var stdout, stderr strings.Builder
	done := make(chan error)
	go func() {
		done <- runWith(ctx, []string{"watch", "-o", "a.tape", "--table", "a.parquet", "--json", "--step", "20ms", "--run", run}, &stdout, &stderr)
	}()
	sent := 0
	for {
		if files, _ := filepath.Glob(".a.parquet.*"); len(files) > 0 {
			break // it has begun
		}
		select {
		case err := <-done:
			t.Fatalf("%v\n%s", err, &stderr)
		default:
		}
	}
	w, err := netsetup.Watch(run)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for { // until a hundred kilobytes have left, and pings with them
		s, err := w.Sample()
		if err != nil {
			t.Fatal(err)
		}
		if s[0].Bytes > 100_000 && s[2].Bytes > 500 {
			break
		}
		if _, err := conn.Write(make([]byte, 972)); err == nil {
			sent++
		}
	}
	cancel(&cli.Stopped{Signal: syscall.SIGINT})
	if err := <-done; err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var report watchReport
	if err := json.Unmarshal([]byte(stdout.String()), &report); err != nil {
		t.Fatal(err)
	}
	if d := report.Directions[1]; d.Link != "a" || d.Dir != "up" || d.Bytes < 20_000 || d.Answered == 0 {
		t.Errorf("a.up: %+v", d)
	}
	r, err := trace.Open("a.tape")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Meta().Duration != report.Duration || len(r.Meta().Links) != 2 {
		t.Errorf("tape: %+v", r.Meta())
	}
	rows, err := table.ReadFile[watch.Row]("a.parquet")
	if err != nil {
		t.Fatal(err)
	}
	var bytes int64
	for _, row := range rows {
		if row.Link == "a" && row.Dir == "up" {
			bytes += row.Bytes
		}
	}
	if bytes != report.Directions[1].Bytes {
		t.Errorf("%d bytes in the table, %d in the summary", bytes, report.Directions[1].Bytes)
	}
	if files, _ := filepath.Glob(".*"); len(files) > 0 {
		t.Errorf("left %v", files)
	}
	if _, err := os.Stat("a.tape"); err != nil {
		t.Error(err)
	}
}

func runWith(ctx context.Context, args []string, stdout, stderr *strings.Builder) error {
	return run(ctx, args, strings.NewReader(""), stdout, stderr)
}
