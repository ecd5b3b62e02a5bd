package trace

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testMeta describes n links, all with both directions but the last.
func testMeta(n int, duration time.Duration) Meta {
	m := Meta{Duration: duration, Generator: "test 1", Seed: 1<<63 + 7, Scenario: "# a \"scenario\"\nlinks: <&>\n"}
	for i := range n {
		m.Links = append(m.Links, Link{Name: fmt.Sprintf("l%d", i), Up: true, Down: i < n-1 || n == 1})
	}
	m.Links[0].Queue = &Queue{Kind: DropTail, LimitBytes: 64000}
	m.Sources = []Source{{Link: "l0", Dir: "up", Format: "csv", File: "a.csv", SHA256: "00", Choices: map[string]string{"step": "1s", "a": "b"}}}
	return m
}

// randomSteps makes a valid timeline. Each direction gets a step at each
// multiple of interval with its probability: the first ones nearly always, the
// last ones hardly ever.
func randomSteps(r *rand.Rand, m Meta, interval time.Duration) []Step {
	dirs := m.Directions()
	labels := []string{"", "good", "bad", "outage", "übergabe"}
	var out []Step
	for at := time.Duration(0); at < m.Duration; at += interval {
		for i, ld := range dirs {
			if at > 0 && r.Float64() > 1/float64(1+3*i*i) {
				continue
			}
			s := Step{At: at, Link: ld.Link, Dir: ld.Dir}
			s.Rate = BitRate(r.Int64N(int64(50 * Mbit)))
			s.Delay = time.Duration(r.IntN(200)) * time.Millisecond
			s.Jitter = time.Duration(r.IntN(20)) * time.Millisecond
			if r.IntN(2) == 0 {
				s.Loss = Prob(r.Float64())
			} else {
				s.GE = GE{Prob(r.Float64()), Prob(r.Float64()), Prob(r.Float64()), Prob(r.Float64())}
			}
			s.Duplicate, s.Corrupt, s.Reorder = Prob(r.Float64()), Prob(r.Float64()), Prob(r.Float64())
			s.Carrier = r.IntN(10) > 0
			s.Label = labels[r.IntN(len(labels))]
			out = append(out, s)
		}
	}
	return out
}

func testTimeline(links int, duration, interval time.Duration) *Timeline {
	m := testMeta(links, duration)
	return &Timeline{m, randomSteps(rand.New(rand.NewPCG(1, 2)), m, interval)}
}

// diffSteps is cmp.Diff for steps, quick when there is none.
func diffSteps(want, got []Step) string {
	if slices.Equal(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

// writeTape returns a tape's bytes; group 0 is the default.
func writeTape(t testing.TB, tl *Timeline, group int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, tl.Meta)
	if err != nil {
		t.Fatal(err)
	}
	if group > 0 {
		w.group = group
	}
	if err := w.Write(tl.Steps); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := w.SHA256(), tl.Hash(); got != want {
		t.Fatalf("SHA256 got %s, want %s", got, want)
	}
	return b.Bytes()
}

func readTape(b []byte) (*Timeline, error) {
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.readAll()
}

func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name  string
		links int
		steps time.Duration // apart
		group int
	}{
		{"one link, one step", 1, time.Hour, 0},
		{"groups of one row", 2, 20 * time.Second, 1},
		{"small groups", 3, 100 * time.Millisecond, 100},
		{"one group", 3, 100 * time.Millisecond, 0},
		{"several batches and pages", 5, time.Millisecond, 50_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := testTimeline(tt.links, time.Minute, tt.steps)
			b := writeTape(t, want, tt.group)
			got, err := readTape(b)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want.Meta, got.Meta); d != "" {
				t.Errorf("meta (-want +got):\n%s", d)
			}
			if d := diffSteps(want.Steps, got.Steps); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
			t.Logf("%d rows, %d bytes", len(got.Steps), len(b))
		})
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tape")
	want := testTimeline(3, 10*time.Second, 100*time.Millisecond)
	if err := WriteFile(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Rows(), int64(len(want.Steps)); got != want {
		t.Errorf("Rows got %d, want %d", got, want)
	}
	if got, want := r.SHA256(), want.Hash(); got != want {
		t.Errorf("SHA256 got %s, want %s", got, want)
	}
	var s [7]Step
	n, err := r.Read(s[:])
	if n != 7 || err != nil {
		t.Errorf("Read got %d, %v, want 7", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if n, err := r.Read(s[:]); n != 0 || err == nil || err == io.EOF {
		t.Errorf("Read after Close got %d, %v, want an error", n, err)
	}
}
