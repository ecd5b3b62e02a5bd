package trial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
	"linktape/trial/stack"
)

const whole = `trial: build-7          # a name
scenario: strategy-combined
seed: 3
duration: 30s
set:
  links.att.queue: 500KB
links: [att, tmobile]
topology: lab/links.yaml
stack: librist
options:
  reorder-buffer: 150ms
  mode: share
rate: 5Mbit
buffer: 800ms
cross:
  - {link: att, kind: tcp, congestion: bbr, at: 10s, duration: 20s}
  - {link: tmobile, dir: down, kind: udp, rate: 2Mbit, on: 1s, off: 2s}
thresholds:
  unrecovered: 0
  retransmission_rate: 1%
  att.effective_throughput_bit_s: {min: 1.9e6}
`

func TestParse(t *testing.T) {
	got, err := Parse("t.yaml", []byte(whole), "dir")
	if err != nil {
		t.Fatal(err)
	}
	number := func(v float64) *float64 { return &v }
	seed := uint64(3)
	want := &File{
		Name: "build-7", Source: "strategy-combined", Seed: &seed, Duration: 30 * time.Second, Set: []string{"links.att.queue=500KB"},
		Links: []string{"att", "tmobile"}, Topology: filepath.Join("dir", "lab", "links.yaml"), Stack: "librist",
		Options: []string{"reorder-buffer=150ms", "mode=share"}, Rate: 5 * trace.Mbit, Buffer: 800 * time.Millisecond,
		Cross: []Cross{
			{Link: "att", Dir: "up", Kind: CrossTCP, Congestion: "bbr", At: 10 * time.Second, Duration: 20 * time.Second},
			{Link: "tmobile", Dir: "down", Kind: CrossUDP, Rate: 2 * trace.Mbit, On: time.Second, Off: 2 * time.Second},
		},
		Thresholds: []Threshold{
			{"unrecovered", nil, number(0)}, {"retransmission_rate", nil, number(0.01)}, {"att.effective_throughput_bit_s", number(1.9e6), nil},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseDefaults(t *testing.T) {
	got, err := Parse("t.yaml", []byte("trial: x\ntape: drive.tape\nstack: exec\nsender: a {{.In}}\nreceiver: b\n"), ".")
	if err != nil {
		t.Fatal(err)
	}
	want := &File{Name: "x", Source: "./drive.tape", Stack: "exec", Pair: stack.Pair{Sender: "a {{.In}}", Receiver: "b"}, Rate: DefaultRate, Buffer: DefaultBuffer}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every fault is named, with its line.
func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing to play", "trial: x\n", []string{"t.yaml:1:1: scenario or tape: name what is played"}},
		{"both", "trial: x\nscenario: a\ntape: b\n", []string{"t.yaml:3:1: scenario and tape: one of them"}},
		{"many", "trial: X!\nscenario: a\nstack: rist\nrate: fast\nbuffer: 1ms\nlinkz: [a]\n", []string{
			"t.yaml:1:8: ", "t.yaml:3:8: ", "t.yaml:4:7: ", "t.yaml:5:9: buffer 1ms: from 10ms to 30s", "t.yaml:6:1: ",
		}},
		{"commands of another stack", "trial: x\nscenario: a\nsender: y\n", []string{"t.yaml:3:1: sender goes with stack: exec"}},
		{"cross", "trial: x\nscenario: a\ncross:\n  - {link: a, kind: tcp, rate: 1Mbit}\n  - {link: a, kind: udp}\n  - {kind: udp, rate: 1Mbit, on: 1s}\n  - {link: a, kind: tcp, congestion: vegas}\n", []string{
			"t.yaml:4:26: rate goes with kind: udp", "t.yaml:5:5: kind: udp needs a rate", "t.yaml:6:", "t.yaml:7:38: ",
		}},
		{"thresholds", "trial: x\nscenario: a\nthresholds:\n  loss: {}\n  overhead: lots\n  a.loss: {least: 1}\n", []string{"t.yaml:4:3: unknown metric loss of a bond", "t.yaml:4:9: min, max, or both", "t.yaml:5:13: ", "t.yaml:6:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("t.yaml", []byte(c.text), ".")
			if err == nil {
				t.Fatal("got no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got %v\nwithout %q", err, w)
				}
			}
		})
	}
}

// A scenario, a tape and a trial file are told apart by what they hold.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("drive.yaml", "")
	for _, c := range []struct{ name, arg, source string }{
		{"library", "quickstart", "quickstart"},
		{"scenario", put("s.yaml", "scenario: s\n"), filepath.Join(dir, "s.yaml")},
		{"tape", put("t.tape", "PAR1…"), filepath.Join(dir, "t.tape")},
		{"trial of the library", put("l.yaml", "trial: l\nscenario: quickstart\n"), "quickstart"},
		{"trial of a file beside it", put("f.yaml", "trial: f\nscenario: drive.yaml\n"), filepath.Join(dir, "drive.yaml")},
		{"trial of a tape", put("g.yaml", "trial: g\ntape: t.tape\n"), filepath.Join(dir, "t.tape")},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Open(c.arg)
			if err != nil {
				t.Fatal(err)
			}
			if f.Source != c.source || f.Stack != "librist" || f.Rate != DefaultRate {
				t.Errorf("got %+v, want source %q", f, c.source)
			}
		})
	}
	if _, err := Open(put("list.yaml", "- a\n")); err == nil || !strings.Contains(err.Error(), "neither a scenario nor a trial") {
		t.Errorf("got %v", err)
	}
}

// What is accepted can be run: its bounds hold, and its cross traffic is sound.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("trial: x\ntape: drive.tape\nstack: exec\nsender: a\nreceiver: b\n"))
	f.Add([]byte("trial: x\nscenario: a\nthresholds:\n  a.loss: {min: 1%}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("t.yaml", data, ".")
		if err != nil {
			return
		}
		if file.Source == "" || file.Rate < MinRate || file.Rate > MaxRate || file.Buffer < MinBuffer || file.Buffer > MaxBuffer || file.Duration < 0 {
			t.Errorf("got %+v", file)
		}
		for i := range file.Cross {
			if err := file.Cross[i].check(); err != nil {
				t.Errorf("cross traffic %+v: %v", file.Cross[i], err)
			}
		}
		for _, x := range file.Thresholds {
			if x.Metric == "" || x.Min == nil && x.Max == nil {
				t.Errorf("threshold %+v", x)
			}
		}
	})
}

// The files that the documents show are what they say.
func TestDocumentedFiles(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "docs", "trial.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, block := range strings.Split(string(data), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		n++
		f, err := Parse("docs/trial.md", []byte(text), ".")
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := stack.New(f.Stack, f.Options, f.Pair); err != nil {
			t.Error(err)
		}
		if _, err := MakeTape(t.Context(), f.Source, t.TempDir(), TapeOptions{Set: f.Set, Seed: f.Seed, Duration: f.Duration, Links: f.Links}, nil); err != nil {
			t.Error(err)
		}
	}
	if n == 0 {
		t.Error("the document shows no file")
	}
}
