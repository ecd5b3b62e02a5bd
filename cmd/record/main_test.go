package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"linktape/internal/cli"
	"linktape/internal/table"
	"linktape/record"
	"linktape/record/capture/capturetest"
	"linktape/trace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fixtures makes captures of two links, ten seconds of 4 and 2 Mbit/s up and
// reports down, in a folder of the test's own, and moves there. The receiver's
// clock is 250 ms ahead. One packet in 64 of the first link is lost.
func fixtures(t *testing.T) {
	t.Helper()
	golden, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	goldenDir = golden
	t.Chdir(t.TempDir())
	const epoch = 1_700_000_000_000_000_000
	draw := rand.New(rand.NewPCG(1, 1))
	var sides [2][]capturetest.Record
	send := func(link byte, up bool, n, size int, at, delay time.Duration, lost bool) {
		u := capturetest.UDP{
			Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, link, 1}), 5000),
			Dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, link, 6}), 6000),
			ID:  uint16(n), Payload: make([]byte, size-28),
		}
		binary.BigEndian.PutUint32(u.Payload, uint32(n))
		u.Payload[4] = link
		from, to := 0, 1
		if !up {
			u.Src, u.Dst, from, to = u.Dst, u.Src, 1, 0
		}
		frame := capturetest.Frame(layers.LinkTypeEthernet, 0, u.IP())
		clock := [2]time.Duration{0, 250 * time.Millisecond}
		sides[from] = append(sides[from], capturetest.Record{At: epoch + int64(at+clock[from]), Frame: frame})
		if !lost {
			sides[to] = append(sides[to], capturetest.Record{At: epoch + int64(at+delay+clock[to]), Frame: frame})
		}
	}
	for n := range 5000 {
		at := time.Duration(n) * 2 * time.Millisecond
		send(0, true, n, 1000, at, 20*time.Millisecond, n > 0 && draw.IntN(64) == 0)
		send(1, true, n, 500, at, 60*time.Millisecond+time.Duration(draw.IntN(2000))*time.Microsecond, false)
		if n%100 == 0 {
			send(0, false, n, 100, at, 20*time.Millisecond, false)
			send(1, false, n, 100, at, 70*time.Millisecond, false)
		}
	}
	for side, name := range []string{"sender.pcap", "receiver.pcap"} {
		slices.SortStableFunc(sides[side], func(a, b capturetest.Record) int { return int(a.At - b.At) })
		var b bytes.Buffer
		if err := capturetest.Pcap(&b, layers.LinkTypeEthernet, 96, sides[side]); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("half-"+name, b.Bytes()[:b.Len()/2], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("notes.txt", []byte("to do\n"), 0o666); err != nil {
		t.Fatal(err)
	}
}

var goldenDir string

// call runs one command line.
func call(args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	err = run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), err
}

// checkGolden compares text with a file under testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(goldenDir, name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// commandLine is a whole command line; its exit status, standard output and
// standard error are in testdata/NAME.golden.
type commandLine struct {
	name   string
	args   string // separated by blanks
	status int
}

func runCommandLines(t *testing.T, lines []commandLine) {
	t.Helper()
	for _, c := range lines {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, err := call(strings.Fields(c.args)...)
			if err != nil {
				stderr += "record: " + err.Error() + "\n"
			}
			if got := cli.Status(err); got != c.status {
				t.Errorf("record %s: status %d (%v), want %d", c.args, got, err, c.status)
			}
			checkGolden(t, c.name+".golden", "$ record "+c.args+"\n-- stdout\n"+stdout+"-- stderr\n"+stderr)
		})
	}
}

func TestCommandLines(t *testing.T) {
	fixtures(t)
	runCommandLines(t, []commandLine{
		{"help", "--help", 0},
		{"unknown-command", "frob", 2},
		{"pcap-help", "pcap --help", 0},
		{"pcap", "pcap -o a.tape sender.pcap receiver.pcap", 0},
		{"pcap-as-told", "pcap -o a.tape --link att=10.77.0.6 --link sat=snd:10.77.1.1:5000 --offset 250ms --losses path --delay median --step 1s --idle hold sender.pcap receiver.pcap", 0},
		{"pcap-json", "pcap -o a.tape --link att=10.77.0.6 --json sender.pcap receiver.pcap", 0},
		{"pcap-cut-off", "pcap -o a.tape --min-delay 20ms half-sender.pcap receiver.pcap", 0},
		{"pcap-interface", "pcap -o a.tape --link both=if:sender sender.pcap receiver.pcap", 0},
		{"pcap-no-output", "pcap sender.pcap receiver.pcap", 2},
		{"pcap-one-file", "pcap -o a.tape sender.pcap", 2},
		{"pcap-stdin", "pcap -o a.tape sender.pcap -", 2},
		{"pcap-onto-input", "pcap -o sender.pcap sender.pcap receiver.pcap", 2},
		{"pcap-outputs", "pcap -o - --json sender.pcap receiver.pcap", 2},
		{"pcap-bad-flags", "pcap -o a.tape --link att --link att=10.0.0.300 --link b=:0 --offset soon --drift fast --step 1h --timeout 0s --hash 3 sender.pcap receiver.pcap", 2},
		{"pcap-offset-twice", "pcap -o a.tape --offset 1s --min-delay 1ms sender.pcap receiver.pcap", 2},
		{"pcap-no-capture", "pcap -o a.tape notes.txt receiver.pcap", 1},
		{"pcap-no-packet-of-link", "pcap -o a.tape --link att=10.9.9.9 sender.pcap receiver.pcap", 1},
		{"pcap-missing", "pcap -o a.tape sender.pcap no-such.pcap", 1},
	})
	for _, name := range []string{"a.tape"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

// The tape can be read, and the table of bins agrees with it.
func TestPcapFiles(t *testing.T) {
	fixtures(t)
	if _, stderr, err := call("pcap", "-o", "a.tape", "--bins", "bins.parquet", "sender.pcap", "receiver.pcap"); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	r, err := trace.Open("a.tape")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	steps := make([]trace.Step, r.Rows())
	if n, err := r.Read(steps); n != len(steps) {
		t.Fatalf("read %d steps: %v", n, err)
	}
	rows, err := table.ReadFile[record.Bin]("bins.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if want := 4 * int(r.Meta().Duration/(100*time.Millisecond)); len(rows) != want {
		t.Fatalf("got %d bins, want %d", len(rows), want)
	}
	byBin := map[trace.LinkDir]map[int64]record.Bin{}
	for _, b := range rows {
		d, err := trace.ParseDirection(b.Dir)
		if err != nil {
			t.Fatal(err)
		}
		ld := trace.LinkDir{Link: b.Link, Dir: d}
		if byBin[ld] == nil {
			byBin[ld] = map[int64]record.Bin{}
		}
		byBin[ld][b.At] = b
	}
	for _, s := range steps {
		b := byBin[s.LinkDir()][int64(s.At)]
		// Rounded up to whole bit/s, with what was rounded before taken off.
		if got := int64(s.Rate) / 10; got > b.DeliveredBytes*8+1 || got < b.DeliveredBytes*8-1 {
			t.Errorf("%v at %v: %d bits, want %d", s.LinkDir(), s.At, got, b.DeliveredBytes*8)
		}
	}
	// Nothing else is left behind.
	files, err := filepath.Glob(".*")
	if err != nil || len(files) > 0 {
		t.Errorf("left %v, %v", files, err)
	}
}

// A failed recording leaves no file.
func TestNoFile(t *testing.T) {
	fixtures(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := run(ctx, []string{"pcap", "-o", "a.tape", "--bins", "b.parquet", "sender.pcap", "receiver.pcap"}, nil, new(bytes.Buffer), new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "no file was written") {
		t.Errorf("got %v", err)
	}
	for _, pattern := range []string{"a.tape", "b.parquet", ".*tmp"} {
		if files, _ := filepath.Glob(pattern); len(files) > 0 {
			t.Errorf("left %v", files)
		}
	}
}
