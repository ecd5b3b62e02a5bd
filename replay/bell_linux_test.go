package replay

import (
	"testing"
	"time"
)

// A sleep ends when it is rung, and else at its instant.
func TestSleepUntilRung(t *testing.T) {
	m := NewMonotonic(0)
	var b bell
	start := m.Now()
	m.SleepUntilRung(start+3*ms, &b)
	if m.Now() < start+3*ms {
		t.Error("woke up before its instant, with nobody ringing")
	}
	woken := make(chan time.Duration)
	go func() {
		m.SleepUntilRung(m.Now()+time.Hour, &b)
		woken <- m.Now()
	}()
	b.Store(1)
	m.Ring(&b)
	select {
	case <-woken:
	case <-t.Context().Done():
		t.Fatal("slept on")
	}
	m.SleepUntilRung(m.Now()+time.Hour, &b) // has been rung
}
