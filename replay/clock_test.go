package replay

import (
	"testing"
	"time"
)

func TestSpinUntil(t *testing.T) {
	const at = time.Second
	for _, c := range []struct {
		name  string
		now   time.Duration // first reading
		step  time.Duration // from one reading to the next
		every int           // readings for a step
		slept bool
	}{
		{"in the past", 2 * at, 1, 1, false},
		{"now", at, 0, 1, false},
		{"runs", at - 10_000, 20, 1, false},
		{"coarse", at - 10_000, 1000, 50, false},
		{"stands still", at - 10_000, 0, 1, true},
		{"stands still for long", at - 10_000, 1000, 1000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			now, readings, slept := c.now, 0, false
			spinUntil(at, func() time.Duration {
				if readings++; readings%c.every == 0 {
					now += c.step
				}
				return now
			}, func(to time.Duration) {
				if to != at || slept {
					t.Errorf("slept until %v, want once until %v", to, at)
				}
				slept, now = true, to
			})
			if now < at || slept != c.slept {
				t.Errorf("returned at %v, slept %v; want %v, %v", now, slept, at, c.slept)
			}
		})
	}
}

func TestMonotonic(t *testing.T) {
	m := NewMonotonic(DefaultSpin)
	m.SleepUntil(-time.Hour)
	m.SleepUntil(0)
	last := m.Now()
	for range 20 {
		to := last + 100*time.Microsecond
		m.SleepUntil(to)
		now := m.Now()
		if now < to {
			t.Fatalf("woke up at %v, before %v", now, to)
		}
		last = now
	}
	if n := testing.AllocsPerRun(100, func() { m.SleepUntil(m.Now() + 1000) }); n != 0 {
		t.Errorf("got %v allocations for a sleep, want 0", n)
	}
}
