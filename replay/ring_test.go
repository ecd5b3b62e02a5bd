package replay

import (
	"runtime"
	"sync"
	"testing"
)

func TestRing(t *testing.T) {
	r := newRing[int](3) // rounded up to 4
	for i := range 4 {
		if !r.push(&i) {
			t.Fatalf("push %d: full", i)
		}
	}
	if five := 5; r.push(&five) {
		t.Error("a full ring took another item")
	}
	r.close()
	for want := range 4 {
		if r.ended() {
			t.Fatalf("ended before item %d", want)
		}
		if got := r.peek(); got == nil || *got != want {
			t.Fatalf("got %v, want %d", got, want)
		}
		r.drop()
	}
	if r.peek() != nil || !r.ended() {
		t.Error("a closed, empty ring has not ended")
	}
}

// One producer and one consumer; the race detector watches.
func TestRingConcurrent(t *testing.T) {
	const n = 100_000
	type item struct{ a, b int }
	r := newRing[item](8)
	var work sync.WaitGroup
	work.Go(func() {
		defer r.close()
		for i := 0; i < n; {
			if r.push(&item{i, -i}) {
				i++
			} else {
				runtime.Gosched()
			}
		}
	})
	next := 0
	for !r.ended() {
		v := r.peek()
		if v == nil {
			runtime.Gosched()
			continue
		}
		if *v != (item{next, -next}) {
			t.Errorf("got %+v, want item %d", *v, next)
			break
		}
		next++
		r.drop()
	}
	for !r.ended() { // after a failure
		r.drop()
	}
	work.Wait()
	if next != n {
		t.Errorf("got %d items, want %d", next, n)
	}
}
