package convert_test

import (
	"bytes"
	"testing"
	"time"

	"linktape/trace/convert"
)

// maxFuzzLines bounds the work for one input, not what is accepted.
const maxFuzzLines = 20_000

// FuzzMahimahi: no panic; what is accepted keeps its bytes and its period
// through export and import, and imports by 1 ms and by opportunities bring the
// lines back.
func FuzzMahimahi(f *testing.F) {
	for _, s := range []string{"1\n", "0\n0\n5\n", "1\n3\n3\n1000\n", "9999999999999", "4611686018427\n", "5\r\n", "1\n\n", "-1\n", "007\n"} {
		f.Add([]byte(s), int64(100*time.Millisecond), false)
		f.Add([]byte(s), int64(1500*time.Microsecond), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, step int64, start bool) {
		if bytes.Count(data, []byte("\n")) > maxFuzzLines {
			t.Skip("more lines than one input may take")
		}
		opts := convert.ImportOptions{Step: time.Duration(step)}
		if start {
			opts.Interval = convert.IntervalStart
		}
		res, err := convert.Import("mahimahi", bytes.NewReader(data), "f", opts)
		if err != nil {
			return
		}
		check(t, res)
		want := res.Lines * 1500
		if got := totalBytes(res); got != want || res.Bytes != want {
			t.Fatalf("got %d bytes in the steps and %d in the summary, want %d", got, res.Bytes, want)
		}
		out, e := export(t, "mahimahi", direction(res), convert.ExportOptions{})
		if e.Bytes != want || e.Duration != res.Duration {
			t.Fatalf("exported %d bytes and %v, want %d and %v", e.Bytes, e.Duration, want, res.Duration)
		}
		again := mustImport(t, "mahimahi", out, convert.ImportOptions{Step: time.Millisecond})
		if again.Bytes != want || again.Duration != res.Duration {
			t.Fatalf("got %d bytes and %v back, want %d and %v", again.Bytes, again.Duration, want, res.Duration)
		}
		if out2, _ := export(t, "mahimahi", direction(again), convert.ExportOptions{}); out2 != out {
			t.Fatalf("a 1 ms import gave %.200q back, want %.200q", out2, out)
		}
		opts.Step, opts.Opportunities = 0, true
		pulses := mustImport(t, "mahimahi", string(data), opts)
		check(t, pulses)
		if got := totalBytes(pulses); got != want || pulses.Duration != res.Duration {
			t.Fatalf("opportunities: got %d bytes in %v, want %d in %v", got, pulses.Duration, want, res.Duration)
		}
		pulses = mustImport(t, "mahimahi", out, convert.ImportOptions{Opportunities: true})
		if out2, _ := export(t, "mahimahi", direction(pulses), convert.ExportOptions{}); out2 != out {
			t.Fatalf("opportunities gave %.200q back, want %.200q", out2, out)
		}
	})
}

// FuzzPensieve: no panic; what is accepted passes the checker of package trace,
// keeps its bytes with any step, and comes back from an export.
func FuzzPensieve(f *testing.F) {
	for _, s := range []string{"0 1\n1 2\n", "0.0\t4.03768755221\n0.549999952316\t4.79283060109\n0.88\t0\n", "180 1\r\n181.5 2e1\n", "0 1\n1 nan\n", "0 1e99\n1 1\n", "0 9.1e-05\n1e9 1e-6\n", "0 1\n0 1\n", "4611686018 1\n4611686018.1 10000000\n"} {
		f.Add([]byte(s), int64(0), false)
		f.Add([]byte(s), int64(100*time.Millisecond), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, step int64, start bool) {
		if bytes.Count(data, []byte("\n")) > maxFuzzLines {
			t.Skip("more lines than one input may take")
		}
		opts := convert.ImportOptions{}
		if start {
			opts.Interval = convert.IntervalStart
		}
		own, err := convert.Import("pensieve", bytes.NewReader(data), "f", opts)
		if err != nil {
			return
		}
		check(t, own)
		if got := totalBytes(own); got != own.Bytes {
			t.Fatalf("got %d bytes in the steps, %d in the summary", got, own.Bytes)
		}
		out, e := export(t, "pensieve", direction(own), convert.ExportOptions{})
		if e.Bytes != own.Bytes || e.Duration != own.Duration {
			t.Fatalf("exported %d bytes and %v, want %d and %v", e.Bytes, e.Duration, own.Bytes, own.Duration)
		}
		again := mustImport(t, "pensieve", out, convert.ImportOptions{})
		if got, want := show(again.Steps), show(own.Steps); got != want || again.Duration != own.Duration {
			t.Fatalf("got  %.200s in %v\nwant %.200s in %v", got, again.Duration, want, own.Duration)
		}
		opts.Step = time.Duration(step)
		res, err := convert.Import("pensieve", bytes.NewReader(data), "f", opts)
		if err != nil || step == 0 {
			return // such as a step that asks for too high a rate
		}
		check(t, res)
		if got := totalBytes(res); got != own.Bytes || res.Duration != own.Duration {
			t.Fatalf("step %v: got %d bytes in %v, want %d in %v", opts.Step, got, res.Duration, own.Bytes, own.Duration)
		}
	})
}
