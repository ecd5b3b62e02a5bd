package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"linktape/internal/cli"
	"linktape/record/capture/capturetest"
)

// captured is a capture of four packets of 10.0.0.1, 1 ms apart with the third one
// out of order, one of 10.0.0.2 and one that is not UDP, after the first.
func captured(t *testing.T) []byte {
	t.Helper()
	packet := func(src string, at time.Duration, bytes int, protocol byte) capturetest.Record {
		ip := capturetest.UDP{
			Src: netip.AddrPortFrom(netip.MustParseAddr(src), 1000), Dst: netip.MustParseAddrPort("10.0.1.1:2000"), Payload: make([]byte, bytes-28),
		}.IP()
		ip[9] = protocol
		return capturetest.Record{At: 1_700_000_000e9 + int64(at), Frame: capturetest.Frame(layers.LinkTypeEthernet, 0, ip)}
	}
	const udp, tcp, ms = 17, 6, time.Millisecond
	var b bytes.Buffer
	if err := capturetest.Pcap(&b, layers.LinkTypeEthernet, 0, []capturetest.Record{
		packet("10.0.0.1", 0, 1250, udp), packet("10.0.0.2", ms/2, 700, udp), packet("10.0.0.1", ms/2, 500, tcp),
		packet("10.0.0.1", 2*ms, 1250, udp), packet("10.0.0.1", ms, 100, udp), packet("10.0.0.1", 1500*ms, 1250, udp),
	}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSimulate(t *testing.T) {
	tape, _ := shortTape(t)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"table", []string{"--arrivals", "8Mbit"}},
		{"one-direction", []string{"--arrivals", "8Mbit", "--packet", "500", "--link", "a.up", "--queue", "10KB", "--from", "500ms", "--duration", "500ms", "--loop", "3"}},
		{"json", []string{"--arrivals", "8Mbit", "--link", "a.down", "--queue", "50ms", "--json"}},
		{"packets", []string{"--arrivals", "1Mbit", "--duration", "60ms", "-o", "-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, err := invoke(t.Context(), append(append([]string{"simulate"}, c.args...), tape)...)
			if err != nil || stderr != "" {
				t.Fatalf("got %v, %q", err, stderr)
			}
			for _, line := range strings.Split(stdout, "\n") {
				if len([]rune(line)) > 100 {
					t.Errorf("%d columns: %s", len([]rune(line)), line)
				}
			}
			checkGolden(t, "simulate-"+c.name, stdout)
		})
	}
}

// The packets of a capture come as they were captured, one after the other.
func TestSimulateCapture(t *testing.T) {
	tape, _ := shortTape(t)
	file := filepath.Join(t.TempDir(), "sent.pcap")
	if err := os.WriteFile(file, captured(t), 0o600); err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(captured(t)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	// a.up has 2 Mbit/s at first: 1250 bytes take 5 ms. At 1.5 s it has 17.
	const one = packetHeader +
		"a,up,0,0,1250,delivered,5000000,5000000,0\n" +
		"a,up,1,500000,500,delivered,7000000,7000000,1125\n" +
		"a,up,2,2000000,1250,delivered,12000000,12000000,1250\n" +
		"a,up,3,2000000,100,delivered,12400000,12400000,2500\n" +
		"a,up,4,1500000000,1250,delivered,1500588236,1500588236,0\n"
	for _, c := range []struct {
		name    string
		stdin   []byte
		args    []string
		remarks []string
	}{
		{"file", nil, []string{"--arrivals", file, "--source", "10.0.0.1"}, []string{"1 packet of other sources left out", "1 packet captured with an instant before the one before"}},
		{"network, from standard input", captured(t), []string{"--arrivals", "-", "--source", "10.0.0.0/31"}, []string{"other sources"}},
		{"gzip", zipped.Bytes(), []string{"--arrivals", "-", "--source", "10.0.0.1"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			err := run(t.Context(), append(append([]string{"simulate"}, c.args...), "--link", "a.up", "-o", "-", tape), bytes.NewReader(c.stdin), &out, &errs)
			if err != nil || out.String() != one {
				t.Errorf("got %v:\n%swant:\n%s", err, &out, one)
			}
			for _, r := range c.remarks {
				if !strings.Contains(errs.String(), r) {
					t.Errorf("remarks lack %q: %s", r, &errs)
				}
			}
		})
	}
	t.Run("all sources, and a file of packets", func(t *testing.T) {
		packets := filepath.Join(t.TempDir(), "packets.csv")
		stdout, stderr, err := invoke(t.Context(), "simulate", "--arrivals", file, "-o", packets, tape)
		if err != nil || strings.Contains(stderr, "left out") || !strings.Contains(stdout, "a.up        6") {
			t.Errorf("got %v, %q, %q", err, stdout, stderr)
		}
		data, err := os.ReadFile(packets)
		if err != nil || bytes.Count(data, []byte("\n")) != 13 {
			t.Errorf("got %v, want 12 packets:\n%s", err, data)
		}
	})
}

func TestSimulateErrors(t *testing.T) {
	tape, _ := shortTape(t)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		args   []string
		status int
		want   string
	}{
		{"no traffic", t.Context(), []string{tape}, 2, "--arrivals is missing"},
		{"no tape", t.Context(), []string{"--arrivals", "6Mbit"}, 2, "usage: replay simulate TAPE"},
		{"no packets", t.Context(), []string{"--arrivals", "0", tape}, 2, "--arrivals 0: no packets"},
		{"empty packets", t.Context(), []string{"--arrivals", "6Mbit", "--packet", "0", tape}, 2, "--packet 0: outside 1 to 65535"},
		{"source of a rate", t.Context(), []string{"--arrivals", "6Mbit", "--source", "::1", tape}, 2, "--source is for captures"},
		{"size of a capture", t.Context(), []string{"--arrivals", tape, "--packet", "9", tape}, 2, "--packet is for rates"},
		{"source", t.Context(), []string{"--arrivals", tape, "--source", "here", tape}, 2, `--source "here": write an address`},
		{"no capture", t.Context(), []string{"--arrivals", tape, tape}, 1, "neither pcap nor pcapng"},
		{"missing capture", t.Context(), []string{"--arrivals", "6Mb", tape}, 1, "open capture: open 6Mb"},
		{"direction", t.Context(), []string{"--arrivals", "6Mbit", "--link", "a", tape}, 2, `--link "a": write LINK.up`},
		{"not on the tape", t.Context(), []string{"--arrivals", "6Mbit", "--link", "b.up", tape}, 1, "no direction b.up"},
		{"queue", t.Context(), []string{"--arrivals", "6Mbit", "--queue", "5", tape}, 2, `--queue "5": write a size`},
		{"empty queue", t.Context(), []string{"--arrivals", "6Mbit", "--queue", "0", tape}, 2, `--queue "0": write a size`},
		{"forever", t.Context(), []string{"--loop", "--arrivals", "6Mbit", tape}, 2, "--loop forever: a simulation needs an end"},
		{"speed", t.Context(), []string{"--arrivals", "6Mbit", "--speed", "0", tape}, 2, "--speed 0: outside"},
		{"negative from", t.Context(), []string{"--arrivals", "6Mbit", "--from", "-1s", tape}, 2, "--from -1s: negative"},
		{"window", t.Context(), []string{"--arrivals", "6Mbit", "--from", "3s", tape}, 1, "the tape lasts 2s"},
		{"packets and JSON", t.Context(), []string{"--arrivals", "6Mbit", "-o", "-", "--json", tape}, 2, "-o - and --json exclude each other"},
		{"no folder", t.Context(), []string{"--arrivals", "6Mbit", "-o", filepath.Join(t.TempDir(), "no", "x"), tape}, 1, "no such file"},
		{"stopped", stopped, []string{"--arrivals", "6Mbit", tape}, 1, "context canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, _, err := invoke(c.ctx, append([]string{"simulate"}, c.args...)...)
			if got := cli.Status(err); got != c.status || err == nil || !strings.Contains(err.Error(), c.want) || stdout != "" {
				t.Errorf("got status %d, error %v, %q; want %d, %q", got, err, stdout, c.status, c.want)
			}
		})
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"simulate", "--arrivals", "6Mbit", tape}, strings.NewReader(""), broken{}, &out); err == nil {
		t.Error("the table was lost without an error")
	}
}
