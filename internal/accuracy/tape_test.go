package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

func TestSources(t *testing.T) {
	dir := t.TempDir()
	all, field, err := sourcesIn(dir)
	if err != nil || field || len(all) != 4 {
		t.Errorf("nothing there: got %v, %v, %v", all, field, err)
	}
	for i, s := range fieldTraces() {
		if i > 0 {
			if _, _, err := sourcesIn(dir); err == nil || !strings.Contains(err.Error(), "but not "+filepath.Join(dir, s.File)) {
				t.Errorf("some of them there: got %v", err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, s.File), []byte("5\n5\n100\n200\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	all, field, err = sourcesIn(dir)
	if err != nil || !field || len(all) != 4 {
		t.Errorf("all there: got %v, %v, %v", all, field, err)
	}
	for _, s := range all {
		if got := sourceNamed(s.arg()); got.File != s.File {
			t.Errorf("got %+v, want %+v", got, s)
		}
	}
}

func TestTape(t *testing.T) {
	file := filepath.Join(t.TempDir(), "some.up")
	if err := os.WriteFile(file, []byte("5\n5\n100\n200\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source         string
		step, duration time.Duration
		want           time.Duration
		bytes          float64 // 0: any
	}{
		{file, 5 * ms, 0, 200 * ms, 6000},
		{file, 5 * ms, 100 * ms, 100 * ms, 4500},
		{"att", 100 * ms, 0, time.Minute, 0},
		{"tmobile", 20 * ms, 2 * time.Second, 2 * time.Second, 0},
	} {
		tl, err := sourceNamed(c.source).tape(c.step, c.duration)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		got := serviceOf(tl, tl.Meta.Duration).until(c.want)
		if tl.Meta.Duration != c.want || c.bytes > 0 && int(got) != int(c.bytes) || got == 0 {
			t.Errorf("%s: got %v of %v bytes, want %v of %v", c.source, tl.Meta.Duration, got, c.want, c.bytes)
		}
		for _, s := range tl.Steps {
			if s.Dir != trace.Up || s.Link != link || s.NeedsPath() || s.At%c.step != 0 && c.source == file {
				t.Fatalf("%s: step %+v", c.source, s)
			}
		}
	}
	for name, want := range map[string]string{"nobody": "has no uplink of nobody", file + ".up": "no such file"} {
		if _, err := sourceNamed(name).tape(5*ms, time.Second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if _, err := sourceNamed(file).tape(5*ms, time.Second); err == nil || !strings.Contains(err.Error(), "it lasts 200ms") {
		t.Errorf("longer than the trace: %v", err)
	}
}
