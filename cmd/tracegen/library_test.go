package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"linktape/internal/cli"
	"linktape/traces"
)

func TestLibraryCommandLines(t *testing.T) {
	fixtures(t)
	runCommandLines(t, []commandLine{
		{"list", "list", "", 0},
		{"list-group", "list profiles", "", 0},
		{"list-prefix", "list a5", "", 0},
		{"list-json", "list --json strategy", "", 0},
		{"list-unknown", "list frob", "", 1},
		{"list-two-arguments", "list profiles drives", "", 2},
		{"show", "show starlink", "", 0},
		{"show-unknown", "show starlnk", "", 1},
	})
}

// Every scenario is in the list once, with its description, as text and as JSON.
func TestList(t *testing.T) {
	text, _, err := call("", "list")
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := call("", "list", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var entries []listed
	if err := json.Unmarshal([]byte(data), &entries); err != nil {
		t.Fatal(err)
	}
	want := traces.List()
	if len(entries) != len(want) {
		t.Fatalf("got %d scenarios in JSON, want %d", len(entries), len(want))
	}
	for i, e := range want {
		if got := entries[i]; got.Name != e.Name || got.Group != e.Group || got.Description != e.Description || got.Duration != e.Duration || len(got.Links) != len(e.Links) {
			t.Errorf("got %+v in JSON, want %+v", got, e)
		}
		n := 0
		for line := range strings.Lines(text) {
			if fields := strings.Fields(line); strings.HasPrefix(line, "  ") && fields[0] == e.Name && strings.HasSuffix(line, e.Description+"\n") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is on %d lines of the list, not on one", e.Name, n)
		}
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		20 * time.Second: "20s", time.Minute: "1m", 90 * time.Second: "1m30s",
		time.Hour: "1h", 24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m",
		time.Hour + time.Second: "1h0m1s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// What a user sets by hand works on the library's scenarios.
func TestLibrarySet(t *testing.T) {
	fixtures(t)
	for _, args := range [][]string{
		{"synth", "--duration", "5s", "--set", "links.sat.up.rate.mean=6Mbit", "-o", "x.tape", "starlink"},
		{"synth", "--set", "cells.tower.delay_per_flow=20ms", "-o", "x.tape", "congestion-step"},
		{"synth", "--duration", "5s", "--set", "correlation.0.rho=0.9", "-o", "x.tape", "drive-tunnel"},
	} {
		if _, stderr, err := call("", args...); cli.Status(err) != 0 {
			t.Errorf("%v: %v\n%s", args, err, stderr)
		}
	}
}
