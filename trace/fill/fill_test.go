package fill_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// Random spans keep their whole bytes in bins of any length, and no bin's end is
// served less than is due or a byte more.
func TestBinner(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		type span struct {
			rate trace.BitRate
			to   time.Duration
		}
		var spans []span
		var total fill.Amount
		var want trace.Service
		end := time.Duration(0)
		for range 1 + r.IntN(12) {
			length := 1 + time.Duration(r.Int64N(30e9))
			rate := trace.BitRate(r.Int64N([]int64{2, 100, 1e7}[r.IntN(3)]))
			end += length
			spans = append(spans, span{rate, end})
			total = total.Add(fill.Mul(uint64(rate), uint64(length)))
			want.Add(rate, length)
		}
		step := 1 + time.Duration(r.Int64N([]int64{1e8, 1e9, 40e9}[r.IntN(3)]))
		var got trace.Service
		from, rate := time.Duration(0), trace.BitRate(0)
		b := fill.NewBinner(step, total, func(at time.Duration, r trace.BitRate) bool {
			if at < from {
				t.Fatalf("seed %d: a rate at %v after one at %v", seed, at, from)
			}
			got.Add(rate, at-from)
			from, rate = at, r
			return true
		})
		for _, s := range spans {
			if more, err := b.Span(s.rate, s.to); !more || err != nil {
				t.Fatalf("seed %d: %v, %v", seed, more, err)
			}
		}
		if _, err := b.Finish(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got.Add(rate, end-from)
		if got.Bytes() != want.Bytes() {
			t.Fatalf("seed %d: %d bytes, want %d", seed, got.Bytes(), want.Bytes())
		}
	}
}

func TestBinnerStops(t *testing.T) {
	n := 0
	b := fill.NewBinner(time.Second, fill.Mul(8000, uint64(10*time.Second)), func(time.Duration, trace.BitRate) bool { n++; return false })
	if more, err := b.Span(8000, 10*time.Second); more || err != nil || n != 1 {
		t.Errorf("got %v, %v after %d rates", more, err, n)
	}
}

func TestFillerTooMuch(t *testing.T) {
	f := fill.New(func(time.Duration, trace.BitRate) bool { return true })
	_, err := f.To(1, fill.Mul(uint64(trace.MaxRate), 2))
	const want = "the interval from 0s to 1ns would need more than 10000Gbit: choose a longer step, or one that divides the period"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
