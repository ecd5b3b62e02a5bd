package convert_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/convert"
)

const ms = time.Millisecond

func TestMahimahiImport(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		opts       convert.ImportOptions
		want       string
		duration   time.Duration
	}{
		{"one line is 12 Mbit/s", "1\n", convert.ImportOptions{}, "0s 12Mbit", ms},
		{"no final line feed", "1", convert.ImportOptions{}, "0s 12Mbit", ms},
		{"leading zeros", "001\n002\n", convert.ImportOptions{Step: ms}, "0s 12Mbit", 2 * ms},
		{"end", "1\n3\n3\n4\n", convert.ImportOptions{Step: ms}, "0s 12Mbit, 1ms 0bit, 2ms 24Mbit, 3ms 12Mbit", 4 * ms},
		{"start", "1\n3\n3\n4\n", convert.ImportOptions{Step: ms, Interval: "start"}, "0s 12Mbit, 2ms 0bit, 3ms 24Mbit", 4 * ms},
		{"end, lines at 0", "0\n0\n1\n3\n", convert.ImportOptions{Step: ms}, "0s 12Mbit, 1ms 0bit, 2ms 36Mbit", 3 * ms},
		{"start, lines at 0", "0\n0\n1\n3\n", convert.ImportOptions{Step: ms, Interval: "start"}, "0s 36Mbit, 1ms 12Mbit, 2ms 0bit", 3 * ms},
		{"start, only the period", "2\n", convert.ImportOptions{Step: ms, Interval: "start"}, "0s 12Mbit, 1ms 0bit", 2 * ms},
		{"shorter last bin", "100\n150\n", convert.ImportOptions{}, "0s 120kbit, 100ms 240kbit", 150 * ms},
		{"step beyond the period", "100\n150\n", convert.ImportOptions{Step: time.Second}, "0s 160kbit", 150 * ms},
		{"rate rounded up", "7\n", convert.ImportOptions{}, "0s 1714.286kbit", 7 * ms},
		{"step below 1 ms", "1\n2\n", convert.ImportOptions{Step: ms / 2}, "0s 0bit, 500µs 24Mbit, 1ms 0bit, 1.5ms 24Mbit", 2 * ms},
		{"equal bins joined", "1\n2\n3\n4\n", convert.ImportOptions{Step: ms}, "0s 12Mbit", 4 * ms},
		{"long bin, one rate", "10000\n", convert.ImportOptions{Step: 20 * time.Second}, "0s 1.2kbit", 10 * time.Second},
		{"long bin, two rates", "9999\n99999\n", convert.ImportOptions{Step: 200 * time.Second}, "0s 240bit, 1m31.999s 241bit", 99999 * ms},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := mustImport(t, "mahimahi", tc.text, tc.opts)
			if got := show(res.Steps); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if res.Duration != tc.duration {
				t.Errorf("duration: got %v, want %v", res.Duration, tc.duration)
			}
			if want := res.Lines * 1500; totalBytes(res) != want || res.Bytes != want {
				t.Errorf("bytes: got %d in the steps and %d in the summary, want %d", totalBytes(res), res.Bytes, want)
			}
			check(t, res)
		})
	}
}

func TestMahimahiFaults(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty file", "", "f: the file is empty: a trace needs at least one line"},
		{"empty line", "1\n\n2\n", "f:2: the line is empty: remove it"},
		{"blank trailing line", "1\n2\n\n", "f:3: the file ends with an empty line: remove it"},
		{"line of blanks", "1\n  \n2\n", "f:2: the line is empty: remove it"},
		{"comment", "# LTE\n1\n", `f:1: comment "# LTE": the format has none; remove it`},
		{"CR LF", "1\r\n2\r\n", "f:1: the line ends with CR LF: convert the file to LF (tr -d '\\r')\nf:2: the line ends with CR LF: convert the file to LF (tr -d '\\r')"},
		{"negative", "-1\n2\n", `f:1: timestamp "-1" is negative: write ms from the start`},
		{"sign", "+1\n2\n", `f:1: timestamp "+1" has a sign: write digits only`},
		{"blanks", " 1\n2 \n", "f:1: blanks around \"1\": remove them\nf:2: blanks around \"2\": remove them"},
		{"overflow", "1\n99999999999999999999\n", `f:2: timestamp "99999999999999999999" ms is above the maximum of 4611686018427`},
		{"overflow of ns", "1\n9999999999999\n", `f:2: timestamp "9999999999999" ms is above the maximum of 4611686018427`},
		{"decreasing", "5\n3\n9\n", "f:2: timestamp 3 ms after 5 ms: timestamps must not decrease; sort the file (sort -n)"},
		{"last is 0", "0\n0\n", "f:2: the last timestamp is 0 ms: it is the period of the trace and must be above 0"},
		{"fraction", "1.5\n", `f:1: timestamp "1.5" is not whole: write whole ms`},
		{"exponent", "1e3\n", `f:1: timestamp "1e3" is not whole: write whole ms`},
		{"columns", "0.0 4.1\n", `f:1: "0.0 4.1" has several columns: write one timestamp in ms per line (a Pensieve trace has two: --format pensieve)`},
		{"word", "abc\n", `f:1: "abc" is not a timestamp: write one whole number of ms per line`},
		{"hexadecimal", "0x10\n", `f:1: "0x10" is not a timestamp: write one whole number of ms per line`},
		{"long line", strings.Repeat("1", 5000) + "\n", `f:1: line "` + strings.Repeat("1", 40) + `"… is longer than 4096 bytes: write one timestamp in ms per line`},
		{"very long line", strings.Repeat("1", 200_000) + "\n-1\n", `f:1: line "` + strings.Repeat("1", 40) + "\"… is longer than 4096 bytes: write one timestamp in ms per line\nf:2: timestamp \"-1\" is negative: write ms from the start"},
		{"all together", "#a\n5\n\n3\nx\n", "f:1: comment \"#a\": the format has none; remove it\nf:3: the line is empty: remove it\nf:4: timestamp 3 ms after 5 ms: timestamps must not decrease; sort the file (sort -n)\nf:5: \"x\" is not a timestamp: write one whole number of ms per line"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := convert.Import("mahimahi", strings.NewReader(tc.text), "f", convert.ImportOptions{})
			if err == nil {
				t.Fatal("accepted")
			}
			if got := err.Error(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestFaultsAreBounded(t *testing.T) {
	_, err := convert.Import("mahimahi", strings.NewReader(strings.Repeat("x\n", 1000)), "f", convert.ImportOptions{})
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 21 || lines[20] != "f: and 980 more" {
		t.Errorf("got %d lines ending with %q, want 20 faults and a count of 980", len(lines), lines[len(lines)-1])
	}
}

func TestMahimahiWarnings(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"none", "1\n2\n", nil},
		{"zeros", "0\n0\n5\n", []string{"line 2: 2 of the lines are at 0 ms: counted in the last ms of the loop"}},
		{"late", "1056\n2000\n", []string{"line 1: the first opportunity is at 1056 ms: nothing is served before it"}},
		{"gap", "1\n15001\n15002\n", []string{"line 2: nothing is served for 15s before it"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := mustImport(t, "mahimahi", tc.text, convert.ImportOptions{})
			if got := fmt.Sprint(res.Warnings); got != fmt.Sprint(tc.want) {
				t.Errorf("got %v, want %v", res.Warnings, tc.want)
			}
		})
	}
}

// Whatever the step and the convention, the whole bytes served are those of
// the opportunities at the end of every bin, computed here on their own.
func TestMahimahiExactAtEveryBin(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	allSteps := []time.Duration{ms, 7 * ms, 10 * ms, 20 * ms, 100 * ms, 250 * ms, 1500 * time.Microsecond,
		333 * time.Microsecond, 999_983, 10*ms + 1, time.Second, 13 * time.Second, 100 * time.Second}
	for i := range 40 {
		ts := randomMahimahi(rng, int64(rng.IntN(3)))
		period := ts[len(ts)-1]
		for _, step := range allSteps {
			for _, interval := range []string{"end", "start"} {
				res := mustImport(t, "mahimahi", mahimahiText(ts), convert.ImportOptions{Step: step, Interval: interval})
				due := func(end time.Duration) int64 { // bytes by a bin's end
					var n int64
					for _, v := range ts {
						o := time.Duration(v) * ms
						switch {
						case interval == "end" && v == 0:
							o = time.Duration(period) * ms
						case interval == "start" && v == period:
							o = 0
						}
						if o < end || interval == "end" && o == end {
							n++
						}
					}
					return n * 1500
				}
				var sum trace.Service
				var last trace.Step
				bin := time.Duration(0)
				// Walk bins and steps together.
				serve := func(until time.Duration) {
					for bin+step <= until || until == res.Duration && bin < until {
						end := min(bin+step, res.Duration)
						part := sum
						part.Add(last.Rate, end-last.At)
						if got, want := part.Bytes(), due(end); got != want {
							t.Fatalf("trace %d, step %v, %s, bin ending at %v: got %d bytes, want %d", i, step, interval, end, got, want)
						}
						bin += step
					}
					sum.Add(last.Rate, until-last.At)
				}
				for s := range res.Steps {
					serve(s.At)
					last = s
				}
				serve(res.Duration)
				if got, want := sum.Bytes(), int64(len(ts))*1500; got != want {
					t.Fatalf("trace %d, step %v, %s: got %d bytes in a loop, want %d", i, step, interval, got, want)
				}
			}
		}
	}
}

// A 1 ms import gives the very same file back; any import gives the bytes and
// the period back.
func TestMahimahiRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		ts := randomMahimahi(rng, 1+int64(rng.IntN(3)))
		text := mahimahiText(ts)
		res := mustImport(t, "mahimahi", text, convert.ImportOptions{Step: ms})
		got, _ := export(t, "mahimahi", direction(res), convert.ExportOptions{})
		if got != text {
			t.Fatalf("got  %.300q\nwant %.300q", got, text)
		}
		for _, step := range []time.Duration{700 * time.Microsecond, 33 * ms, 100 * ms, 9 * time.Second} {
			res := mustImport(t, "mahimahi", text, convert.ImportOptions{Step: step})
			out, e := export(t, "mahimahi", direction(res), convert.ExportOptions{})
			again := mustImport(t, "mahimahi", out, convert.ImportOptions{Step: step})
			if again.Bytes != res.Bytes || again.Duration != res.Duration || e.Bytes != res.Bytes {
				t.Fatalf("step %v: got %d bytes in %v, want %d in %v", step, again.Bytes, again.Duration, res.Bytes, res.Duration)
			}
		}
	}
}

// Lines at 0 come back at the period.
func TestMahimahiRoundTripZero(t *testing.T) {
	res := mustImport(t, "mahimahi", "0\n0\n2\n5\n", convert.ImportOptions{Step: ms})
	got, e := export(t, "mahimahi", direction(res), convert.ExportOptions{})
	if want := "2\n5\n5\n5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(e.Warnings) != 0 {
		t.Errorf("got warnings %v, want none", e.Warnings)
	}
}

func TestMahimahiExport(t *testing.T) {
	lossy := at(0, 12*trace.Mbit)
	lossy.Delay, lossy.Jitter, lossy.Loss, lossy.Reorder = 35*ms, ms, 0.02, 0.1
	down := at(3*ms, 12*trace.Mbit)
	down.Carrier = false
	slower := lossy
	slower.At, slower.Delay = ms, 50*ms
	for _, tc := range []struct {
		name     string
		d        convert.Direction
		loops    int
		want     string
		warnings []string
	}{
		{"constant", steps(3*ms, at(0, 12*trace.Mbit)), 0, "1\n2\n3\n", nil},
		{"between ms", steps(3*ms, at(0, 16*trace.Mbit)), 0, "1\n2\n3\n3\n", nil},
		{"two loops", steps(3*ms, at(0, 12*trace.Mbit)), 2, "1\n2\n3\n4\n5\n6\n", nil},
		{"moved", steps(5*ms, at(0, 12*trace.Mbit), at(3*ms, 0)), 0, "1\n2\n5\n",
			[]string{"line 3: the last opportunity is moved from 3 ms to 5 ms, the end: the last line is the period"}},
		{"remainder", steps(4*ms, at(0, 10*trace.Mbit)), 0, "2\n3\n4\n",
			[]string{"500 bytes at the end are less than one opportunity and are left out in every loop of the file; more loops in one file leave out less (--loops)"}},
		{"remainder carried", steps(4*ms, at(0, 10*trace.Mbit)), 3, "2\n3\n4\n5\n6\n8\n9\n10\n11\n12\n", nil},
		{"part of a ms", steps(2500*time.Microsecond, at(0, 12*trace.Mbit)), 0, "1\n3\n", []string{
			"line 2: the last opportunity is moved from 2 ms to 3 ms, the end: the last line is the period",
			"750 bytes at the end are less than one opportunity and are left out in every loop of the file; more loops in one file leave out less (--loops)",
			"the period is 3ms in place of 2.5ms: the format counts whole ms"}},
		{"part of a ms, two loops", steps(2500*time.Microsecond, at(0, 12*trace.Mbit)), 2, "1\n2\n3\n4\n5\n", nil},
		{"states left out", steps(2*ms, lossy, slower), 0, "1\n2\n", []string{
			"left out, because the format holds rates only: the delay of 35ms to 50ms, the jitter, the loss of up to 2%, duplication, corruption or reordering"}},
		{"no carrier", steps(5*ms, at(0, 12*trace.Mbit), down, at(4*ms, 12*trace.Mbit)), 0, "1\n2\n3\n5\n", []string{
			"times without carrier are written as times without service"}},
		{"highest rate", steps(2*time.Nanosecond, at(0, trace.MaxRate)), 0, "1\n", []string{
			"1000 bytes at the end are less than one opportunity and are left out in every loop of the file; more loops in one file leave out less (--loops)",
			"the period is 1ms in place of 2ns: the format counts whole ms"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, e := export(t, "mahimahi", tc.d, convert.ExportOptions{Loops: tc.loops})
			if got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
			if got, want := fmt.Sprintf("%q", e.Warnings), fmt.Sprintf("%q", tc.warnings); got != want {
				t.Errorf("warnings:\ngot  %s\nwant %s", got, want)
			}
			if lines := int64(strings.Count(got, "\n")); e.Lines != lines || e.Bytes != 1500*lines {
				t.Errorf("got %d lines and %d bytes, want %d and %d", e.Lines, e.Bytes, lines, 1500*lines)
			}
		})
	}
}

func TestMahimahiExportErrors(t *testing.T) {
	for _, tc := range []struct {
		name  string
		d     convert.Direction
		loops int
		want  string
	}{
		{"no capacity", steps(time.Second, at(0, 0)), 0, "export att.up: the tape has no capacity in this direction, and Mahimahi cannot express a link that never serves; export a direction with capacity"},
		{"too little", steps(ms, at(0, 5*trace.Mbit)), 0, "export att.up: 625 bytes in 1ms are less than one opportunity of 1500 bytes; export 3 loops (--loops)"},
		{"too little in two", steps(ms, at(0, 5*trace.Mbit)), 2, "export att.up: 1250 bytes in 2ms are less than one opportunity of 1500 bytes; export 3 loops (--loops)"},
		{"no steps", steps(ms), 0, "export att.up: the tape has no steps for it"},
		{"late first step", steps(2*ms, at(ms, 1)), 0, "export att.up: the first step is at 1ms, not at 0"},
		{"out of order", steps(9*ms, at(0, 1), at(5*ms, 2), at(3*ms, 1)), 0, "export att.up: step at 3ms: out of order or not before the end at 9ms"},
		{"no duration", steps(0, at(0, 1)), 0, "export att.up: the tape has no duration"},
		{"loops", steps(ms, at(0, 1)), -1, "export att.up: -1 loops: at least one"},
		{"too long", steps(time.Hour, at(0, 1)), 1 << 40, fmt.Sprintf("export att.up: 1099511627776 loops of 1h0m0s are longer than %v", convert.MaxDuration)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ex, err := convert.FindExporter("mahimahi")
			if err != nil {
				t.Fatal(err)
			}
			_, err = ex.Export(&strings.Builder{}, tc.d, convert.ExportOptions{Loops: tc.loops})
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// The export of random steps against a count in rational numbers.
func TestMahimahiExportExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var st []trace.Step
		end := time.Duration(0)
		for range 1 + rng.IntN(8) {
			st = append(st, at(end, trace.BitRate(rng.Int64N(60_000_000)*int64(rng.IntN(3)))))
			end += time.Duration(1 + rng.Int64N(40_000_000))
		}
		loops := 1 + rng.IntN(3)
		var want []string
		served := new(big.Int) // bit·ns
		need := big.NewInt(12_000_000_000_000)
		next := new(big.Int).Set(need)
		last := int64(0)
		for l := range loops {
			for i, s := range st {
				b := end
				if i+1 < len(st) {
					b = st[i+1].At
				}
				dt := b - s.At
				after := new(big.Int).Add(served, new(big.Int).Mul(big.NewInt(int64(s.Rate)), big.NewInt(int64(dt))))
				for after.Cmp(next) >= 0 {
					// ns from the span's beginning, rounded up
					x := new(big.Int).Sub(next, served)
					x.Add(x, big.NewInt(int64(s.Rate)-1)).Div(x, big.NewInt(int64(s.Rate)))
					ns := int64(end)*int64(l) + int64(s.At) + x.Int64()
					last = (ns + 999_999) / 1_000_000
					want = append(want, fmt.Sprint(last))
					next.Add(next, need)
				}
				served = after
			}
		}
		if len(want) == 0 {
			continue
		}
		want[len(want)-1] = fmt.Sprint((int64(end)*int64(loops) + 999_999) / 1_000_000)
		got, _ := export(t, "mahimahi", steps(end, st...), convert.ExportOptions{Loops: loops})
		if got != strings.Join(want, "\n")+"\n" {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
}

// Memory is bounded by the lines, not by the timestamps.
func TestMahimahiSparse(t *testing.T) {
	res := mustImport(t, "mahimahi", "1\n4611686018427\n", convert.ImportOptions{Step: ms})
	if got, want := show(res.Steps), "0s 12Mbit, 1ms 0bit, 1281023h53m38.426s 12Mbit"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A step so short that the rate would be out of range is refused.
func TestMahimahiShortStep(t *testing.T) {
	_, err := convert.Import("mahimahi", strings.NewReader("1\n"), "f", convert.ImportOptions{Step: 1})
	if want := "f: the interval from 999.999µs to 1ms would need more than 10000Gbit: choose a longer step, or one that divides the period"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
