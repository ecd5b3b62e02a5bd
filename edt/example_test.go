package edt_test

import (
	"fmt"
	"log"
	"time"

	"linktape/edt"
	"linktape/trace"
)

// A link of 1.2 Mbit/s stalls from 15 ms to 1 s. Its queue holds 4500 bytes.
func Example() {
	w := edt.NewWindow(trace.Queue{Kind: trace.DropTail, LimitBytes: 4500}, 1500)
	state := trace.State{Rate: 1200 * trace.Kbit, Delay: 20 * time.Millisecond, Carrier: true}
	stall := state
	stall.Rate = 0
	for _, step := range []struct {
		at    time.Duration
		state *trace.State
	}{{0, &state}, {15 * time.Millisecond, &stall}, {time.Second, &state}} {
		if err := w.Set(step.at, step.state); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Extend(2 * time.Second); err != nil {
		log.Fatal(err)
	}
	m := edt.NewModel(w, 1, false)
	for range 4 {
		v := m.Packet(0, 1500)
		fmt.Println(v.Fate, v.Left, v.Arrived)
	}
	// Output:
	// delivered 10ms 30ms
	// delivered 1.005s 1.025s
	// delivered 1.015s 1.035s
	// full 0s 0s
}
