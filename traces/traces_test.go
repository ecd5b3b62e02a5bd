package traces_test

import (
	"errors"
	"io/fs"
	"testing"

	"linktape/synth"
	"linktape/traces"
)

// TestLibrary parses and synthesizes every scenario.
func TestLibrary(t *testing.T) {
	for _, e := range traces.List() {
		t.Run(e.Name, func(t *testing.T) {
			data, err := traces.Get(e.Name)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := synth.Parse(e.Name+".yaml", data, synth.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if sc.Name() != e.Name {
				t.Errorf("the file is named %s, the scenario %s", e.Name, sc.Name())
			}
			if e.Description == "" {
				t.Error("no description")
			}
			if w := sc.Warnings(); len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
			tl, err := sc.Timeline()
			if err != nil {
				t.Fatal(err)
			}
			if err := tl.Check(); err != nil {
				t.Error(err)
			}
			for _, l := range tl.Meta.Links {
				if !l.Up || !l.Down || l.Queue == nil {
					t.Errorf("link %s lacks a direction or a queue", l.Name)
				}
			}
		})
	}
}

func TestList(t *testing.T) {
	want := []string{"quickstart", "three-carrier-drive"}
	got := traces.List()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i, e := range got {
		if e.Name != want[i] {
			t.Errorf("got %q, want %q", e.Name, want[i])
		}
	}
}

func TestUnknown(t *testing.T) {
	_, err := traces.Get("../traces")
	const want = `scenario "../traces": file does not exist: the library has quickstart, three-carrier-drive`
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
