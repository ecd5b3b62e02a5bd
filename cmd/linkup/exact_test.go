package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/trace"
)

// Of links with backend: edt the status has a line more a direction, of what there is to
// tell.
func TestStatusOfExactLinks(t *testing.T) {
	times := make([]uint64, 25)
	times[10], times[20], times[24] = 60, 39, 1
	dir := func(x *netsetup.ExactStats) netsetup.DirStatus {
		return netsetup.DirStatus{Rate: 20 * trace.Mbit, Delay: 35 * time.Millisecond, Loss: 0.01, LimitBytes: 500_000, BacklogBytes: 1500, Bytes: 150_000, Drops: 3, PathDrops: 2, Exact: x}
	}
	s := &netsetup.RunStatus{Run: "demo", Links: []netsetup.LinkStatus{
		{Name: "a", Shaper: netsetup.ShaperEDT, SenderAddr: []string{"10.77.0.1"}, ReceiverAddr: []string{"10.77.0.6"}, Netem: true,
			Up:   dir(&netsetup.ExactStats{QueueTimes: times, OutageDrops: 12, Beyond: 7, Segmented: 5, Unstamped: 4}),
			Down: dir(&netsetup.ExactStats{QueueTimes: times[:11]})},
		{Name: "b", Shaper: netsetup.ShaperEDT, SenderAddr: []string{"10.77.1.1"}, ReceiverAddr: []string{"10.77.1.6"}, Up: dir(&netsetup.ExactStats{}), Down: dir(nil)},
	}}
	var out bytes.Buffer
	if err := printStatus(&out, s); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(out.String(), "\n")
	const want = `LINK  DIR   FROM       TO         SHAPER  BUCKET  DELAY  LOSS  BACKLOG  LIMIT     DELIVERED  QUEUE DROPS  PATH DROPS
a     up    10.77.0.1  10.77.0.6  edt     20Mbit  35ms   1%    1500 B   500000 B  150000 B   3            2
a     down  10.77.0.6  10.77.0.1  edt     20Mbit  35ms   1%    1500 B   500000 B  150000 B   3            2
b     up    10.77.1.1  10.77.1.6  edt     20Mbit  -      -     1500 B   500000 B  150000 B   3            2
b     down  10.77.1.6  10.77.1.1  edt     20Mbit  -      -     1500 B   500000 B  150000 B   3            2
a up: half of the packets in the queue for less than 1.024µs, 99% less than 1.048576ms, all less than 16.777216ms; 12 met no carrier; 7 came before their steps were known; 5 stood for several on the wire; 4 could not be held
a down: half of the packets in the queue for less than 1.024µs, 99% less than 1.024µs, all less than 1.024µs
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
