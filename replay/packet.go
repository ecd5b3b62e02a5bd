package replay

import (
	"context"
	"fmt"

	"linktape/netsetup"
)

// OnPacket is the [Trigger] of the first packet that comes into one of some
// links of a run, from either end, once all is ready. The tape's first instant
// is when the kernel received it, by its time stamp; [Summary.Detected] is how
// much later the loop knew.
func OnPacket(r *netsetup.Run, links []string) Trigger { return &packetTrigger{run: r, links: links} }

type packetTrigger struct {
	run      *netsetup.Run
	links    []string
	arrivals *netsetup.Arrivals
}

// Ready begins to look for packets.
func (t *packetTrigger) Ready() (err error) {
	t.arrivals, err = t.run.Arrivals(t.links)
	return err
}

func (t *packetTrigger) Wait(ctx context.Context) (Event, error) {
	a, err := t.arrivals.Next(ctx)
	go t.arrivals.Close() // takes long
	if err != nil {
		return Event{}, err
	}
	return Event{What: fmt.Sprintf("packet on %v", a.LinkDir), Ago: a.Ago}, nil
}
