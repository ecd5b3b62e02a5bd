package metrics_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"linktape/trial/metrics"
)

// Which packets a link lost is known by their places in the order sent.
func TestLosses(t *testing.T) {
	losing := func(lost ...int) metrics.Losses {
		r := steady(func(t *trial, n, _ int, at int64) bool {
			arrives := at + 10*milli
			for _, k := range lost {
				if n == k {
					arrives = never
				}
			}
			t.original(0, at, n, arrives)
			t.sourced(int64(n), at, at+500*milli)
			return false
		}, "a").compute(t)
		if len(r.Losses) != 2 || r.Losses[1].Dir != "down" || r.Losses[1].Lost != 0 || r.Losses[1].Packets == 0 {
			t.Fatalf("got %+v", r.Losses)
		}
		return r.Losses[0]
	}
	fates := make([]byte, 1000)
	fates[300], fates[999] = 1, 1
	sum := sha256.Sum256(fates)
	want := metrics.Losses{Link: "a", Dir: "up", Packets: 1000, Lost: 2, SHA256: hex.EncodeToString(sum[:])}
	if got := losing(300, 999); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := losing(301, 999); got.Lost != 2 || got.SHA256 == want.SHA256 {
		t.Errorf("other losses: got %+v", got)
	}
}

// What waits in a queue at the end is lost by the captures, which end too, and not
// by the counters: they do not disagree.
func TestWaitingAtTheEnd(t *testing.T) {
	const waiting = 40
	tr := steady(func(t *trial, n, _ int, at int64) bool {
		arrives := at + 10*milli
		if n >= 1000-waiting {
			arrives = never
		}
		t.original(0, at, n, arrives)
		t.sourced(int64(n), at, at+500*milli)
		return false
	}, "a")
	for _, waits := range []bool{true, false} {
		for i := range tr.counters {
			row := &tr.counters[i]
			row.Packets -= row.PathDrops
			row.BacklogPackets, row.PathDrops = row.PathDrops, 0
			if !waits {
				row.Packets, row.BacklogPackets = row.Packets+row.BacklogPackets, 0
			}
		}
		found := false
		for _, f := range tr.compute(t).Findings {
			found = found || strings.Contains(f.Text, "link a: packets lost: 40 by captures, 0 by counters")
		}
		if found == waits {
			t.Errorf("they wait: %v; found a disagreement: %v", waits, found)
		}
	}
}
