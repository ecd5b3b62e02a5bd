package replay

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The ring has room for what is read ahead, wherever the steps lie.
func TestDensity(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 7))
		span := time.Duration(1 + r.Int64N(int64([]time.Duration{time.Second, 8 * time.Second, time.Hour}[seed%3])))
		var steps []time.Duration
		for range 2000 {
			at := time.Duration(r.Int64N(int64(span)))
			if r.IntN(2) == 0 { // a dense place
				at = min(span-1, span/3+time.Duration(r.Int64N(int64(3*time.Second))))
			}
			steps = append(steps, at)
		}
		slices.Sort(steps)
		var d density
		for _, at := range steps {
			d.add(at)
		}
		room := d.room(span)
		var twice []time.Duration // enough loops to read ahead over
		for base := time.Duration(0); base < ahead+2*span && len(twice) < 4*mostEntries; base += span {
			for _, at := range steps {
				twice = append(twice, base+at)
			}
		}
		most, first := 0, 0
		for i, at := range twice {
			for at-twice[first] > ahead {
				first++
			}
			most = max(most, i-first+1)
		}
		if room < min(most, mostEntries) || room > mostEntries || room > max(leastEntries, 12*most) {
			t.Errorf("seed %d: room for %d, of %d in %v; window %v", seed, room, most, ahead, span)
		}
	}
	if got := new(density).room(time.Hour); got != leastEntries {
		t.Errorf("empty: room for %d", got)
	}
	d := density{most: 1 << 40}
	if got := d.room(time.Hour); got != mostEntries {
		t.Errorf("endless: room for %d", got)
	}
}
