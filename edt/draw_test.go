package edt

import (
	"math"
	"testing"

	"linktape/trace"
)

// The first outputs of SplitMix64 with seed 1234567, as published with it and
// checked by many ports.
func TestWord(t *testing.T) {
	for n, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821} {
		if got := word(1234567, uint64(n)); got != want {
			t.Errorf("output %d: got %d, want %d", n, got, want)
		}
	}
}

func TestThreshold(t *testing.T) {
	for _, c := range []struct {
		p    trace.Prob
		want uint32
	}{{0, 0}, {1e-12, 1}, {0.25, 1 << 30}, {0.5, 1 << 31}, {1 - 1e-9, math.MaxUint32 - 3}, {1, always}} {
		if got := threshold(c.p); got != c.want {
			t.Errorf("%v: got %d, want %d", float64(c.p), got, c.want)
		}
	}
	if !below(math.MaxUint32, always) || below(0, 0) || below(5, 5) || !below(4, 5) {
		t.Error("below is not p")
	}
}
