package convert_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/convert"
)

// crowd is a trace with so many opportunities at 1 ms and one at 2 ms.
func crowd(n int) string { return strings.Repeat("1\n", n) + "2\n" }

func TestOpportunities(t *testing.T) {
	half := convert.Scale{Num: 500_000_000}
	for _, tc := range []struct {
		name, text string
		opts       convert.ImportOptions
		want       string
		bytes      int64
	}{
		{"end", "1\n3\n3\n4\n", convert.ImportOptions{}, "0s 0bit, 999µs 12Gbit, 1ms 0bit, 2.999ms 24Gbit, 3ms 0bit, 3.999ms 12Gbit", 6000},
		{"start", "1\n3\n3\n4\n", convert.ImportOptions{Interval: "start"}, "0s 12Gbit, 1µs 0bit, 1ms 12Gbit, 1.001ms 0bit, 3ms 24Gbit, 3.001ms 0bit", 6000},
		{"end, lines at 0", "0\n0\n1\n3\n", convert.ImportOptions{}, "0s 0bit, 999µs 12Gbit, 1ms 0bit, 2.999ms 36Gbit", 6000},
		{"start, lines at 0", "0\n0\n1\n3\n", convert.ImportOptions{Interval: "start"}, "0s 36Gbit, 1µs 0bit, 1ms 12Gbit, 1.001ms 0bit", 6000},
		{"as many as one pulse holds", crowd(83), convert.ImportOptions{}, "0s 0bit, 999µs 996Gbit, 1ms 0bit, 1.999ms 12Gbit", 126000},
		{"one more", crowd(84), convert.ImportOptions{}, "0s 0bit, 998µs 1000Gbit, 999µs 8Gbit, 1ms 0bit, 1.999ms 12Gbit", 127500},
		{"one more, start", "0\n" + crowd(84), convert.ImportOptions{Interval: "start"}, "0s 24Gbit, 1µs 0bit, 1ms 1000Gbit, 1.001ms 8Gbit, 1.002ms 0bit", 129000},
		{"whole pulses", crowd(250), convert.ImportOptions{}, "0s 0bit, 997µs 1000Gbit, 1ms 0bit, 1.999ms 12Gbit", 376500},
		{"the whole ms", crowd(83_333), convert.ImportOptions{}, "0s 1000Gbit, 999µs 996Gbit, 1ms 0bit, 1.999ms 12Gbit", 125001000},
		{"scaled", "1\n3\n3\n4\n", convert.ImportOptions{Scale: half}, "0s 0bit, 999µs 6Gbit, 1ms 0bit, 2.999ms 12Gbit, 3ms 0bit, 3.999ms 6Gbit", 3000},
		{"scaled to less than a byte", "1\n", convert.ImportOptions{Scale: convert.Scale{Num: 1}}, "0s 0bit, 999µs 12bit", 0},
		{"scaled up", "1\n", convert.ImportOptions{Scale: convert.Scale{Num: 100_000_000_000}}, "0s 0bit, 998µs 1000Gbit, 999µs 200Gbit", 150000},
		{"sorted", "4\n1\n3\n", convert.ImportOptions{Sort: true}, "0s 0bit, 999µs 12Gbit, 1ms 0bit, 2.999ms 12Gbit, 3ms 0bit, 3.999ms 12Gbit", 4500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.opts.Opportunities = true
			res := mustImport(t, "mahimahi", tc.text, tc.opts)
			if got := show(res.Steps); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if got := totalBytes(res); got != tc.bytes || res.Bytes != tc.bytes {
				t.Errorf("bytes: got %d in the steps and %d in the summary, want %d", got, res.Bytes, tc.bytes)
			}
			if res.Choices["step"] != "opportunities" || res.Choices["pulse"] != "1µs" {
				t.Errorf("choices: got %v", res.Choices)
			}
			check(t, res)
		})
	}
}

func TestOpportunitiesLongerPulsesAreSaid(t *testing.T) {
	res := mustImport(t, "mahimahi", crowd(200)+crowd(0), convert.ImportOptions{Opportunities: true})
	if got, want := fmt.Sprint(res.Warnings), "[1 of the pulses take more than 1µs, up to 3µs, because no rate is above 1000Gbit]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	res = mustImport(t, "mahimahi", crowd(83), convert.ImportOptions{Opportunities: true})
	if len(res.Warnings) != 0 {
		t.Errorf("got warnings %v, want none", res.Warnings)
	}
}

func TestOpportunitiesRefused(t *testing.T) {
	const pensieve = "0 4\n1 8\n"
	for _, tc := range []struct {
		name, format, text string
		opts               convert.ImportOptions
		want               string
	}{
		{"too many", "mahimahi", crowd(83_334), convert.ImportOptions{}, "f:83334: more than 83333 opportunities at 1 ms, which need more than 1000Gbit for 1 ms: import with --step"},
		{"too many with the lines at 0", "mahimahi", "0\n" + strings.Repeat("2\n", 83_333), convert.ImportOptions{}, "f:83334: more than 83333 opportunities at 2 ms, which need more than 1000Gbit for 1 ms: import with --step"},
		{"too large a scale", "mahimahi", "1\n", convert.ImportOptions{Scale: convert.Scale{Num: 100_000 * 1_000_000_000}}, "f: one opportunity times 100000 needs more than 1000Gbit for 1 ms: choose a smaller scale"},
		{"clip", "mahimahi", "1\n", convert.ImportOptions{Clip: &convert.RateRange{Max: trace.Mbit}}, "f: opportunities have no rates to clip: leave out --clip, or import with --step"},
		{"step", "mahimahi", "1\n", convert.ImportOptions{Step: ms}, "step 1ms: opportunities are not binned: choose one"},
		{"other format", "", pensieve, convert.ImportOptions{}, "f: the format pensieve holds no delivery opportunities: leave out --opportunities for this file; if others need it, import each by itself and merge the tapes (tracegen merge)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.opts.Opportunities = true
			_, err := convert.Import(tc.format, strings.NewReader(tc.text), "f", tc.opts)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
	for _, im := range convert.Importers() {
		_, err := convert.Import(im.Name(), strings.NewReader(""), "f", convert.ImportOptions{Opportunities: true})
		want := "f: the format " + im.Name() + " holds no delivery opportunities"
		if im.Name() == "mahimahi" {
			want = "f: the file is empty"
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s…", im.Name(), err, want)
		}
	}
}

// Each ms serves exactly its opportunities, at its end or its start, and the very
// same file comes back, over several loops too.
func TestOpportunitiesRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 200 {
		ts := randomMahimahi(rng, 1+int64(rng.IntN(3)))
		for range rng.IntN(3) { // some crowded ms
			k := rng.IntN(len(ts))
			for range rng.IntN(300) {
				ts = slices.Insert(ts, k, ts[k])
			}
		}
		text := mahimahiText(ts)
		res := mustImport(t, "", text, convert.ImportOptions{Opportunities: true})
		got, e := export(t, "mahimahi", direction(res), convert.ExportOptions{})
		if got != text || len(e.Warnings) != 0 {
			t.Fatalf("got  %.300q, %v\nwant %.300q", got, e.Warnings, text)
		}
		check(t, res)

		period := ts[len(ts)-1]
		var twice []int64
		for loop := range int64(2) {
			for _, v := range ts {
				twice = append(twice, v+loop*period)
			}
		}
		if got, _ := export(t, "mahimahi", direction(res), convert.ExportOptions{Loops: 2}); got != mahimahiText(twice) {
			t.Fatalf("two loops of %.300q: got %.300q", text, got)
		}

		count := map[int64]int64{}
		for _, v := range ts {
			count[v]++
		}
		longest := time.Duration(0)
		for _, n := range count {
			longest = max(longest, time.Duration((n*12+999)/1000)*time.Microsecond)
		}
		for _, interval := range []string{"end", "start"} {
			res := mustImport(t, "", text, convert.ImportOptions{Opportunities: true, Interval: interval})
			served := map[int64]*trace.Service{} // by the instant, in ms
			add := func(s trace.Step, to time.Duration) {
				if s.Rate == 0 {
					return
				}
				at := int64(s.At / ms)
				if interval == "end" {
					at++
				}
				if d := (s.At%ms + ms) % ms; interval == "end" && d < ms-longest || interval == "start" && to-time.Duration(at)*ms > longest {
					t.Fatalf("%s: the pulse from %v to %v is away from its ms", interval, s.At, to)
				}
				if interval == "start" && at == 0 {
					at = period
				}
				if served[at] == nil {
					served[at] = new(trace.Service)
				}
				served[at].Add(s.Rate, to-s.At)
			}
			var last trace.Step
			for s := range res.Steps {
				add(last, s.At)
				last = s
			}
			add(last, res.Duration)
			for at, n := range count {
				if served[at] == nil || served[at].Bits() != n*12_000 || served[at].Mean(time.Second) != float64(n*12_000) {
					t.Fatalf("%s: %d opportunities at %d ms serve %v", interval, n, at, served[at])
				}
			}
			if len(served) != len(count) {
				t.Fatalf("%s: %d ms serve, want %d", interval, len(served), len(count))
			}
		}
	}
}

// Real recordings come back as they were but for lines at 0, which belong to the
// end of the loop.
func TestFieldOpportunities(t *testing.T) {
	for _, name := range fieldMahimahi {
		t.Run(name, func(t *testing.T) {
			data := field(t, "mahimahi/"+name)
			res := mustImport(t, "", string(data), convert.ImportOptions{Opportunities: true})
			check(t, res)
			want := data
			last := data[bytes.LastIndexByte(data[:len(data)-1], '\n')+1:]
			for bytes.HasPrefix(want, []byte("0\n")) {
				want = append(slices.Clone(want[2:]), last...)
			}
			got, e := export(t, "mahimahi", direction(res), convert.ExportOptions{})
			if got != string(want) || len(e.Warnings) != 0 {
				t.Errorf("the file did not come back: got %d bytes of text and %v, want %d", len(got), e.Warnings, len(want))
			}
		})
	}
}
