package traces_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"linktape/synth"
	"linktape/trace"
	"linktape/traces"
)

// TestLibrary parses every scenario and synthesizes the first hour of it.
func TestLibrary(t *testing.T) {
	for _, e := range traces.List() {
		t.Run(e.Name, func(t *testing.T) {
			data, err := traces.Get(e.Name)
			if err != nil {
				t.Fatal(err)
			}
			sc := parse(t, e.Name, synth.Options{})
			if sc.Name() != e.Name {
				t.Errorf("the file is named %s, the scenario %s", e.Name, sc.Name())
			}
			if err := trace.CheckName(e.Name); err != nil {
				t.Error(err)
			}
			if e.Description == "" || strings.Contains(sc.Description(), "\n") {
				t.Errorf("description %q: write one line", sc.Description())
			}
			if w := sc.Warnings(); len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
			meta := sc.Meta()
			if e.Duration != meta.Duration || len(e.Links) != len(meta.Links) {
				t.Errorf("listed with %v and %v, want %v and %d links", e.Duration, e.Links, meta.Duration, len(meta.Links))
			}
			for _, l := range meta.Links {
				if !l.Up || !l.Down || l.Queue == nil {
					t.Errorf("link %s lacks a direction or a queue", l.Name)
				}
			}
			// The writer of golden_test.go checks every step; this is for what it
			// says of the file's comments.
			if head, _, _ := strings.Cut(string(data), "\nscenario:"); !strings.Contains(head, "engineering choice") && !strings.Contains(head, "Engineering choices") {
				t.Error("the comment says nothing of what is an engineering choice")
			}
		})
	}
}

func TestList(t *testing.T) {
	want := strings.Fields(`
		quickstart three-carrier-drive
		5g-mmwave-walking 5g-sub6-driving 5g-sub6-static geo-sat hspa-fallback lte-driving lte-highway-poor
		lte-stationary lte-walking starlink wifi-good wifi-venue
		drive-tunnel soak starlink-lte
		strategy-baseline strategy-bonding strategy-combined strategy-loss strategy-rate
		a1-clean a2-loss-1 a2-loss-5 a2-loss-10 a3-burst-5 a3-burst-20 a3-burst-50
		a4-path-0 a4-path-15 a4-path-50 a4-path-100
		a5-cut-carrier-down a5-cut-drop-both a5-cut-drop-down a5-cut-drop-up a5-cut-stall
		a6-return a7-capacity-below-rate a8-silent-link a9-slow-link a10-soak-ou
		congestion-load congestion-step`)
	var got []string
	for _, e := range traces.List() {
		got = append(got, e.Name)
		if !slices.ContainsFunc(traces.Groups(), func(g traces.Group) bool { return g.Name == e.Group }) {
			t.Errorf("%s is in group %q, which is none", e.Name, e.Group)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	seen := make(map[string]bool)
	for _, name := range got {
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
	}
}

func TestUnknown(t *testing.T) {
	for name, want := range map[string]string{
		"../traces":            `scenario "../traces": file does not exist in the library`,
		"profiles/starlink":    `scenario "profiles/starlink": file does not exist in the library`,
		"three-carriers-drive": `scenario "three-carriers-drive": file does not exist in the library; did you mean "three-carrier-drive"?`,
	} {
		_, err := traces.Get(name)
		if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
