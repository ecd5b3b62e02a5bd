package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"linktape/internal/cli"
)

func TestFitCommandLines(t *testing.T) {
	fixtures(t)
	runCommandLines(t, []commandLine{
		{"fit-help", "fit --help", "", 0},
		{"fit", "fit a.tape", "", 0},
		{"fit-json", "fit --json a.tape", "", 0},
		{"fit-scenario", "fit -o - --name two two.tape", "", 0},
		{"fit-import", "fit a.up=a.up b.up=b.up", "", 0},
		{"fit-import-step", "fit --step 1s --format pensieve a.up=rates", "", 0},
		{"fit-import-faults", "fit --format mahimahi a.up=faulty.up", "", 1},
		{"fit-idle", "fit idle.tape", "", 0},
		{"fit-plot", "fit --plot f.svg a.tape", "", 0},
		{"fit-bins", "fit --bin 1us two.tape", "", 1},
		{"fit-no-argument", "fit", "", 2},
		{"fit-two-tapes", "fit a.tape two.tape", "", 2},
		{"fit-format-of-tape", "fit --format mahimahi a.tape", "", 2},
		{"fit-onto-input", "fit -o a.tape a.tape", "", 2},
		{"fit-json-to-stdout", "fit --json -o - a.tape", "", 2},
		{"fit-bad-name", "fit --name A a.tape", "", 2},
		{"fit-bad-plot", "fit --plot f.gif a.tape", "", 2},
		{"fit-bad-outage", "fit --outage 0s a.tape", "", 2},
		{"fit-no-tape", "fit two.yaml", "", 1},

		{"compare-help", "compare --help", "", 0},
		{"compare", "compare two.tape two.tape", "", 0},
		{"compare-json", "compare --json --map a.up=sat.up a.tape two.tape", "", 0},
		{"compare-map", "compare -o c.png --map a.up=att.up a.tape two.tape", "", 0},
		{"compare-nothing", "compare a.tape two.tape", "", 1},
		{"compare-unknown-map", "compare --map a.up=x.up a.tape two.tape", "", 1},
		{"compare-bad-map", "compare --map a.up a.tape two.tape", "", 2},
		{"compare-map-twice", "compare --map a.up=att.up --map a.up=sat.up a.tape two.tape", "", 2},
		{"compare-one", "compare a.tape", "", 2},
		{"compare-stdin-twice", "compare - -", "", 2},
		{"compare-stdout", "compare -o - a.tape a.tape", "", 2},
		{"compare-onto-input", "compare -o a.tape a.tape a.tape", "", 2},
	})
}

// What is fitted to a tape makes tapes that look like it, with pictures that are
// the same each time.
func TestFitLookalike(t *testing.T) {
	fixtures(t)
	do := func(args ...string) string {
		t.Helper()
		stdout, stderr, err := call("", args...)
		if err != nil {
			t.Fatalf("tracegen %s: %v\n%s", strings.Join(args, " "), err, stderr)
		}
		return stdout
	}
	do("synth", "--duration", "10m", "-o", "drive.tape", "three-carrier-drive")
	do("fit", "-o", "alike.yaml", "--plot", "1.png", "drive.tape")
	do("fit", "-o", "alike2.yaml", "--plot", "2.png", "drive.tape")
	do("synth", "-o", "alike.tape", "./alike.yaml")
	var got struct {
		Directions []struct {
			A           string
			KS          float64
			Wasserstein float64
		}
	}
	if err := json.Unmarshal([]byte(do("compare", "--json", "-o", "c.png", "drive.tape", "alike.tape")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Directions) == 0 {
		t.Fatal("nothing was compared")
	}
	for _, d := range got.Directions {
		if d.KS > 0.25 || d.Wasserstein > 0.35 {
			t.Errorf("%s: KS %.3f, Wasserstein %.3f: no lookalike", d.A, d.KS, d.Wasserstein)
		}
	}
	for _, pair := range [][2]string{{"1.png", "2.png"}, {"alike.yaml", "alike2.yaml"}} {
		a, err := os.ReadFile(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Errorf("%s and %s differ", pair[0], pair[1])
		}
	}
	// From standard input it is the same.
	data, err := os.ReadFile("drive.tape")
	if err != nil {
		t.Fatal(err)
	}
	yaml, _, err := call(string(data), "fit", "-o", "-", "-")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("alike.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Replace(yaml, "standard input", "drive.tape", 1) != string(want) {
		t.Error("standard input gives another scenario")
	}
	if _, _, err := call("", "compare", "-", "drive.tape"); cli.Status(err) != cli.ExitFailed {
		t.Errorf("an empty standard input: got %v", err)
	}
}
