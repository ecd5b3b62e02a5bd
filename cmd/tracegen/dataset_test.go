package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linktape/internal/cli"
	"linktape/traces"
)

func TestDataSetCommandLines(t *testing.T) {
	fixtures(t)
	runCommandLines(t, []commandLine{
		{"dataset", "synth --seeds 1..3,7 --out lib two.yaml quickstart", "", 0},
		{"dataset-again", "synth --seeds 2..4 --out lib --jobs 1 two.yaml", "", 0},
		{"dataset-verify", "synth --seeds 2 --out lib --verify two.yaml", "", 0},
		{"dataset-json", "synth --seeds 1..3 --out lib --json two.yaml quickstart", "", 0},
		{"dataset-own-seed", "synth --out lib quickstart", "", 0},
		{"dataset-stdin", "synth --seeds 5 --out lib -", twoLinks, 0},
		{"dataset-options", "synth --seeds 1..2 --out short --duration 6s --step 10ms --set links.sat.up.rate=3Mbit two.yaml", "", 0},

		{"dataset-differs", "synth --seeds 1..2 --out short --duration 7s two.yaml", "", 1},
		{"dataset-differs-json", "synth --seeds 1 --out short --duration 7s --json two.yaml", "", 1},
		{"dataset-mixture", "synth --seeds 9 --out short --duration 7s --force two.yaml", "", 1},
		{"dataset-force", "synth --seeds 1..2 --out short --duration 7s --force two.yaml", "", 0},
		{"dataset-faults", "synth --seeds 1..2 --out part typo.yaml two.yaml no-such ./no-such.yaml", "", 1},
		{"dataset-unknown-set", "synth --seeds 1..2 --out part --set links.sat.up.rate=3Mbit two.yaml quickstart", "", 1},

		{"dataset-bad-seeds", "synth --seeds 5..1,x,-2,3,3 --out lib two.yaml", "", 2},
		{"dataset-empty-seeds", "synth --seeds= --out lib two.yaml", "", 2},
		{"dataset-too-many", "synth --seeds 1..600000 --out lib two.yaml quickstart", "", 2},
		{"dataset-and-output", "synth --seeds 1 -o x.tape --out lib two.yaml", "", 2},
		{"dataset-seed", "synth --seed 3 --out lib two.yaml", "", 2},
		{"dataset-set-seed", "synth --seeds 1..3 --set seed=3 --out lib two.yaml", "", 2},
		{"dataset-no-folder", "synth --seeds 1..3 -o x.tape two.yaml", "", 2},
		{"dataset-empty-folder", "synth --out= two.yaml", "", 2},
		{"dataset-stdout", "synth --out - two.yaml", "", 2},
		{"dataset-file", "synth --out two.tape two.yaml", "", 2},
		{"dataset-below-file", "synth --out two.tape/lib two.yaml", "", 2},
		{"dataset-no-scenario", "synth --out lib", "", 2},
		{"dataset-twice", "synth --out lib two.yaml two.yaml", "", 2},
		{"dataset-one-name", "synth --out lib two.yaml ./two.yaml", "", 2},
		{"dataset-bad-jobs", "synth --out lib --jobs 0 two.yaml", "", 2},
		{"dataset-flag-after-argument", "synth --out lib two.yaml --verify", "", 2},
		{"synth-several", "synth -o x.tape two.yaml quickstart", "", 2},
	})
}

// Every scenario of the library and each seed gives the bytes of a single tape.
func TestDataSetTapes(t *testing.T) {
	fixtures(t)
	args := []string{"synth", "--seeds", "3..4", "--duration", "5s", "--out", "lib"}
	for _, e := range traces.List() {
		args = append(args, e.Name)
	}
	if _, stderr, err := call("", args...); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, e := range traces.List() {
		for _, seed := range []string{"3", "4"} {
			want, _, err := call("", "synth", "--seed", seed, "--duration", "5s", "-o", "-", e.Name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join("lib", "scenario="+e.Name, "seed="+seed, "tape.parquet"))
			if err != nil || string(got) != want {
				t.Errorf("%s, seed %s: other bytes than alone, or %v", e.Name, seed, err)
			}
		}
	}
	// With the seed of its own.
	if _, _, err := call("", "synth", "--out", "own", "two.yaml"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("own/scenario=two-links/seed=1/tape.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile("two.tape"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("own seed: other bytes than alone, or %v", err)
	}
}

// A run that is interrupted at once leaves nothing.
func TestDataSetInterrupt(t *testing.T) {
	fixtures(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	err := run(ctx, []string{"synth", "--seeds", "1..3", "--out", "lib", "two.yaml"}, strings.NewReader(""), &stdout, &stderr)
	const want = "interrupted: 3 tapes not made; what is there is whole, and the same command makes the rest"
	if err == nil || err.Error() != want || cli.Status(err) != cli.ExitFailed {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := os.Stat("lib"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left a folder: %v", err)
	}
}

// Not more failures are printed than can be read.
func TestDataSetManyFailures(t *testing.T) {
	fixtures(t)
	if _, _, err := call("", "synth", "--seeds", "1..30", "--out", "lib", "two.yaml"); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := call("", "synth", "--seeds", "1..30", "--out", "lib", "--duration", "9s", "--json", "two.yaml")
	if err == nil || strings.Count(err.Error(), "\n  scenario=") != maxFailures || !strings.HasPrefix(err.Error(), "30 of 30 tapes failed:\n") || !strings.HasSuffix(err.Error(), "\n  and 10 more; --json lists them all") {
		t.Errorf("got %v", err)
	}
	if n := strings.Count(stdout, `"error": `); n != 30 {
		t.Errorf("got %d failures in JSON, want 30", n)
	}
}
