package convert_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/convert"
)

// fieldTraces is where real recordings lie, beside the checkout; they are no
// part of the project.
const fieldTraces = "../../../shared/fieldtraces"

// field reads a field trace, or skips the test where there are none.
func field(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fieldTraces, name))
	if err != nil {
		t.Skipf("field traces are absent: %v", err)
	}
	return data
}

var fieldMahimahi = []string{
	"ATT-LTE-driving-2016.up", "ATT-LTE-driving-2016.down",
	"TMobile-LTE-short.up", "TMobile-LTE-short.down",
	"Verizon-LTE-short.up", "Verizon-LTE-short.down",
}

// The bytes of a loop are those of the lines at every step, and the file comes
// back.
func TestFieldMahimahi(t *testing.T) {
	for _, name := range fieldMahimahi {
		t.Run(name, func(t *testing.T) {
			data := field(t, "mahimahi/"+name)
			want := int64(bytes.Count(data, []byte("\n"))) * 1500
			for _, step := range []time.Duration{1, 7, 10, 20, 100, 250} {
				for _, interval := range []string{"end", "start"} {
					res := mustImport(t, "", string(data), convert.ImportOptions{Step: step * ms, Interval: interval})
					if got := totalBytes(res); res.Format != "mahimahi" || got != want || res.Bytes != want {
						t.Errorf("step %v, %s: got %s with %d bytes in the steps, %d in the summary, want mahimahi with %d", step*ms, interval, res.Format, got, res.Bytes, want)
					}
					check(t, res)
					got, e := export(t, "mahimahi", direction(res), convert.ExportOptions{})
					if e.Bytes != want || e.Duration != res.Duration {
						t.Errorf("step %v, %s: got %d bytes and %v exported, want %d and %v", step*ms, interval, e.Bytes, e.Duration, want, res.Duration)
					}
					if step == 1 && interval == "end" {
						zeros := 0
						for bytes.HasPrefix(data[2*zeros:], []byte("0\n")) {
							zeros++
						}
						last := data[bytes.LastIndexByte(data[:len(data)-1], '\n')+1:]
						if want := string(data[2*zeros:]) + string(bytes.Repeat(last, zeros)); got != want {
							t.Errorf("the file did not come back: got %d bytes of text, want %d", len(got), len(want))
						}
					}
				}
			}
		})
	}
}

// stats collects the statistics of one import over 100 ms bins.
func stats(t *testing.T, text string, opts convert.ImportOptions) trace.Stats {
	t.Helper()
	res := mustImport(t, "mahimahi", text, opts)
	meta, steps, err := convert.Merge([]convert.Input{{LinkDir: attUp, Result: res}}, convert.MergeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := trace.NewStatsCollector(meta, trace.StatsOptions{Bin: 100 * ms})
	for s := range steps {
		c.Step(&s)
	}
	return c.Finish()[0]
}

// The statistics agree, digit by digit, with those published beside the field
// traces (README.md there), which put a line at t into the bin ⌊t/100 ms⌋
// (interval start) and take the longest gap between lines, so from a 1 ms
// import. The default interval puts lines at a bin's edge into the bin before
// and so moves a digit or two.
func TestFieldStats(t *testing.T) {
	for _, tc := range []struct{ name, start, end, gap string }{
		{"ATT-LTE-driving-2016.up", "mean 1.91, p95 5.9, 13.8 % empty", "mean 1.91, p95 5.8, 13.9 % empty", "4.1 s"},
		{"Verizon-LTE-short.up", "mean 5.95, p95 12.2, 2.1 % empty", "mean 5.95, p95 12.2, 2.1 % empty", "1.7 s"},
		{"TMobile-LTE-short.up", "mean 13.32, p95 28.2, 0.5 % empty", "mean 13.32, p95 28.2, 0.5 % empty", "0.7 s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := string(field(t, "mahimahi/"+tc.name))
			for _, c := range []struct{ interval, want string }{{"start", tc.start}, {"end", tc.end}} {
				st := stats(t, text, convert.ImportOptions{Interval: c.interval})
				if got := fmt.Sprintf("mean %.2f, p95 %.1f, %.1f %% empty", st.RateMean/1e6, st.RateP95/1e6, st.EmptyFraction*100); got != c.want {
					t.Errorf("%s: got %s, want %s", c.interval, got, c.want)
				}
			}
			st := stats(t, text, convert.ImportOptions{Step: ms})
			if got := fmt.Sprintf("%.1f s", st.LongestGap.Seconds()); got != tc.gap {
				t.Errorf("longest gap: got %s, want %s", got, tc.gap)
			}
		})
	}
}

// The three carriers make one tape.
func TestFieldMerge(t *testing.T) {
	var inputs []convert.Input
	for i, name := range []string{"ATT-LTE-driving-2016.up", "TMobile-LTE-short.up", "Verizon-LTE-short.up"} {
		link := []string{"att", "tmobile", "verizon"}[i]
		inputs = append(inputs, convert.Input{
			LinkDir: trace.LinkDir{Link: link, Dir: trace.Up},
			Result:  mustImport(t, "", string(field(t, "mahimahi/"+name)), convert.ImportOptions{}),
		})
	}
	meta, steps, err := convert.Merge(inputs, convert.MergeOptions{Fit: convert.FitShortest})
	if err != nil {
		t.Fatal(err)
	}
	if want := 120_002 * ms; meta.Duration != want {
		t.Errorf("duration: got %v, want %v", meta.Duration, want)
	}
	c, err := trace.NewChecker(meta)
	if err != nil {
		t.Fatal(err)
	}
	for s := range steps {
		c.Step(&s)
	}
	if err := c.Finish(); err != nil {
		t.Error(err)
	}
}

func TestFieldPensieve(t *testing.T) {
	for _, name := range []string{"norway_bus_1", "norway_bus_10", "norway_bus_11"} {
		t.Run(name, func(t *testing.T) {
			data := string(field(t, "pensieve/"+name))
			own := mustImport(t, "", data, convert.ImportOptions{})
			if got := totalBytes(own); own.Format != "pensieve" || got != own.Bytes || got == 0 {
				t.Errorf("got %s with %d bytes in the steps, %d in the summary", own.Format, got, own.Bytes)
			}
			check(t, own)
			for _, step := range []time.Duration{ms, 7 * ms, 100 * ms, time.Second} {
				res := mustImport(t, "", data, convert.ImportOptions{Step: step})
				if got := totalBytes(res); got != own.Bytes || res.Duration != own.Duration {
					t.Errorf("step %v: got %d bytes in %v, want %d in %v", step, got, res.Duration, own.Bytes, own.Duration)
				}
				check(t, res)
			}
			out, _ := export(t, "pensieve", direction(own), convert.ExportOptions{})
			again := mustImport(t, "pensieve", out, convert.ImportOptions{})
			if got, want := show(again.Steps), show(own.Steps); got != want {
				t.Error("the steps did not come back")
			}
		})
	}
}

// Both directions of the UCC logs keep their bytes at any step and in CSV and
// JSON; the means are those of the files, taken over the seconds.
func TestFieldUCC(t *testing.T) {
	for _, tc := range []struct {
		name           string
		lines          int64
		duration       time.Duration
		down, up       string // mean and p95 in Mbit/s
		downGap, upGap time.Duration
	}{
		{"B_2019.12.16_12.27.05.csv", 1338, 22*time.Minute + 32*time.Second, "25.995 117.5", "0.101 0.2", 4 * time.Second, 5 * time.Second},
		{"B_2020.02.13_13.57.29.csv", 3148, 58*time.Minute + 18*time.Second, "45.676 213.5", "0.124 0.3", 3 * time.Second, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := string(field(t, "ucc5g/"+tc.name))
			for _, d := range []trace.Direction{trace.Down, trace.Up} {
				opts := convert.ImportOptions{LinkDir: trace.LinkDir{Link: "b", Dir: d}}
				own := mustImport(t, "", data, opts)
				if own.Format != "ucc-5g" || own.Lines != tc.lines || own.Duration != tc.duration || totalBytes(own) != own.Bytes {
					t.Errorf("%v: got %s, %d lines, %v, %d bytes in the steps, %d in the summary", d, own.Format, own.Lines, own.Duration, totalBytes(own), own.Bytes)
				}
				check(t, own)
				meta, steps, err := convert.Merge([]convert.Input{{LinkDir: opts.LinkDir, Result: own}}, convert.MergeOptions{})
				if err != nil {
					t.Fatal(err)
				}
				c := trace.NewStatsCollector(meta, trace.StatsOptions{Bin: time.Second})
				for s := range steps {
					c.Step(&s)
				}
				st := c.Finish()[0]
				want, gap := tc.down, tc.downGap
				if d == trace.Up {
					want, gap = tc.up, tc.upGap
				}
				if got := fmt.Sprintf("%.3f %.1f", st.RateMean/1e6, st.RateP95/1e6); got != want || st.LongestGap != gap {
					t.Errorf("%v: got %s, longest gap %v, want %s, %v", d, got, st.LongestGap, want, gap)
				}
				for _, step := range []time.Duration{10 * ms, 100 * ms, 1700 * ms} {
					opts.Step = step
					res := mustImport(t, "", data, opts)
					if totalBytes(res) != own.Bytes || res.Duration != own.Duration {
						t.Errorf("%v, step %v: got %d bytes in %v, want %d in %v", d, step, totalBytes(res), res.Duration, own.Bytes, own.Duration)
					}
				}
				for _, format := range []string{"csv", "json"} {
					out, _ := export(t, format, direction(own), convert.ExportOptions{})
					if got, want := hashOf(t, mustImport(t, "", out, convert.ImportOptions{LinkDir: attUp})), hashOf(t, own); got != want {
						t.Errorf("%v: %s gave another tape back", d, format)
					}
				}
			}
			delay := mustImport(t, "", data, convert.ImportOptions{LinkDir: attDown, Role: convert.RoleDelay})
			if m := meanDelay(delay); !delay.HasDelay || delay.HasRate || m < 35*ms || m > 60*ms || delay.Duration != tc.duration {
				t.Errorf("pings: got a mean delay of %v in %v", m, delay.Duration)
			}
		})
	}
}
