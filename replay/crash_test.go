package replay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

// broken is a tape whose reader panics in the middle.
type broken struct{ *memory }

func (b *broken) Read(steps []trace.Step) (int, error) {
	if b.next > 0 && b.Steps[b.next-1].At >= 8*time.Second {
		panic("as if the reader were broken")
	}
	return b.memory.Read(steps[:1])
}

// panics runs a function and returns what it panicked with; "" where it did not.
func panics(f func()) (what string) {
	defer func() {
		if v := recover(); v != nil {
			what = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

// A panic of the tape's reader or of what reads the links ends the replay at once, on the goroutine that called Run.
func TestPlayPanics(t *testing.T) {
	const text = "as if the reader were broken"
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		tl := twoWays(20 * time.Second)
		links := newFakeLinks(tl.Meta.Directions()...)
		p := mustNew(t, openTape(t, tl), links, Options{})
		p.sched.tape = &broken{&memory{Timeline: tl}}
		if got := panics(func() { p.Run(t.Context(), clock, nil) }); !strings.HasPrefix(got, text) || !strings.Contains(got, "(*broken).Read") {
			t.Errorf("got %q", got)
		}
		if got := p.Position(); got > 8*time.Second {
			t.Errorf("it went on until %v", got)
		}
	})
	inBubble(t, func(t *testing.T, clock bubbleClock) {
		tl := twoWays(20 * time.Second)
		links := newMeteredLinks(tl.Meta.Directions()...)
		links.change = func(trace.LinkDir, *netsetup.Reading) error {
			if time.Since(links.began) > 8*time.Second {
				panic(text)
			}
			return nil
		}
		p := mustNew(t, openTape(t, tl), links, Options{Record: Recording{Dir: t.TempDir(), Counters: 100 * ms}})
		if got := panics(func() { p.Run(t.Context(), clock, nil) }); !strings.HasPrefix(got, text) || !strings.Contains(got, "(*gauge).sample") {
			t.Errorf("got %q", got)
		}
		if got := p.Position(); got > 9*time.Second {
			t.Errorf("it went on until %v", got)
		}
	})
}
