package trace

import (
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with the file testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with go test -update", err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// twoLinks is a small valid timeline: att up and down, sat up.
func twoLinks() *Timeline {
	good := State{Rate: 6 * Mbit, Delay: 40 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.01, Carrier: true, Label: "good"}
	bad := good
	bad.Rate, bad.Loss, bad.Label = 500*Kbit, 0, "bad"
	bad.GE = GE{P: 0.01, R: 0.3, LossBad: 1}
	return &Timeline{
		Meta: Meta{Duration: 10 * time.Second, Links: []Link{{Name: "att", Up: true, Down: true}, {Name: "sat", Up: true}}},
		Steps: []Step{
			{0, "att", Down, good},
			{0, "att", Up, good},
			{0, "sat", Up, bad},
			{1200 * time.Millisecond, "att", Up, bad},
			{1200 * time.Millisecond, "sat", Up, good},
			{9 * time.Second, "att", Down, bad},
		},
	}
}

func TestCheck(t *testing.T) {
	step := func(i int, edit func(*Step)) func(*Timeline) {
		return func(tl *Timeline) { edit(&tl.Steps[i]) }
	}
	for _, tt := range []struct {
		name string
		edit func(*Timeline)
		want string
	}{
		{"valid", func(*Timeline) {}, ""},
		{"rate above the maximum", step(3, func(s *Step) { s.Rate = MaxRate + 1 }), "att.up at 1.2s: rate 10000000000001: outside 0 to 10000Gbit"},
		{"rate negative", step(3, func(s *Step) { s.Rate = -1 }), "att.up at 1.2s: rate -1: outside 0 to 10000Gbit"},
		{"rate 0", step(3, func(s *Step) { s.Rate = 0 }), ""},
		{"delay negative", step(3, func(s *Step) { s.Delay = -1 }), "att.up at 1.2s: delay -1ns: negative"},
		{"delay long", step(3, func(s *Step) { s.Delay = time.Hour + 1 }), "att.up at 1.2s: delay 1h0m0.000000001s: above 1h0m0s"},
		{"jitter without delay", step(3, func(s *Step) { s.Delay = 0 }), ""},
		{"jitter negative", step(3, func(s *Step) { s.Jitter = -time.Second }), "att.up at 1.2s: jitter -1s: negative"},
		{"loss", step(4, func(s *Step) { s.Loss = 1.5 }), "sat.up at 1.2s: loss 1.5: outside 0 to 1"},
		{"loss NaN", step(4, func(s *Step) { s.Loss = Prob(math.NaN()) }), "sat.up at 1.2s: loss NaN: outside 0 to 1"},
		{"loss and chain", step(3, func(s *Step) { s.Loss = 0.5 }), "att.up at 1.2s: loss 0.5: set together with a Gilbert–Elliott chain, which replaces it; leave one of them 0"},
		{"probabilities", step(3, func(s *Step) {
			s.GE = GE{-1, 2, 3, 4}
			s.Duplicate, s.Corrupt, s.Reorder = 5, Prob(math.Inf(-1)), 1.0000001
		}), `att.up at 1.2s: ge_p -1: outside 0 to 1
att.up at 1.2s: ge_r 2: outside 0 to 1
att.up at 1.2s: ge_loss_bad 3: outside 0 to 1
att.up at 1.2s: ge_loss_good 4: outside 0 to 1
att.up at 1.2s: duplicate 5: outside 0 to 1
att.up at 1.2s: corrupt -Inf: outside 0 to 1
att.up at 1.2s: reorder 1.0000001: outside 0 to 1`},
		{"label long", step(0, func(s *Step) { s.Label = strings.Repeat("x", 65) }), `att.down at 0s: label "` + strings.Repeat("x", 65) + `": longer than 64 bytes`},
		{"label not UTF-8", step(0, func(s *Step) { s.Label = "a\xff" }), `att.down at 0s: label "a\xff": not valid UTF-8`},
		{"label with a newline", step(0, func(s *Step) { s.Label = "a\nb" }), `att.down at 0s: label "a\nb": holds a character that cannot be printed`},
		{"label in another script", step(0, func(s *Step) { s.Label = "地下鉄" }), ""},
		{"order", func(tl *Timeline) { tl.Steps[3], tl.Steps[4] = tl.Steps[4], tl.Steps[3] }, "att.up at 1.2s: step: out of order: follows sat.up at 1.2s; sort by instant, link and direction"},
		{"duplicate", func(tl *Timeline) { tl.Steps[4] = tl.Steps[3] }, "att.up at 1.2s: step: the same direction has another step at this instant"},
		{"after the end", step(5, func(s *Step) { s.At = 10 * time.Second }), "att.down at 10s: instant 10s: outside the timeline, which lasts from 0 to 10s"},
		{"before the start", step(0, func(s *Step) { s.At = -1 }), "att.down at -1ns: instant -1ns: outside the timeline, which lasts from 0 to 10s\natt.down at 0s: step: missing: every direction needs a step at instant 0"},
		{"unknown link", step(5, func(s *Step) { s.Link = "x" }), `x.down at 9s: direction "x.down": not among the timeline's links`},
		{"unknown direction", step(5, func(s *Step) { s.Link = "sat" }), `sat.down at 9s: direction "sat.down": not among the timeline's links`},
		{"no steps", func(tl *Timeline) { tl.Steps = nil }, `att.down at 0s: step: missing: every direction needs a step at instant 0
att.up at 0s: step: missing: every direction needs a step at instant 0
sat.up at 0s: step: missing: every direction needs a step at instant 0`},
		{"several steps", func(tl *Timeline) { tl.Steps[1].Loss, tl.Steps[4].Rate, tl.Steps[5].Delay = 2, -5, -6 },
			"att.up at 0s: loss 2: outside 0 to 1\nsat.up at 1.2s: rate -5: outside 0 to 10000Gbit\natt.down at 9s: delay -6ns: negative"},

		{"meta: duration", func(tl *Timeline) { tl.Meta.Duration = 0 }, "duration 0s: not above 0"},
		{"meta: no links", func(tl *Timeline) { tl.Meta.Links = nil }, "links: none with a direction"},
		{"meta: no directions", func(tl *Timeline) { tl.Meta.Links = []Link{{Name: "a"}} }, "links: none with a direction"},
		{"meta: several", func(tl *Timeline) {
			tl.Meta.Duration = -time.Second
			tl.Meta.Generator = "\xff"
			tl.Meta.Links = []Link{
				{Name: "b", Up: true},
				{Name: "a", Up: true, Queue: &Queue{Kind: "red", LimitBytes: -1}},
				{Name: "a", Up: true, Queue: &Queue{Kind: DropTail, LimitBytes: 1, LimitTime: 1}},
				{Name: "A", Up: true, Queue: &Queue{Kind: DropTail}},
				{Name: "c", Queue: &Queue{}},
				{Name: "d", Queue: &Queue{Kind: DropTail, LimitTime: 2 * time.Hour}},
			}
			tl.Meta.Sources = []Source{{Link: "b", Dir: "up"}, {Link: "a", Dir: "up"}, {Link: "a", Dir: "north", Choices: map[string]string{"x": "\xff"}}}
		}, `duration -1s: not above 0
link "a": out of order: follows "b"; sort links by name
link "a" queue kind "red": unknown: write "droptail"
link "a" queue limit -1B: negative
link "a": listed twice
link "a" queue limit: given in bytes and as a time: choose one
link: name "A": use lower-case letters, digits and, after the first character, hyphens
link "A": out of order: follows "a"; sort links by name
link "A" queue limit: missing: give bytes or a time
link "d" queue limit 2h0m0s: outside 0 to 1h0m0s
generator "\xff": not valid UTF-8
source a.up: out of order: follows b.up; sort sources by link and direction
source: "a.north": direction "north": write up or down
source choice x "\xff": not valid UTF-8`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tl := twoLinks()
			tt.edit(tl)
			got := ""
			if err := tl.Check(); err != nil {
				got = err.Error()
				var f *FaultsError
				if !errors.As(err, &f) {
					t.Errorf("got %T, want *FaultsError", err)
				}
			}
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestManyFaults(t *testing.T) {
	tl := twoLinks()
	for i := range 250 {
		tl.Steps = append(tl.Steps, Step{At: 9*time.Second + time.Duration(i+1), Link: "att", Dir: Up, State: State{Rate: -1}})
	}
	var f *FaultsError
	if err := tl.Check(); !errors.As(err, &f) {
		t.Fatal(err)
	}
	if len(f.Faults) != 100 || f.More != 150 {
		t.Errorf("got %d faults and %d more, want 100 and 150", len(f.Faults), f.More)
	}
	if !strings.HasSuffix(f.Error(), "\nand 150 more") {
		t.Errorf("got %q", f.Error())
	}
	want := Fault{At: 9*time.Second + 1, LinkDir: LinkDir{"att", Up}, Field: "rate", Value: "-1", Problem: "outside 0 to 10000Gbit"}
	if d := cmp.Diff(want, f.Faults[0]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestUnits(t *testing.T) {
	for _, tt := range []struct {
		in, want string // want: String, or the error
	}{
		{"6Mbit", "6Mbit"}, {"1.5gbit", "1.5Gbit"}, {"120kbit", "120kbit"}, {"0", "0bit"}, {"1234567bit", "1234.567kbit"}, {"1500kbit", "1.5Mbit"},
		{"6", `rate "6": write a number with bit, kbit, Mbit or Gbit, such as 6Mbit`},
		{"-1Mbit", `rate "-1Mbit": negative`},
		{"infMbit", `rate "infMbit": write a number with bit, kbit, Mbit or Gbit, such as 6Mbit`},
		{"10001Gbit", `rate "10001Gbit": above the maximum of 10000Gbit`},
	} {
		got := ""
		if r, err := ParseBitRate(tt.in); err != nil {
			got = err.Error()
		} else {
			got = r.String()
		}
		if got != tt.want {
			t.Errorf("ParseBitRate(%q) got %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, tt := range []struct {
		in   string
		want int64
	}{{"64KB", 64000}, {"150KiB", 153600}, {"1500B", 1500}, {"1.5MB", 1500000}, {"0", 0}} {
		if got, err := ParseBytes(tt.in); got != tt.want || err != nil {
			t.Errorf("ParseBytes(%q) got %d, %v, want %d", tt.in, got, err, tt.want)
		}
	}
	for _, tt := range []struct {
		in   string
		want Prob
	}{{"0.02", 0.02}, {"2%", 0.02}, {"100%", 1}} {
		if got, err := ParseProb(tt.in); got != tt.want || err != nil {
			t.Errorf("ParseProb(%q) got %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range []string{"", "NaN", "1.1", "-0.1", "101%"} {
		if got, err := ParseProb(bad); err == nil {
			t.Errorf("ParseProb(%q) got %v, want an error", bad, got)
		}
	}
}
