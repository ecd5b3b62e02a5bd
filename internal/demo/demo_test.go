//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/trace"
)

const ms = time.Millisecond

func TestMain(m *testing.M) { privtest.Main(m) }

func TestArguments(t *testing.T) {
	idle := filepath.Join(t.TempDir(), "idle.tape")
	tl := &trace.Timeline{
		Meta:  trace.Meta{Duration: time.Second, Generator: "test 1", Links: []trace.Link{{Name: "a", Up: true}}},
		Steps: []trace.Step{{Link: "a", Dir: trace.Up, State: trace.State{Carrier: true}}},
	}
	if err := trace.WriteFile(idle, tl); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"--help", 0, ""},
		{"--speed 3", 2, "flag provided but not defined: -speed; see demo --help"},
		{"x.tape", 2, `unknown argument "x.tape"`},
		{"send", 2, `unknown argument "send"`},
		{"receive 1s", 2, `unknown argument "receive"`},
		{"send soon 1500 127.0.0.1=1Mbit", 1, "invalid duration"},
		{"send 1s big 127.0.0.1=1Mbit", 1, "invalid syntax"},
		{"send 1s 1500 127.0.0.1=fast", 1, "fast"},
		{"receive soon 127.0.0.1", 1, "invalid duration"},
		{"--packet 35", 2, "--packet 35: outside 36 to 1500"},
		{"--packet 1501", 2, "--packet 1501: outside 36 to 1500"},
		{"--duration 0s", 2, "--duration 0s: less than 100ms"},
		{"--duration -5s", 2, "--duration -5s: less than 100ms"},
		{"--from -1s", 2, "--from -1s: negative"},
		{"--within 0", 2, "--within 0: not above 0"},
		{"--within NaN", 2, "--within NaN: not above 0"},
		{"--tape no.tape", 1, "no.tape"},
		{"--tape " + idle, 2, "play 20s from 0s: the tape lasts 1s"},
		{"--duration 1s --tape " + idle, 1, "nothing to compare"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), &stdout, &stderr)
			if got := cli.Status(err); got != c.status || c.want != "" && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got status %d, error %v; want %d, %q", got, err, c.status, c.want)
			}
			if c.status == 0 && !strings.Contains(stdout.String(), "-within") {
				t.Errorf("got help %q", stdout.String())
			}
		})
	}
}

// tapeOf is a tape of 1 s with one uplink.
func tapeOf(steps ...trace.Step) *trace.Timeline {
	tl := &trace.Timeline{Meta: trace.Meta{Duration: time.Second, Links: []trace.Link{{Name: "a", Up: true, Down: true}}}}
	tl.Steps = []trace.Step{{Link: "a", Dir: trace.Down, State: trace.State{Carrier: true, Rate: 7 * trace.Gbit}}}
	for _, s := range steps {
		s.Link, s.Dir = "a", trace.Up
		tl.Steps = append(tl.Steps, s)
	}
	slices.SortStableFunc(tl.Steps, trace.Compare)
	return tl
}

func TestAllowed(t *testing.T) {
	const rate = 8 * trace.Mbit // 1000 bytes in a millisecond
	state := func(at time.Duration, s trace.State) trace.Step { return trace.Step{At: at, State: s} }
	constant := tapeOf(state(0, trace.State{Carrier: true, Rate: rate}))
	delayed := tapeOf(state(0, trace.State{Carrier: true, Rate: rate, Delay: 30 * ms, Loss: 0.25}))
	stall := tapeOf(state(0, trace.State{Carrier: true, Rate: rate}), state(100*ms+500*time.Microsecond, trace.State{}), state(200*ms, trace.State{Carrier: true, Rate: 2 * rate}))
	for _, c := range []struct {
		name           string
		tape           *trace.Timeline
		from, duration time.Duration
		ratesOnly      bool
		want           map[int]float64 // by millisecond
		total          float64
	}{
		{"constant", constant, 0, time.Second, false, map[int]float64{0: 1000, 999: 1000}, 1e6},
		{"window", constant, 250 * ms, 100 * ms, false, map[int]float64{0: 1000, 99: 1000}, 1e5},
		{"delay and loss", delayed, 0, time.Second, false, map[int]float64{0: 0, 29: 0, 30: 750, 999: 750}, 970 * 750},
		{"rates only", delayed, 0, time.Second, true, map[int]float64{0: 1000, 999: 1000}, 1e6},
		{"stall", stall, 0, time.Second, false, map[int]float64{99: 1000, 100: 500, 101: 0, 199: 0, 200: 2000}, 100_500 + 800*2000},
		{"window in the stall", stall, 150 * ms, 100 * ms, false, map[int]float64{49: 0, 50: 2000}, 50 * 2000},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := demo{from: c.from, duration: c.duration}
			got := d.allowed(c.tape, "a", c.ratesOnly)
			if len(got) != int(c.duration.Milliseconds()) {
				t.Fatalf("got %d milliseconds, want %v", len(got), c.duration)
			}
			for i, want := range c.want {
				if math.Abs(got[i]-want) > 1e-6 {
					t.Errorf("millisecond %d: got %v bytes, want %v", i, got[i], want)
				}
			}
			if math.Abs(sum(got)-c.total) > 1e-3 {
				t.Errorf("got %v bytes, want %v", sum(got), c.total)
			}
			if other := d.allowed(c.tape, "b", false); sum(other) != 0 {
				t.Errorf("another link: got %v bytes", sum(other))
			}
		})
	}
}

func TestBusiest(t *testing.T) {
	tape := tapeOf(trace.Step{State: trace.State{Carrier: true, Rate: 3}}, trace.Step{At: 500 * ms, State: trace.State{Rate: 9}})
	for _, c := range []struct {
		from, duration time.Duration
		link           string
		want           trace.BitRate
	}{{0, 500 * ms, "a", 3}, {0, 501 * ms, "a", 9}, {600 * ms, 100 * ms, "a", 9}, {0, time.Second, "b", 0}} {
		d := demo{from: c.from, duration: c.duration}
		if got := d.busiest(tape, c.link); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

func TestWindow(t *testing.T) {
	a := arrivals{StartMs: 1_000_000, Bytes: []int64{1, 2, 3, 4, 5}}
	for _, c := range []struct {
		epochMs int64
		n       int
		want    []float64
	}{
		{1_000_000, 5, []float64{1, 2, 3, 4, 5}},
		{1_000_002, 2, []float64{3, 4}},
		{1_000_003, 4, []float64{4, 5, 0, 0}}, // nothing arrived after
		{999_998, 4, []float64{0, 0, 1, 2}},   // listened too late
		{2_000_000, 2, []float64{0, 0}},
	} {
		if got := a.window(time.UnixMilli(c.epochMs), c.n); !slices.Equal(got, c.want) {
			t.Errorf("from %d: got %v, want %v", c.epochMs, got, c.want)
		}
	}
}

func TestBinned(t *testing.T) {
	v := make([]float64, 250)
	for i := range v {
		v[i] = float64(i / 100 * 1000)
	}
	if got, want := binned(v), []float64{0, 8}; !slices.Equal(got, want) { // half a bin is left out
		t.Errorf("got %v, want %v Mbit/s", got, want)
	}
	if got := binned(v[:99]); len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestNRMSE(t *testing.T) {
	for _, c := range []struct {
		want, got []float64
		nrmse     float64
	}{
		{[]float64{1, 2, 3}, []float64{1, 2, 3}, 0},
		{[]float64{2, 2}, []float64{1, 3}, 0.5},
		{[]float64{4, 0}, []float64{0, 0}, math.Sqrt(8) / 2},
	} {
		if got := nrmse(c.want, c.got); math.Abs(got-c.nrmse) > 1e-12 {
			t.Errorf("%v against %v: got %v, want %v", c.got, c.want, got, c.nrmse)
		}
	}
}

// control makes a control message as the kernel does.
func control(level, typ int32, data []byte) []byte {
	ne := binary.NativeEndian
	b := make([]byte, unix.CmsgSpace(len(data)))
	ne.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	ne.PutUint32(b[8:], uint32(level))
	ne.PutUint32(b[12:], uint32(typ))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func TestStamp(t *testing.T) {
	ne := binary.NativeEndian
	at := ne.AppendUint64(ne.AppendUint64(nil, 1_700_000_000), 123_456_789)
	other := control(unix.SOL_IP, unix.IP_TTL, []byte{64, 0, 0, 0})
	good := control(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, at)
	for _, c := range []struct {
		name string
		data []byte
		want int64 // −1: an error
	}{
		{"alone", good, 1_700_000_000_123_456_789},
		{"after another", append(slices.Clone(other), good...), 1_700_000_000_123_456_789},
		{"none", nil, -1},
		{"another", other, -1},
		{"short", control(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, at[:8]), -1},
		{"cut", good[:10], -1},
	} {
		got, err := stamp(c.data)
		if c.want < 0 && err == nil || c.want >= 0 && (err != nil || got != c.want) {
			t.Errorf("%s: got %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}

func FuzzStamp(f *testing.F) {
	f.Add(control(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, make([]byte, 16)))
	f.Fuzz(func(t *testing.T, b []byte) { stamp(b) })
}

// Source and sink over the loopback device: what was sent is what arrives, as
// bytes of IP packets.
func TestLoadOverLoopback(t *testing.T) {
	const address = "127.93.0.1" // no one else's
	probe, err := net.ListenPacket("udp4", fmt.Sprintf("%s:%d", address, port))
	if err != nil {
		t.Skipf("needs an address of the loopback device: %v", err)
	}
	probe.Close()
	stdin, stop := io.Pipe()
	stdout, out := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		err := run(t.Context(), []string{"receive", "1m", address}, stdin, out, io.Discard)
		out.CloseWithError(err)
		failed <- err
	}()
	dec := newReadyReader(t, stdout)
	if err := run(t.Context(), []string{"send", "100ms", "500", address + "=4Mbit"}, nil, nil, nil); err != nil {
		t.Error(err)
	}
	stop.Close()
	var all []arrivals
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Address != address || all[0].Packets == 0 || all[0].Packets > 101 {
		t.Fatalf("got %+v, want up to 101 packets", all)
	}
	var bytes int64
	for _, n := range all[0].Bytes {
		bytes += n
	}
	if bytes != 500*all[0].Packets {
		t.Errorf("got %d bytes in %d packets of 500", bytes, all[0].Packets)
	}
}

// newReadyReader takes the line that says that the sink is ready.
func newReadyReader(t *testing.T, r io.Reader) *json.Decoder {
	t.Helper()
	line := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(r, line); err != nil || string(line) != "ready\n" {
		t.Fatalf("got %q, %v, want ready", line, err)
	}
	return json.NewDecoder(r)
}

// The whole demo as a user runs it, and interrupted in the middle: it leaves no
// run behind.
func TestDemo(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(os.PathSeparator), "linktape/cmd/tracegen", "linktape/cmd/linkup", "linktape/cmd/replay", "linktape/internal/demo")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, c := range []struct {
		name      string
		interrupt bool
	}{{"demo-whole", false}, {"demo-cut", true}} {
		t.Run(c.name, func(t *testing.T) {
			out := t.TempDir()
			cmd := exec.Command(filepath.Join(bin, "demo"), "--bin", bin, "--out", out, "--name", c.name, "--duration", "3s", "--within", "0.05")
			var text bytes.Buffer
			cmd.Stdout, cmd.Stderr = &text, &text
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if c.interrupt {
				underway(t, c.name)
				cmd.Process.Signal(os.Interrupt)
			}
			err := cmd.Wait()
			status := cmd.ProcessState.ExitCode()
			switch {
			case c.interrupt && (status != 1 || !strings.Contains(text.String(), context.Canceled.Error())):
				t.Errorf("got status %d, %v\n%s", status, err, &text)
			case !c.interrupt && status != 0:
				t.Errorf("got status %d, %v\n%s", status, err, &text)
			}
			if !c.interrupt {
				for _, file := range []string{"drive.tape", "applied.parquet", "summary.json", "delivery.png"} {
					if fi, err := os.Stat(filepath.Join(out, file)); err != nil || fi.Size() == 0 {
						t.Errorf("%s: got %v, %v", file, fi, err)
					}
				}
			}
			leftovers(t, c.name)
		})
	}
}

// underway waits until a replay changes a run's links.
func underway(t *testing.T, name string) {
	file := filepath.Join(netsetup.StateDir, name+".json")
	for range 10_000 {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), `"replaying": true`) {
			return
		}
		time.Sleep(ms)
	}
	t.Error("the replay does not begin")
}

// leftovers fails where a run is still there.
func leftovers(t *testing.T, name string) {
	t.Helper()
	text, err := exec.Command("ip", "netns", "list").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), netsetup.Namespace(name, "")) {
		t.Errorf("namespaces are left:\n%s", text)
	}
	runs, err := netsetup.Runs()
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(runs, name) {
		t.Errorf("run %s is left", name)
	}
	if t.Failed() {
		t.Logf("removed: %v", netsetup.Down(name, true))
	}
}
