package trial

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/trace"
	"linktape/trial/stack"
)

func TestMakeTape(t *testing.T) {
	ctx := t.Context()
	made := func(source string, o TapeOptions) (*trace.Timeline, string, error) {
		dir := t.TempDir()
		if _, err := MakeTape(ctx, source, dir, o, nil); err != nil {
			return nil, "", err
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("got %v, %v: the tape alone is to be there", entries, err)
		}
		file := filepath.Join(dir, TapeFile)
		tl, err := trace.ReadFile(file)
		return tl, file, err
	}
	seed := uint64(7)
	whole, file, err := made("strategy-combined", TapeOptions{Seed: &seed, Duration: 10 * time.Second, Set: []string{"links.att.up.delay=11ms"}})
	if err != nil {
		t.Fatal(err)
	}
	if whole.Meta.Seed != 7 || whole.Meta.Duration != 10*time.Second || len(whole.Meta.Links) != 3 {
		t.Errorf("got %+v", whole.Meta)
	}
	// Some links of the scenario are some links of its tape.
	two, _, err := made("strategy-combined", TapeOptions{Seed: &seed, Duration: 10 * time.Second, Set: []string{"links.att.up.delay=11ms"}, Links: []string{"att", "tmobile"}})
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := made(file, TapeOptions{Links: []string{"att", "tmobile"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(two.Meta.Links) != 2 || two.Hash() != again.Hash() || two.Hash() == whole.Hash() || two.Meta.Seed != 7 {
		t.Errorf("got %+v and %+v", two.Meta, again.Meta)
	}
	for _, s := range two.Steps {
		if s.Link == "verizon" {
			t.Fatalf("got %+v", s)
		}
		if s.Link == "att" && s.Dir == trace.Up && s.Delay != 11*time.Millisecond {
			t.Fatalf("got %+v", s)
		}
	}
	// A tape can be cut, and stays what it is.
	same, _, err := made(file, TapeOptions{})
	if err != nil || same.Hash() != whole.Hash() {
		t.Errorf("got %v, another tape", err)
	}
	if short, _, err := made(file, TapeOptions{Duration: 3 * time.Second}); err != nil || short.Meta.Duration != 3*time.Second {
		t.Errorf("got %v", err)
	}
	for _, c := range []struct {
		source string
		o      TapeOptions
		want   string
	}{
		{file, TapeOptions{Seed: &seed}, "is a tape: a seed and settings are for scenarios"},
		{file, TapeOptions{Duration: time.Hour}, "play 1h0m0s: the tape lasts 10s"},
		{file, TapeOptions{Links: []string{"x"}}, "x"},
		{"strategy-combined", TapeOptions{Set: []string{"links.x.up.rate=1Mbit"}}, "links.x"},
	} {
		if _, _, err := made(c.source, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.o, err, c.want)
		}
	}
}

// What cannot be run is said before anything is built.
func TestTopologyErrors(t *testing.T) {
	meta := trace.Meta{Duration: time.Second, Links: []trace.Link{{Name: "a", Up: true}}}
	cable := netsetup.DefaultLink("a")
	cable.Sender.Interface = "eth1"
	librist, err := stack.New("librist", nil, stack.Pair{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		c    Config
		want string
	}{
		{"another link", Config{Topology: &netsetup.Topology{Links: []netsetup.Link{netsetup.DefaultLink("b")}}}, "the topology has no link a, which the tape plays"},
		{"cross traffic elsewhere", Config{Cross: []Cross{{Link: "b"}}}, "cross traffic on b: there is no such link"},
		{"a stack on a cable", Config{Stack: librist, Topology: &netsetup.Topology{Links: []netsetup.Link{cable}}}, "link a ends at an interface of the host, where a stack cannot run: use stack none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := c.c.topology(meta); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	ok := Config{Stack: librist, Cross: []Cross{{Link: "a", Dir: "up", Kind: CrossTCP, Congestion: "cubic"}}, Rate: DefaultRate, Buffer: DefaultBuffer}
	topology, err := ok.topology(meta)
	if err != nil || !topology.Links[0].Cross {
		t.Errorf("got %+v, %v", topology, err)
	}
	if err := ok.Check(); err != nil {
		t.Error(err)
	}
	bad := Config{Stack: librist, Rate: 1, Buffer: 10500 * time.Microsecond, Cross: []Cross{{Dir: "left"}, {Dir: "up", Kind: CrossUDP}}}
	err = bad.Check()
	for _, want := range []string{"rate 1bit: from ", "buffer 10.5ms: whole milliseconds", `cross traffic 1: dir "left"`, "cross traffic 2: rate "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, without %q", err, want)
		}
	}
}

func TestReadManifest(t *testing.T) {
	dir := t.TempDir()
	m := &Manifest{Format: manifestFormat, Scenario: "x", Duration: time.Minute}
	if err := m.write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadManifest(dir); err != nil || got.Duration != time.Minute || got.Scenario != "x" {
		t.Errorf("got %+v, %v", got, err)
	}
	m.Format = 99
	if err := m.write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadManifest(dir); err == nil || !strings.Contains(err.Error(), "format 99, not 1") {
		t.Errorf("got %v", err)
	}
	if _, err := ReadManifest(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
