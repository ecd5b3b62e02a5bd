package convert_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/convert"
)

var attUp = trace.LinkDir{Link: "att", Dir: trace.Up}

// mustImport imports text that has to be accepted.
func mustImport(t testing.TB, format, text string, opts convert.ImportOptions) *convert.Result {
	t.Helper()
	res, err := convert.Import(format, strings.NewReader(text), "file", opts)
	if err != nil {
		t.Fatalf("import %.60q: %v", text, err)
	}
	return res
}

// show writes steps as "0s 1Mbit, 100ms 0bit".
func show(steps iter.Seq[trace.Step]) string {
	var out []string
	for s := range steps {
		out = append(out, fmt.Sprintf("%v %v", s.At, s.Rate))
	}
	return strings.Join(out, ", ")
}

// direction makes an imported result readable by an exporter.
func direction(res *convert.Result) convert.Direction {
	return convert.Direction{LinkDir: attUp, Duration: res.Duration, Steps: func() iter.Seq2[trace.Step, error] {
		return func(yield func(trace.Step, error) bool) {
			for s := range res.Steps {
				if !yield(s, nil) {
					return
				}
			}
		}
	}}
}

// steps makes a direction of steps at whole ms.
func steps(duration time.Duration, st ...trace.Step) convert.Direction {
	return convert.Direction{LinkDir: attUp, Duration: duration, Steps: func() iter.Seq2[trace.Step, error] {
		return func(yield func(trace.Step, error) bool) {
			for _, s := range st {
				if !yield(s, nil) {
					return
				}
			}
		}
	}}
}

func at(t time.Duration, rate trace.BitRate) trace.Step {
	return trace.Step{At: t, State: trace.State{Rate: rate, Carrier: true}}
}

func export(t testing.TB, format string, d convert.Direction, opts convert.ExportOptions) (string, *convert.Exported) {
	t.Helper()
	ex, err := convert.FindExporter(format)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	got, err := ex.Export(&buf, d, opts)
	if err != nil {
		t.Fatalf("export %s: %v", format, err)
	}
	return buf.String(), got
}

// totalBytes sums the service of a result's steps.
func totalBytes(res *convert.Result) int64 {
	var sum trace.Service
	var last trace.Step
	for s := range res.Steps {
		sum.Add(last.Capacity(), s.At-last.At)
		last = s
	}
	sum.Add(last.Capacity(), res.Duration-last.At)
	return sum.Bytes()
}

// check runs a result's steps through the checker of package trace.
func check(t testing.TB, res *convert.Result) {
	t.Helper()
	meta, merged, err := convert.Merge([]convert.Input{{LinkDir: attUp, Result: res}}, convert.MergeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := trace.NewChecker(meta)
	if err != nil {
		t.Fatal(err)
	}
	for s := range merged {
		c.Step(&s)
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
}

func TestDetect(t *testing.T) {
	for _, tc := range []struct {
		name, text, want string // format, or what the error says
	}{
		{"mahimahi", "0\n3\n3\n1000\n", "mahimahi"},
		{"mahimahi without final line feed", "5", "mahimahi"},
		{"pensieve", "0.0 4.1\n0.5 4.2\n", "pensieve"},
		{"pensieve tabs", "0\t4\n1\t5\n", "pensieve"},
		{"empty", "", "not mahimahi: no whole line; "},
		{"one pair", "0.0 4.1\n", "fewer than two whole lines"},
		{"kbit/s", "0 12000\n1 13000\n", "12000 Mbit/s is too much"},
		{"header", "time rate\n0 4\n1 5\n", "line 1: the time is not a number"},
		{"csv", "a,b,c\n1,2,3\n", "not mahimahi: line 1 is not a whole number of ms; "},
		{"decreasing", "5\n4\n", "line 2 is less than the one before"},
		{"gzip", "\x1f\x8b\x08\x00", "compressed with gzip"},
		{"binary", "5\n\x00\n", "byte 2 is 0"},
		{"tape", "PAR1....", "is a Parquet file"},
		{"byte order mark", "\xef\xbb\xbf5\n", "byte order mark"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, err := convert.Import("", strings.NewReader(tc.text), "file", convert.ImportOptions{})
			if err == nil {
				if res.Format != tc.want {
					t.Errorf("got %s, want %s", res.Format, tc.want)
				}
			} else if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, want it to say %q", err, tc.want)
			}
		})
	}
}

// A long file is recognized by its beginning, whose last line is cut.
func TestDetectLong(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, "%d.0 4.%d\n", i, i)
	}
	if res := mustImport(t, "", b.String(), convert.ImportOptions{}); res.Format != "pensieve" || res.Lines != 100_000 {
		t.Errorf("got %s with %d lines, want pensieve with 100000", res.Format, res.Lines)
	}
}

func TestOptions(t *testing.T) {
	for _, opts := range []convert.ImportOptions{
		{Step: -1}, {Interval: "middle"}, {Delay: -1}, {Delay: 2 * time.Hour}, {Loss: 1.5},
	} {
		if _, err := convert.Import("mahimahi", strings.NewReader("1\n"), "file", opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
	if _, err := convert.Import("mahi", strings.NewReader("1\n"), "file", convert.ImportOptions{}); err == nil || !strings.Contains(err.Error(), "lumos5g, mahimahi, netem-trace") {
		t.Errorf("got %v, want the list of formats", err)
	}
	res := mustImport(t, "mahimahi", "1\n", convert.ImportOptions{Delay: 35 * time.Millisecond, Loss: 0.001})
	for s := range res.Steps {
		if want := (trace.State{Rate: 12 * trace.Mbit, Delay: 35 * time.Millisecond, Loss: 0.001, Carrier: true}); s.State != want {
			t.Errorf("got %+v, want %+v", s.State, want)
		}
	}
}

// A read error is returned as such.
func TestReadError(t *testing.T) {
	want := errors.New("disk gone")
	for _, im := range convert.Importers() {
		r := io.MultiReader(strings.NewReader("1 1\n"), &failing{want})
		if _, err := im.Import(r, "file", convert.ImportOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", im.Name(), err, want)
		}
		if _, err := convert.Import(im.Name(), &failing{want}, "file", convert.ImportOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", im.Name(), err, want)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error)  { return 0, f.err }
func (f *failing) Write([]byte) (int, error) { return 0, f.err }

// A write error is returned as such.
func TestWriteError(t *testing.T) {
	want := errors.New("disk full")
	for _, ex := range convert.Exporters() {
		_, err := ex.Export(&failing{want}, steps(time.Second, at(0, 8*trace.Mbit)), convert.ExportOptions{})
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", ex.Name(), err, want)
		}
	}
}

// randomMahimahi draws a trace with bursts, gaps and repeats; its first
// timestamp is at least from.
func randomMahimahi(rng *rand.Rand, from int64) []int64 {
	t := from
	var out []int64
	for range 1 + rng.IntN(300) {
		switch rng.IntN(10) {
		case 0:
			t += int64(rng.IntN(3000))
		case 1, 2, 3, 4:
		default:
			t += int64(rng.IntN(5))
		}
		out = append(out, t)
	}
	if t == 0 {
		out[len(out)-1] = 1
	}
	return out
}

func mahimahiText(ts []int64) string {
	var b strings.Builder
	for _, t := range ts {
		fmt.Fprintln(&b, t)
	}
	return b.String()
}
