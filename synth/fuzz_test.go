package synth

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse: no scenario makes the decoder panic, and what it accepts gives a
// timeline that the checker passes and that the tape's scenario gives again.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, "links.att.up.rate.mean", "3Mbit")
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		if len(data) > 1<<13 || len(key)+len(value) > 1<<9 {
			return
		}
		sc, err := Parse("f", data, Options{})
		if err != nil {
			return
		}
		verify(t, sc)
		if sc, err = Parse("f", data, Options{Set: []string{key + "=" + value}}); err == nil {
			verify(t, sc)
		}
	})
}

// verify synthesizes a scenario that is small enough.
func verify(t *testing.T, sc *Scenario) {
	if sc.bound() > 5000 {
		return
	}
	tl, err := sc.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	if err := tl.Check(); err != nil {
		t.Fatal(err)
	}
	if uint64(len(tl.Steps)) > sc.bound() {
		t.Errorf("%d steps, at most %d expected", len(tl.Steps), sc.bound())
	}
	again, err := Parse("f", []byte(tl.Meta.Scenario), Options{})
	if err != nil {
		t.Fatalf("the tape's scenario: %v", err)
	}
	tl2, err := again.Timeline()
	if err != nil {
		t.Fatal(err)
	}
	if tl.Hash() != tl2.Hash() {
		t.Error("the tape's scenario gives another timeline")
	}
}
