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

	"linktape/trial"
	"linktape/trial/metrics"
)

func TestFigure(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.01234, "1", "1.23 %"}, {0, "1", "0 %"}, {1.048, "1", "104.8 %"}, {1e-7, "1", "1e-05 %"}, {3.996e6, "bit/s", "4 Mbit/s"},
		{21660, "packets", "21660 packets"}, {1022.83, "ms", "1023 ms"}, {4.531, "ms", "4.53 ms"}, {math.NaN(), "ms", "–"}, {2, "", "2"}, {-0.5, "ms", "-0.5 ms"},
	} {
		if got := Figure(c.v, c.unit); got != c.want {
			t.Errorf("%v %s: got %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

// Every definition can be read alone.
func TestTexts(t *testing.T) {
	texts := Texts(metrics.Definitions())
	for _, d := range metrics.Definitions() {
		text := texts[[2]string{d.Scope, d.Name}]
		if !strings.HasPrefix(text, d.Text) {
			t.Errorf("%s: got %q", d.Name, text)
		}
		if (strings.HasPrefix(text, "The same") || strings.HasPrefix(text, "Of them")) && !strings.Contains(text, "(") {
			t.Errorf("%s of a %s speaks of what is not said: %q", d.Name, d.Scope, text)
		}
	}
	if got, want := texts[[2]string{"bond", "latency_p99_ms"}], "The same, 99th percentile. (Time from the source to the sink, median of datagrams delivered for the first time.)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// made is a trial of 4 s over two links, with an event and what else a page shows.
func made() (*trial.Manifest, *metrics.Result) {
	most := 0.01
	m := &trial.Manifest{
		Format: 1, Name: "cut", Scenario: "a5-cut-stall", Seed: 3, SHA256: strings.Repeat("ab", 32), Stack: "librist", Settings: map[string]string{"profile": "main", "rtt-min": ""},
		Sender: []string{"ristsender", "-o", "rist://10.0.0.1:8000?cname=<a>&weight=5"}, Receiver: []string{"ristreceiver"}, Versions: map[string]string{"ristsender": "0.2.7"},
		Time: "virtual", Duration: 4 * time.Second, Rate: 4e6, Datagram: 1316, Buffer: time.Second, EpochWall: 1767225600590976896, Complete: true,
		Links: []trial.Link{{Name: "a", SenderAddr: "10.77.0.1", ReceiverAddr: "10.77.0.6", ReceiverPorts: []int{8000}, Shaper: "tbf", Queue: "400ms droptail", MTU: 1500}, {Name: "b"}},
		Cross: []trial.Cross{{Link: "a", Dir: "up", Kind: "tcp", Congestion: "bbr", At: time.Second}}, Findings: []string{"a link <is> odd"},
		Thresholds: []trial.Threshold{{Metric: "unrecovered", Max: &most}, {Metric: "a.loss", Max: &most}, {Metric: "latency_p99_ms", Max: &most}},
	}
	r := &metrics.Result{
		Format: 1, Scenario: m.Scenario, Seed: 3, SHA256: m.SHA256, Stack: m.Stack, Duration: m.Duration, From: 2 * time.Second, To: 3 * time.Second, Bin: 100 * time.Millisecond,
		Links: []string{"a", "b"}, Definitions: metrics.Definitions(), Findings: []metrics.Finding{{Text: "captures and counters are 3 % apart"}},
	}
	un, loss := 0.02, 0.005
	r.Metrics = []metrics.Value{
		{Name: "loss", Link: "a", Unit: "1", Value: &loss, Source: "captures"}, {Name: "loss", Link: "b", Unit: "1", Source: "captures"},
		{Name: "unrecovered", Unit: "1", Value: &un, Source: "source and sink"}, {Name: "latency_p99_ms", Unit: "ms", Source: "source and sink"},
	}
	restore, failover := 2500*time.Millisecond, 700*time.Millisecond
	r.Events = []metrics.Event{{Link: "b", Mode: "stall", Failure: 1500 * time.Millisecond, Restore: &restore, Failover: &failover}, {Link: "a", Mode: "drop-both", Failure: 3 * time.Second, OutputBack: true}}
	r.Reactions = []metrics.Reaction{{Link: "a", Cause: "rtt", At: time.Second}}
	column := func(v float64) metrics.Column {
		c := make(metrics.Column, 40)
		for i := range c {
			c[i] = v
		}
		c[7], c[8] = math.NaN(), math.Inf(1)
		return c
	}
	for _, l := range r.Links {
		r.Series.Links = append(r.Series.Links, metrics.LinkSeries{Link: l, Capacity: column(3e6), Sent: column(2e6), Throughput: column(2e6), Effective: column(1.9e6), Loss: column(0.01), RTT: column(40), StackRTT: column(41), QueueDelay: column(3)})
	}
	r.Series.Output = metrics.OutputSeries{Source: column(4e6), Output: column(4e6), Gap: column(5)}
	return m, r
}

// The page holds what the issue of a trial is, needs nothing from elsewhere, and
// runs nothing.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, trial.SinkFile), []byte("abc"), 0o666); err != nil {
		t.Fatal(err)
	}
	m, r := made()
	var b bytes.Buffer
	if err := Page(&b, dir, m, r); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"<title>Trial cut: librist</title>", "a5-cut-stall, seed 3, 4s over a, b; virtual time", "a link &lt;is&gt; odd", "captures and counters are 3 % apart",
		`<td title="The same / datagrams sent. (Of them not delivered`, "<td>2 %</td>", "cname=&lt;a&gt;&amp;weight=5", strings.Repeat("ab", 32), "0.2.7", "option profile",
		"tcp on a up from 1s, bbr", "<td class=\"l\">stall</td>", "<td>700ms</td>", "not within 10 s", "2026-01-01 00:00:00.590976 UTC", "400ms droptail",
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", // SHA-256 of "abc", FIPS 180-2, B.1
		"<td>≤ 1 %</td><td>2 %</td><td class=\"l bad\">missed</td>", "<td>≤ 1 %</td><td>0.5 %</td><td class=\"l good\">passed</td>", "<td>–</td><td class=\"l bad\">missed</td>",
		`<td title="1 − arrived / sent, of packets of the bond, by when they were sent.">a.loss</td>`,
		"@page { size: A4 landscape",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(page, "option rtt-min") {
		t.Error("the page has an option without a value")
	}
	if n := strings.Count(page, "<svg"); n != 2+3*2 {
		t.Errorf("got %d pictures, want 2 of the output and 3 of each link", n)
	}
	if found := regexp.MustCompile(`(?i)<script|<link|src=|url\(|@import|ZgotmplZ|NaN`).FindString(page); found != "" {
		t.Errorf("the page has %s", found)
	}
	if found := regexp.MustCompile(`https?://[^"]*`).FindAllString(page, -1); len(found) > 0 {
		for _, f := range found {
			if !strings.HasPrefix(f, "http://www.w3.org/") { // names of SVG, which nobody fetches
				t.Errorf("the page names %s", f)
			}
		}
	}
	var again bytes.Buffer
	if err := Page(&again, dir, m, r); err != nil || again.String() != page {
		t.Error("the same trial gave another page")
	}
}

func TestOverview(t *testing.T) {
	_, r := made()
	got, err := Overview(r)
	if err != nil || len(got) != 5 {
		t.Fatalf("got %d pictures, %v", len(got), err)
	}
	for i, want := range []string{"effective throughput", "RTT", "loss", "source", "longest time without a datagram"} {
		if !strings.Contains(string(got[i]), want) || !strings.Contains(string(got[i]), "<svg width=\"100%\"") {
			t.Errorf("picture %d has no %q", i+1, want)
		}
	}
	r.Series = metrics.Series{}
	if got, err := Overview(r); err != nil || got != nil {
		t.Errorf("without series: got %d pictures, %v", len(got), err)
	}
}

func TestReadErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "trial report "+dir) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), trial.ManifestFile) {
		t.Errorf("got %v", err)
	}
	_, r := made()
	r.Format = 9
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"{": "unexpected end", string(b): "format 9, not 1: measure the trial again"} {
		if err := os.WriteFile(filepath.Join(dir, JSONFile), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
