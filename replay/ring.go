package replay

import (
	"iter"
	"sync/atomic"
)

// ring is a bounded queue for one producer and one consumer that allocates
// nothing and takes no lock.
type ring[T any] struct {
	items  []T // a power of two of them
	head   atomic.Uint64
	_      [56]byte // keeps the two counters on separate cache lines
	tail   atomic.Uint64
	closed atomic.Bool
}

func newRing[T any](size int) *ring[T] {
	n := 1
	for n < size {
		n *= 2
	}
	return &ring[T]{items: make([]T, n)}
}

// touch writes to all of the ring's memory, so that the kernel has given it when
// it is used.
func (r *ring[T]) touch() {
	var zero T
	for i := range r.items {
		r.items[i] = zero
	}
}

// push reports false when the ring is full.
func (r *ring[T]) push(v *T) bool {
	t := r.tail.Load()
	if t-r.head.Load() == uint64(len(r.items)) {
		return false
	}
	r.items[t%uint64(len(r.items))] = *v
	r.tail.Store(t + 1)
	return true
}

// peek returns the oldest item, which stays valid until drop; nil when there
// is none.
func (r *ring[T]) peek() *T {
	h := r.head.Load()
	if h == r.tail.Load() {
		return nil
	}
	return &r.items[h%uint64(len(r.items))]
}

// at is the item with a number, from head on, while it is in the ring.
func (r *ring[T]) at(n uint64) *T { return &r.items[n%uint64(len(r.items))] }

func (r *ring[T]) drop() { r.head.Add(1) }

// close says that nothing more will be pushed.
func (r *ring[T]) close() { r.closed.Store(true) }

// ended reports that the ring is closed and empty.
func (r *ring[T]) ended() bool { return r.closed.Load() && r.peek() == nil }

// all lists what is in the ring, oldest first, while nothing is dropped.
func (r *ring[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for h, t := r.head.Load(), r.tail.Load(); h < t; h++ {
			if !yield(&r.items[h%uint64(len(r.items))]) {
				return
			}
		}
	}
}
