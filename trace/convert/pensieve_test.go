package convert_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/convert"
)

func TestPensieveImport(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		opts       convert.ImportOptions
		want       string
		duration   time.Duration
		bytes      int64
	}{
		{"end", "0.0 1\n0.5 2\n1.5 4\n", convert.ImportOptions{}, "0s 2Mbit, 500ms 4Mbit", 1500 * ms, 625_000},
		{"start", "0.0 1\n0.5 2\n1.5 4\n", convert.ImportOptions{Interval: "start"}, "0s 1Mbit, 500ms 2Mbit, 1.5s 4Mbit", 2500 * ms, 812_500},
		{"tab, signs and exponents", "0\t1\n+1e0\t9.1e-05\n2E0\t1e+1\n", convert.ImportOptions{}, "0s 91bit, 1s 10Mbit", 2 * time.Second, 1_250_011},
		{"begins late", "180.0 1\n181.0 2\n", convert.ImportOptions{}, "0s 2Mbit", time.Second, 250_000},
		{"unix times", "1521500000.123456789 1\n1521500000.123456799 2\n", convert.ImportOptions{}, "0s 2Mbit", 10, 0},
		{"rounding", "0 1\n0.0000000014 0.0000004\n0.0000000025 0.0000005\n", convert.ImportOptions{}, "0s 0bit, 1ns 1bit", 3, 0},
		{"CR LF", "0 1\r\n1 2\r\n", convert.ImportOptions{}, "0s 2Mbit", time.Second, 250_000},
		{"equal rates joined", "0 1\n1 2\n2 2.0\n", convert.ImportOptions{}, "0s 2Mbit", 2 * time.Second, 500_000},
		{"step", "0 0\n0.5 2\n1.5 4\n", convert.ImportOptions{Step: time.Second}, "0s 3Mbit, 1s 4Mbit", 1500 * ms, 625_000},
		{"step divides the file's", "0 0\n1 3\n2 5\n", convert.ImportOptions{Step: 100 * ms}, "0s 3Mbit, 1s 5Mbit", 2 * time.Second, 1_000_000},
		{"step beyond the end", "0 0\n1 3\n2 5\n", convert.ImportOptions{Step: time.Minute}, "0s 4Mbit", 2 * time.Second, 1_000_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := mustImport(t, "pensieve", tc.text, tc.opts)
			if got := show(res.Steps); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if res.Duration != tc.duration {
				t.Errorf("duration: got %v, want %v", res.Duration, tc.duration)
			}
			if res.Bytes != tc.bytes || totalBytes(res) != tc.bytes {
				t.Errorf("bytes: got %d in the summary and %d in the steps, want %d", res.Bytes, totalBytes(res), tc.bytes)
			}
			check(t, res)
		})
	}
}

func TestPensieveFaults(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty file", "", "f: the file is empty: a trace needs at least two lines"},
		{"one sample", "0 1\n", "f:1: one sample only: two are needed to tell how long a sample holds"},
		{"header", "time rate\n0 1\n1 2\n", `f:1: "time rate" is a header: the format has none; remove the line`},
		{"NaN", "0 1\n1 nan\n", `f:2: rate "nan" is not a finite number: write Mbit/s, such as 4.2`},
		{"infinite", "0 1\ninf 1\n", `f:2: time "inf" is not a finite number: write s, such as 0.5`},
		{"first is NaN", "nan 1\n1 1\n", `f:1: time "nan" is not a finite number: write s, such as 0.5`},
		{"negative rate", "0 1\n1 -2\n", `f:2: rate "-2" is negative: write Mbit/s, such as 4.2`},
		{"negative time", "-1 1\n1 2\n", `f:1: time "-1" is negative: write s, such as 0.5`},
		{"no number", "0 1\n1 x\n", `f:2: rate "x" is not a number: write Mbit/s, such as 4.2`},
		{"underscore", "0 1\n1 1_0\n", `f:2: rate "1_0" is not a number: write Mbit/s, such as 4.2`},
		{"hexadecimal", "0 1\n1 0x1\n", `f:2: rate "0x1" is not a number: write Mbit/s, such as 4.2`},
		{"two points", "0 1\n1 1.2.3\n", `f:2: rate "1.2.3" is not a number: write Mbit/s, such as 4.2`},
		{"no digit", "0 1\n1 .\n", `f:2: rate "." is not a number: write Mbit/s, such as 4.2`},
		{"half an exponent", "0 1\n1 1e\n", `f:2: rate "1e" is not a number: write Mbit/s, such as 4.2`},
		{"too large", "0 1\n1 1e99\n", `f:2: rate "1e99" is too large: write Mbit/s, such as 4.2`},
		{"huge exponent", "0 1\n1 1e99999999999999999999\n", `f:2: rate "1e99999999999999999999" is too large: write Mbit/s, such as 4.2`},
		{"above the maximum", "0 1\n1 10000000.1\n", `f:2: rate "10000000.1" is too large: write Mbit/s, such as 4.2`},
		{"too late", "0 1\n5000000000 1\n", `f:2: time "5000000000" is too large: write s, such as 0.5`},
		{"equal times", "0 1\n1 1\n1 2\n", "f:3: time 1s after 1s: times must increase; sort the file, join or remove equal times"},
		{"equal in ns", "0 1\n1 1\n1.0000000001 2\n", "f:3: time 1s after 1s: times must increase; sort the file, join or remove equal times"},
		{"decreasing", "0 1\n2 1\n1 2\n", "f:3: time 1s after 2s: times must increase; sort the file, join or remove equal times"},
		{"one column", "0\n1\n", "f:1: 1 columns: write two, a time in s and a rate in Mbit/s\nf:2: 1 columns: write two, a time in s and a rate in Mbit/s"},
		{"three columns", "0 1 2\n1 2\n", "f:1: 3 columns: write two, a time in s and a rate in Mbit/s"},
		{"comma", "0,1\n1 2\n", `f:1: "0,1": separate the columns by a blank or a tab`},
		{"comment", "# a\n0 1\n1 2\n", `f:1: comment "#": the format has none; remove it`},
		{"empty line", "0 1\n\n1 2\n", "f:2: the line is empty: remove it"},
		{"blank trailing line", "0 1\n1 2\n\n", "f:3: the file ends with an empty line: remove it"},
		{"long line", "0 1" + strings.Repeat(" ", 5000) + "\n1 2\n", "f:1: line \"0 1" + strings.Repeat(" ", 37) + "\"… is longer than 4096 bytes: write a time in s and a rate in Mbit/s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := convert.Import("pensieve", strings.NewReader(tc.text), "f", convert.ImportOptions{})
			if err == nil {
				t.Fatal("accepted")
			}
			if got := err.Error(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestPensieveWarnings(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"none", "0 1\n1 2\n", nil},
		{"CR LF", "0 1\n1 2\r\n", []string{"line 2: 1 of the lines end with CR LF: read as LF"}},
		{"begins late", "180.5 1\n181 2\n", []string{"line 1: time begins at 3m0.5s: the tape begins there"}},
		{"kbit/s", "0 1000\n1 12000\n2 13000\n", []string{"line 2: 13Gbit: is the file in Mbit/s?"}},
		{"no capacity", "0 1\n1 0\n", []string{"the trace has no capacity at all"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := mustImport(t, "pensieve", tc.text, convert.ImportOptions{})
			if got := fmt.Sprintf("%q", res.Warnings); got != fmt.Sprintf("%q", tc.want) {
				t.Errorf("got %v, want %v", res.Warnings, tc.want)
			}
		})
	}
}

// randomPensieve draws times with irregular distances and rates that may be 0
// or far below a byte per bin.
func randomPensieve(rng *rand.Rand) string {
	var b strings.Builder
	t := rng.Int64N(5_000_000_000)
	for range 2 + rng.IntN(60) {
		rate := rng.Float64() * []float64{0, 1e-5, 1, 30, 2000}[rng.IntN(5)]
		fmt.Fprintf(&b, "%d.%09d %.9g\n", t/1e9, t%1e9, rate)
		t += 1 + rng.Int64N([]int64{2, 1_000_000, 1_000_000_000, 20_000_000_000}[rng.IntN(4)])
	}
	return b.String()
}

// With any step the whole bytes of a loop are those of the file's own instants,
// and at every bin they are at most one above, never below.
func TestPensieveResampleExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range 400 {
		text := randomPensieve(rng)
		for _, interval := range []string{"end", "start"} {
			own := mustImport(t, "pensieve", text, convert.ImportOptions{Interval: interval})
			var spans []trace.Step
			for s := range own.Steps {
				spans = append(spans, s)
			}
			for _, step := range []time.Duration{50 * time.Microsecond, ms, 7 * ms, 100 * ms, 999_999_937, time.Second, 30 * time.Second} {
				opts := convert.ImportOptions{Interval: interval, Step: step}
				res, err := convert.Import("pensieve", strings.NewReader(text), "f", opts)
				if err != nil {
					t.Fatal(err)
				}
				if got := totalBytes(res); got != own.Bytes {
					t.Fatalf("trace %d, %s, step %v: got %d bytes, want %d\n%s", i, interval, step, got, own.Bytes, text)
				}
				var sum trace.Service
				var last trace.Step
				for s := range res.Steps {
					sum.Add(last.Rate, s.At-last.At)
					last = s
					if s.At%step != 0 {
						continue // a long bin's second rate
					}
					if got, want := sum.Bytes(), bytesBy(spans, s.At); got < want-1 || got > want+1 {
						t.Fatalf("trace %d, %s, step %v at %v: got %d bytes, want %d", i, interval, step, s.At, got, want)
					}
				}
			}
		}
	}
}

// bytesBy returns the whole bytes that steps serve before an instant.
func bytesBy(steps []trace.Step, end time.Duration) int64 {
	var sum trace.Service
	for i, s := range steps {
		b := end
		if i+1 < len(steps) {
			b = min(end, steps[i+1].At)
		}
		sum.Add(s.Rate, b-s.At)
	}
	return sum.Bytes()
}

// A constant rate stays constant under any step; the work does not grow with
// the bins.
func TestPensieveConstant(t *testing.T) {
	for _, step := range []time.Duration{1, 77, 100 * time.Microsecond, 333 * time.Microsecond, time.Second} {
		res := mustImport(t, "pensieve", "0 0\n1000 1\n2000 1\n", convert.ImportOptions{Step: step})
		if got, want := show(res.Steps), "0s 1Mbit"; got != want {
			t.Errorf("step %v: got %s, want %s", step, got, want)
		}
	}
}

func TestPensieveExport(t *testing.T) {
	down := at(2*ms, 12*trace.Mbit)
	down.Carrier = false
	for _, tc := range []struct {
		name     string
		d        convert.Direction
		loops    int
		want     string
		warnings []string
	}{
		{"constant", steps(1500*ms, at(0, 12*trace.Mbit)), 0, "0 12\n1.5 12\n", nil},
		{"steps", steps(2*time.Second, at(0, 4_100_000), at(550*ms, 1)), 0, "0 4.1\n0.55 4.1\n2 0.000001\n", nil},
		{"loops", steps(time.Second, at(0, trace.Mbit), at(500*ms, 0)), 2, "0 1\n0.5 1\n1 0\n1.5 1\n2 0\n", nil},
		{"loops, joined", steps(time.Second, at(0, trace.Mbit)), 3, "0 1\n3 1\n", nil},
		{"no carrier", steps(3*ms, at(0, 12*trace.Mbit), down), 0, "0 12\n0.002 12\n0.003 0\n", []string{"times without carrier are written as times without service"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, e := export(t, "pensieve", tc.d, convert.ExportOptions{Loops: tc.loops})
			if got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
			if got, want := fmt.Sprintf("%q", e.Warnings), fmt.Sprintf("%q", tc.warnings); got != want {
				t.Errorf("warnings:\ngot  %s\nwant %s", got, want)
			}
			res := mustImport(t, "pensieve", got, convert.ImportOptions{})
			if res.Bytes != e.Bytes || res.Duration != e.Duration || res.Lines != e.Lines {
				t.Errorf("got %d bytes, %v, %d lines back, want %d, %v, %d", res.Bytes, res.Duration, res.Lines, e.Bytes, e.Duration, e.Lines)
			}
		})
	}
}
