package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

// editFixtures adds tapes and event files to the fixtures.
func editFixtures(t *testing.T) {
	t.Helper()
	fixtures(t)
	for name, text := range map[string]string{
		"events.txt":  "# in the tunnel\nat 2s, link att, outage 1s, mode stall\n\nat 3s, link sat, delay +50ms, for 2s\n",
		"faulty.txt":  "at 2s, link att, outge 1s\n\nlink att, outage\n",
		"empty.txt":   "# nothing\n",
		"events.yaml": "events:\n  - at 2s, link att, outage 1s, mode stall\n  - at 3s, link sat, delay +50ms, for 2s\n",
		"list.yaml":   "- at 2s, link att, outage 1s\n",
		"faulty.yaml": "events:\n  - at 2s, link att, outge 1s\n  - {at: 2s}\n  - link att, label\n",
		"empty.yaml":  "events: []\n",
		"other.yaml":  "event: x\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile("two.tape")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("short.tape", good[:len(good)-100], 0o666); err != nil {
		t.Fatal(err)
	}
	// A tape of another name and length.
	if _, stderr, err := call("", "rename", "-o", "b.tape", "a.tape", "a=b"); err != nil {
		t.Fatal(err, stderr)
	}
	if _, stderr, err := call("", "cut", "--duration", "1s", "-o", "half.tape", "b.tape"); err != nil {
		t.Fatal(err, stderr)
	}
	// A step without a change, which only other programs write.
	tl := trace.Timeline{Meta: trace.Meta{Duration: 2 * time.Second, Links: []trace.Link{{Name: "a", Up: true}}, Generator: "other 1"}}
	for i := range 2 {
		tl.Steps = append(tl.Steps, trace.Step{At: time.Duration(i) * time.Second, Link: "a", Dir: trace.Up, State: trace.State{Rate: 6e6, Carrier: true}})
	}
	if err := trace.WriteFile("idle-step.tape", &tl); err != nil {
		t.Fatal(err)
	}
}

func TestEditCommandLines(t *testing.T) {
	editFixtures(t)
	runCommandLines(t, []commandLine{
		{"cut-help", "cut --help", "", 0},
		{"cut", "cut --from 3s --duration 4s -o c.tape two.tape", "", 0},
		{"cut-to-end", "cut --from 3s -o c.tape two.tape", "", 0},
		{"cut-beyond", "cut --from 10s -o c.tape two.tape", "", 2},
		{"cut-too-long", "cut --from 3s --duration 8s -o c.tape two.tape", "", 2},
		{"cut-negative", "cut --from -1s -o c.tape two.tape", "", 2},
		{"cut-onto-input", "cut --from 3s -o two.tape two.tape", "", 2},
		{"cut-no-output", "cut --from 3s two.tape", "", 2},
		{"cut-missing", "cut --from 3s -o c.tape no-such.tape", "", 1},
		{"cut-no-tape", "cut -o c.tape two.yaml", "", 1},

		{"concat-help", "concat --help", "", 0},
		{"concat", "concat -o c.tape a.tape a.tape idle.tape", "", 0},
		{"concat-links", "concat -o c.tape a.tape b.tape", "", 1},
		{"concat-fill", "concat --fill down -o c.tape a.tape b.tape", "", 0},
		{"concat-bad-fill", "concat --fill up -o c.tape a.tape b.tape", "", 2},
		{"concat-stdin-twice", "concat -o c.tape - -", "", 2},

		{"merge-help", "merge --help", "", 0},
		{"merge", "merge -o c.tape two.tape", "", 0},
		{"merge-lengths", "merge -o c.tape a.tape half.tape", "", 1},
		{"merge-loop", "merge --fit loop -o c.tape a.tape half.tape", "", 0},
		{"merge-shortest", "merge --fit shortest -o c.tape a.tape half.tape", "", 0},
		{"merge-clash", "merge -o c.tape a.tape a.tape", "", 1},
		{"merge-bad-fit", "merge --fit stretch -o c.tape a.tape", "", 2},

		{"scale-help", "scale --help", "", 0},
		{"scale", "scale --rate 0.5 --delay 2 --loss 2 --only att.up -o c.tape two.tape", "", 0},
		{"scale-nothing", "scale -o c.tape two.tape", "", 2},
		{"scale-bad-factor", "scale --rate half -o c.tape two.tape", "", 2},
		{"scale-negative", "scale --rate -1 -o c.tape two.tape", "", 2},
		{"scale-unknown-link", "scale --rate 2 --only atts -o c.tape two.tape", "", 2},
		{"scale-twice", "scale --rate 2 --only att --only att.up -o c.tape two.tape", "", 2},

		{"resample-help", "resample --help", "", 0},
		{"resample", "resample --step 3s -o c.tape two.tape", "", 0},
		{"resample-no-step", "resample -o c.tape two.tape", "", 2},
		{"resample-bad-step", "resample --step 0s -o c.tape two.tape", "", 2},

		{"select-help", "select --help", "", 0},
		{"select", "select -o c.tape two.tape att.up", "", 0},
		{"select-unknown", "select -o c.tape two.tape sat.down", "", 2},
		{"select-no-link", "select -o c.tape two.tape", "", 2},

		{"rename-help", "rename --help", "", 0},
		{"rename", "rename -o c.tape two.tape att=modem1,sat=att", "", 0},
		{"rename-directions", "rename -o c.tape two.tape att.up=att.down att.down=att.up", "", 0},
		{"rename-clash", "rename -o c.tape two.tape att=sat", "", 2},
		{"rename-bad", "rename -o c.tape two.tape att", "", 2},

		{"overlay-help", "overlay --help", "", 0},
		{"overlay-text", "overlay --events events.txt -o c.tape two.tape", "", 0},
		{"overlay-yaml", "overlay --events events.yaml -o d.tape two.tape", "", 0},
		{"overlay-list", "overlay --events list.yaml -o e.tape two.tape", "", 0},
		{"overlay-stdin", "overlay --events - -o e.tape two.tape", "at 1s, link all, handover 50ms\n", 0},
		{"overlay-stdin-twice", "overlay --events - -o e.tape -", "", 2},
		{"overlay-faulty-text", "overlay --events faulty.txt -o e.tape two.tape", "", 1},
		{"overlay-faulty-yaml", "overlay --events faulty.yaml -o e.tape two.tape", "", 1},
		{"overlay-empty-text", "overlay --events empty.txt -o e.tape two.tape", "", 1},
		{"overlay-empty-yaml", "overlay --events empty.yaml -o e.tape two.tape", "", 1},
		{"overlay-other-yaml", "overlay --events other.yaml -o e.tape two.tape", "", 1},
		{"overlay-missing", "overlay --events no-such.txt -o e.tape two.tape", "", 1},
		{"overlay-nothing", "overlay -o e.tape two.tape", "", 2},

		{"diff-help", "diff --help", "", 0},
		{"diff-same", "diff c.tape d.tape", "", 0},
		{"diff", "diff two.tape c.tape", "", 3},
		{"diff-spans", "diff --spans 1 two.tape c.tape", "", 3},
		{"diff-json", "diff --json --tolerance 20% two.tape c.tape", "", 3},
		{"diff-links", "diff a.tape half.tape", "", 3},
		{"diff-bad-tolerance", "diff --tolerance 2 a.tape a.tape", "", 2},
		{"diff-one", "diff a.tape", "", 2},
		{"diff-damaged", "diff a.tape short.tape", "", 1},

		{"verify-help", "verify --help", "", 0},
		{"verify", "verify two.tape c.tape", "", 0},
		{"verify-idle-step", "verify idle-step.tape", "", 0},
		{"verify-bad", "verify two.tape short.tape two.yaml no-such.tape", "", 1},
		{"verify-quiet", "verify --quiet two.tape short.tape", "", 1},
		{"verify-quiet-sound", "verify --quiet two.tape", "", 0},
		{"verify-json", "verify --json two.tape short.tape", "", 1},
		{"verify-json-quiet", "verify --json --quiet two.tape", "", 2},

		{"info-edited", "info c.tape", "", 0},
		{"info-edited-json", "info --json half.tape", "", 0},
		{"info-edited-scenario", "info --scenario c.tape", "", 1},
		{"info-input-scenario", "info --scenario --input 1 c.tape", "", 0},
		{"info-input-no-scenario", "info --scenario --input 1 half.tape", "", 1},
		{"info-no-input-scenario", "info --scenario half.tape", "", 1},
		{"info-bad-input", "info --scenario --input 3 half.tape", "", 2},
		{"info-input-not-edited", "info --scenario --input 1 two.tape", "", 2},
		{"info-input-alone", "info --input 1 half.tape", "", 2},
	})
}

// Events on the command line, and their faults.
func TestOverlayEvents(t *testing.T) {
	editFixtures(t)
	if _, stderr, err := call("", "overlay", "--event", "at 2s, link att, outage 1s, mode stall", "--event", "at 3s, link sat, delay +50ms, for 2s", "-o", "1.tape", "two.tape"); err != nil {
		t.Fatal(err, stderr)
	}
	if _, stderr, err := call("", "overlay", "--events", "events.txt", "-o", "2.tape", "two.tape"); err != nil {
		t.Fatal(err, stderr)
	}
	one, err := os.ReadFile("1.tape")
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile("2.tape")
	if err != nil {
		t.Fatal(err)
	}
	if string(one) != string(two) {
		t.Error("events on the command line give another tape than a file of them")
	}
	for _, c := range []struct {
		event, want string
	}{
		{"at 2s, link att, outge 1s", `--event "at 2s, link att, outge 1s": clause "outge 1s": unknown: did you mean "outage"?`},
		{"at 20s, link attt, outage 1s", "event \"at 20s, link attt, outage 1s, mode drop-both\": link attt: not in the timeline: did you mean \"att\"? It has att, sat\n" +
			"event \"at 20s, link attt, outage 1s, mode drop-both\": begins at 10s or later, where the timeline ends"},
	} {
		_, _, err := call("", "overlay", "--event", c.event, "-o", "3.tape", "two.tape")
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// The commands as a pipeline give the same conditions as one after the other by
// files, and cutting and putting together again the same as before.
func TestEditPipes(t *testing.T) {
	editFixtures(t)
	do := func(stdin string, args ...string) string {
		t.Helper()
		stdout, stderr, err := call(stdin, args...)
		if err != nil {
			t.Fatalf("tracegen %s: %v\n%s", strings.Join(args, " "), err, stderr)
		}
		return stdout
	}
	first := do("", "cut", "--duration", "4500ms", "-o", "-", "two.tape")
	do("", "cut", "--from", "4500ms", "-o", "rest.tape", "two.tape")
	whole := do(first, "concat", "-o", "-", "-", "rest.tape")
	var d struct{ Same bool }
	if err := json.Unmarshal([]byte(do(whole, "diff", "--json", "-", "two.tape")), &d); err != nil || !d.Same {
		t.Errorf("cut and put together, the tape differs (%v)", err)
	}
	if _, _, err := call(whole, "diff", "-", "-"); err == nil || err.Error() != "standard input is given twice: give a file for one" {
		t.Errorf("got %v", err)
	}
	if got := do(whole, "verify", "-"); !strings.HasPrefix(got, "standard input: sound, ") {
		t.Errorf("got %s", got)
	}
	if left := spools(t); left > 0 {
		t.Errorf("%d copies of standard input are left", left)
	}
}

// spools counts the copies of standard input that this test's folder for them
// holds.
func spools(t *testing.T) int {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	tape, err := os.ReadFile("two.tape")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"scale", "--rate", "2", "-o", "s.tape", "-"}, {"diff", "-", "a.tape"}, {"cut", "--from", "1h", "-o", "s.tape", "-"}} {
		_, _, _ = call(string(tape), args...)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A file of events gives events or faults with its name, never both nor neither.
func FuzzEventFiles(f *testing.F) {
	f.Add("at 2s, link att, outage 1s\n# x\n", false)
	f.Add("events:\n  - at 2s, link att, outage 1s\n", true)
	f.Add("- {a: b}\n- x\n", true)
	f.Fuzz(func(t *testing.T, text string, yaml bool) {
		if len(text) > 1<<14 {
			return
		}
		parse := parseEventLines
		if yaml {
			parse = parseYAMLEvents
		}
		events, err := parse("events", []byte(text))
		switch {
		case err == nil && len(events) == 0:
			t.Error("neither an event nor a fault")
		case err != nil && !strings.HasPrefix(err.Error(), "events:"):
			t.Errorf("a fault without the file's name: %v", err)
		}
	})
}
