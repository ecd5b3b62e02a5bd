package netsetup

import (
	"errors"
	"testing"
)

// A kernel that cannot repeat losses can build links, and says what is worse.
func TestSeedIsNotRequired(t *testing.T) {
	found := []Feature{
		{Name: "ifb"},
		{Name: featureSeed, Err: "ignored"},
		{Name: featureSeedKept, Err: "ignored"},
		{Name: featureDuplicate, Err: "refused"},
	}
	if err := missing(found); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	found[0].Err = "no such device"
	if err := missing(found); !errors.Is(err, ErrNotSupported) {
		t.Errorf("got %v, want ErrNotSupported", err)
	}
	if len(found) != 4 || found[1].Name != featureSeed {
		t.Errorf("missing has changed its argument: %+v", found)
	}
}

func TestFeatureWarnings(t *testing.T) {
	with, without := DefaultLink("a"), DefaultLink("b")
	without.Path = PathNone
	for _, c := range []struct {
		name  string
		f     Features
		links []Link
		want  int
	}{
		{"all", Features{Netem: true, NetemSeed: true, NetemDuplicate: true}, []Link{with}, 0},
		{"unseeded", Features{Netem: true, NetemDuplicate: true}, []Link{with, without}, 1},
		{"old", Features{Netem: true}, []Link{with, without}, 2},
		{"no path", Features{Netem: true}, []Link{without}, 0},
		{"no netem", Features{}, []Link{with}, 0},
	} {
		if got := c.f.Warnings(&Topology{Links: c.links}); len(got) != c.want {
			t.Errorf("%s: got warnings %q, want %d", c.name, got, c.want)
		}
	}
}
