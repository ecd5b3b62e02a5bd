package stack

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// checkGolden compares text with a file under testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
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

// twoLinks is what the recorded output comes from: links a and b with 5 % loss, for
// 10 s.
func twoLinks() *Setup {
	return &Setup{
		Links: []Link{
			{"a", netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.6"), 8000},
			{"b", netip.MustParseAddr("10.77.1.1"), netip.MustParseAddr("10.77.1.6"), 8000},
		},
		In: netip.MustParseAddrPort("127.0.0.1:7000"), Out: netip.MustParseAddrPort("127.0.0.1:7100"), Buffer: time.Second, Rate: 4_000_000,
	}
}

func newStack(t testing.TB, name string, options ...string) Stack {
	t.Helper()
	s, err := New(name, options, Pair{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// streamOf is where a stack's statistics come.
func streamOf(name string) Stream {
	if name == "gstreamer" {
		return Stdout
	}
	return Stderr
}

// The last value of every figure of real output.
func TestRecordedStatistics(t *testing.T) {
	for _, name := range []string{"librist", "gstreamer"} {
		for _, side := range []Side{Sender, Receiver} {
			t.Run(fmt.Sprintf("%s/%s", name, side), func(t *testing.T) {
				data, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("%s-%s.log", name, side)))
				if err != nil {
					t.Fatal(err)
				}
				last := make(map[string]float64)
				p := newStack(t, name).Parser(twoLinks(), side)
				for _, line := range bytes.Split(data, []byte("\n")) {
					p.Line(streamOf(name), line, func(s Sample) {
						if s.Side != side || s.Name == "" {
							t.Errorf("got %+v", s)
						}
						key := fmt.Sprintf("%-4s %s", s.Link, s.Name)
						if strings.HasPrefix(s.Name, "sum.") && s.Value < last[key] {
							t.Errorf("%s fell from %v to %v", key, last[key], s.Value)
						}
						last[key] = s.Value
					})
				}
				var b strings.Builder
				for _, k := range slices.Sorted(maps.Keys(last)) {
					fmt.Fprintf(&b, "%s %v\n", k, last[k])
				}
				checkGolden(t, fmt.Sprintf("%s-%s", name, side), b.String())
			})
		}
	}
}

// total adds up a field of lines that another expression finds.
func total(t *testing.T, file, of string) (sum float64) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(of).FindAllSubmatch(data, -1) {
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// The sums of librist's intervals are those that a regular expression finds.
func TestLibristSums(t *testing.T) {
	for _, c := range []struct {
		side Side
		link string
		name string
		of   string
	}{
		{Sender, "a", SumSent, `"id":1,"cname":"[^"]*","type":"data","stats":{"quality":[0-9.]+,"sent":([0-9]+)`},
		{Sender, "b", SumRetransmitted, `"id":2,[^}]*"retransmitted":([0-9]+)`},
		{Receiver, "", SumReceived, `"stats":{"quality":[0-9.]+,"received":([0-9]+)`},
		{Receiver, "", SumRecovered, `"recovered_total":([0-9]+)`},
		{Receiver, "a", SumReceived, `"id":3,"dead":[01],"stats":{"received_data":([0-9]+)`},
		{Receiver, "b", SumReceived, `"id":4,"dead":[01],"stats":{"received_data":([0-9]+)`},
	} {
		file := fmt.Sprintf("librist-%s.log", c.side)
		want := total(t, file, c.of)
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		got := 0.0
		p := newStack(t, "librist").Parser(twoLinks(), c.side)
		for _, line := range bytes.Split(data, []byte("\n")) {
			p.Line(Stderr, line, func(s Sample) {
				if s.Link == c.link && s.Name == c.name {
					got = s.Value
				}
			})
		}
		if got != want || want == 0 {
			t.Errorf("%s %q %s: got %v, want %v and more than 0", c.side, c.link, c.name, got, want)
		}
	}
}

// samples parses lines.
func samples(p Parser, s Stream, lines ...string) map[string]float64 {
	out := make(map[string]float64)
	for _, l := range lines {
		p.Line(s, []byte(l), func(x Sample) { out[x.Link+" "+x.Name] = x.Value })
	}
	return out
}

// What librist is known to get wrong.
func TestLibristDefects(t *testing.T) {
	const peers = "1.0|2.0|[INFO] Peer 3 receiver name is now: a"
	line := func(lost, dead, data int) string {
		return fmt.Sprintf(`1.0|2.0|[INFO] {"receiver-stats":{"flowinstant":{"flow_id":1,"dead":0,"stats":{"quality":100,"received":10,`+
			`"lost":%d,"min_inter_packet_spacing":1.8446744073709552e+19},"peers":[{"id":3,"dead":%d,"stats":{"received_data":%d,"rtt":0,"bitrate":1384974}},`+
			`{"id":9,"dead":0,"stats":{"received_data":5}}]}}}`, lost, dead, data)
	}
	got := samples(newStack(t, "librist").Parser(twoLinks(), Receiver), Stderr, peers, line(3, 0, 7), line(62483, 1, 0))
	want := map[string]float64{
		" quality": 100, " received": 10, " lost": 3, // of the line that had one
		" sum.received": 20, " sum.recovered": 0, " sum.lost": 3, " sum.duplicates": 0, " sum.requests": 0,
		"a dead": 1, "a received_data": 0, "a bitrate": 0, "a rtt": 0, "a sum.received": 7,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What GStreamer is known to get wrong: everything is 0 after a goodbye, sessions
// that say nothing of their round trip.
func TestGStreamerDefects(t *testing.T) {
	line := func(sent, again, rtt int) string {
		return fmt.Sprintf(`sender: rist/x-sender-stats, sent-original-packets=(guint64)%d, sent-retransmitted-packets=(guint64)%d, session-stats=(GValueArray)< `+
			`"rist/x-sender-session-stats\,\ session-id\=\(int\)0\,\ sent-original-packets\=\(guint64\)%[1]d\,\ sent-retransmitted-packets\=\(guint64\)%[2]d\,\ round-trip-time\=\(guint64\)%[3]d\;", `+
			`"rist/x-sender-session-stats\,\ session-id\=\(int\)1\,\ sent-original-packets\=\(guint64\)5\,\ sent-retransmitted-packets\=\(guint64\)1\,\ round-trip-time\=\(guint64\)0\;" >;`, sent, again, rtt)
	}
	got := samples(newStack(t, "gstreamer").Parser(twoLinks(), Sender), Stdout, line(20, 3, 41_000_000), line(0, 0, 0))
	want := map[string]float64{
		" sent-original-packets": 20, " sent-retransmitted-packets": 3, " sum.retransmitted": 3, " sum.sent": 23,
		"a sent-original-packets": 20, "a sent-retransmitted-packets": 3, "a sum.retransmitted": 3, "a sum.sent": 23,
		"a round-trip-time": 41e6, "a rtt_ms": 41,
		"b sent-original-packets": 5, "b sent-retransmitted-packets": 1, "b sum.retransmitted": 1, "b sum.sent": 6,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLineParser(t *testing.T) {
	got := samples(&LineParser{Sender}, Stdout, "linktape a rtt_ms 41.5", "linktape - sum.sent 7", "linktape a b", "hello", "linktape a x NaN", "linktape a x y")
	if diff := cmp.Diff(map[string]float64{"a rtt_ms": 41.5, " sum.sent": 7}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := samples(&LineParser{Sender}, Stderr, "linktape a rtt_ms 41.5"); len(got) != 0 {
		t.Errorf("got %v of standard error", got)
	}
}

// Whatever a program writes, a parser only gives finite figures of known links, and
// sums that never fall.
func FuzzParsers(f *testing.F) {
	for _, file := range []string{"librist-sender", "librist-receiver", "gstreamer-sender", "gstreamer-receiver"} {
		data, err := os.ReadFile(filepath.Join("testdata", file+".log"))
		if err != nil {
			f.Fatal(err)
		}
		lines := bytes.Split(data, []byte("\n"))
		for _, l := range lines[len(lines)/2 : len(lines)/2+6] {
			f.Add(l)
		}
	}
	f.Add([]byte("linktape a rtt_ms 41.5"))
	f.Fuzz(func(t *testing.T, data []byte) {
		exec, err := New("exec", nil, Pair{"true", "true"})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []Stack{newStack(t, "librist"), newStack(t, "gstreamer"), exec} {
			for _, side := range []Side{Sender, Receiver} {
				p := s.Parser(twoLinks(), side)
				sums := make(map[string]float64)
				for _, stream := range []Stream{Stdout, Stderr} {
					for _, line := range bytes.Split(data, []byte("\n")) {
						p.Line(stream, line, func(x Sample) {
							if x.Value != x.Value || x.Side != side || s.Name() != "exec" && !slices.Contains([]string{"", "a", "b"}, x.Link) {
								t.Errorf("%s: got %+v", s.Name(), x)
							}
							if key := x.Link + " " + x.Name; s.Name() != "exec" && strings.HasPrefix(x.Name, "sum.") {
								if x.Value < sums[key] {
									t.Errorf("%s: %s fell from %v to %v", s.Name(), key, sums[key], x.Value)
								}
								sums[key] = x.Value
							}
						})
					}
				}
			}
		}
	})
}
