package replay

import (
	"errors"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/trace"
	"linktape/trace/edit"
)

// pairedLinks are links whose two directions are given up together, as those of a
// [netsetup.Run].
type pairedLinks struct{ *fakeLinks }

func (l pairedLinks) Endpoint(ld trace.LinkDir) (Endpoint, error) {
	e, err := l.fakeLinks.Endpoint(ld)
	if err != nil {
		return nil, err
	}
	return &paired{fakeEndpoint: e.(*fakeEndpoint), links: l.fakeLinks, link: ld.Link}, nil
}

type paired struct {
	*fakeEndpoint
	links *fakeLinks
	link  string
}

func (e *paired) Prepare(at, hold time.Duration, s *trace.State) error {
	if e.ready != nil {
		return errors.New("the step before is not sent yet")
	}
	e.ready = &call{at, hold, *s}
	return nil
}

func (e *paired) Commit() (netsetup.Applied, error) {
	c := e.ready
	if c == nil {
		return netsetup.Applied{}, errors.New("none is prepared")
	}
	e.ready = nil
	return e.Apply(c.At, c.Hold, &c.State)
}

func (e *paired) Cancel() {
	for ld, other := range e.links.endpoints {
		if ld.Link == e.link {
			other.ready = nil
		}
	}
}

// A cut of one direction takes place while the steps of both are prepared, and
// leaves the other direction's as it was.
func TestCutOfOneDirection(t *testing.T) {
	for _, mode := range []edit.Mode{edit.DropUp, edit.DropDown} {
		inBubble(t, func(t *testing.T, base bubbleClock) {
			tl := twoWays(time.Second)
			links := newFakeLinks(tl.Meta.Directions()...)
			p := mustNew(t, openTape(t, tl), pairedLinks{links}, Options{})
			done := make(chan *Summary)
			go func() {
				sum, err := p.Run(t.Context(), wakingClock{base, make(chan struct{}, 1)}, nil)
				if err != nil {
					t.Error(err)
				}
				done <- sum
			}()
			<-p.Begun()
			for _, after := range []time.Duration{290 * ms, 200 * ms} { // of a step, and as long before one
				time.Sleep(after)
				var err error
				if after == 290*ms {
					_, err = p.Cut("a", mode)
				} else {
					_, err = p.Restore("a")
				}
				if err != nil {
					t.Errorf("%v: got error %v", mode, err)
				}
			}
			sum := <-done
			if sum == nil || sum.Steps != 20 || sum.Retold != 2 || sum.Missed != 0 {
				t.Errorf("%v: got %+v", mode, sum)
			}
			for ld, e := range links.endpoints {
				lost := 0
				for _, c := range e.calls {
					if c.State.Loss == 1 {
						lost++
					}
				}
				want := 0
				if mode.Concerns(ld.Dir) {
					want = 3 // when it was cut, and two steps
				}
				if lost != want {
					t.Errorf("%v: %v was told %d times to lose everything, want %d", mode, ld, lost, want)
				}
			}
		})
	}
}
