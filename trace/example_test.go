package trace_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"linktape/trace"
)

// Write a tape, read it, and jump into it.
func Example() {
	dir, err := os.MkdirTemp("", "tape")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "ride.tape")

	good := trace.State{Rate: 6 * trace.Mbit, Delay: 40 * time.Millisecond, Carrier: true, Label: "good"}
	tunnel := trace.State{Rate: 0, Delay: 40 * time.Millisecond, Carrier: true, Label: "tunnel"}
	w, err := trace.Create(path, trace.Meta{
		Duration:  time.Minute,
		Links:     []trace.Link{{Name: "att", Up: true}},
		Generator: "example 1",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort()
	err = w.Write([]trace.Step{
		{At: 0, Link: "att", Dir: trace.Up, State: good},
		{At: 20 * time.Second, Link: "att", Dir: trace.Up, State: tunnel},
		{At: 25 * time.Second, Link: "att", Dir: trace.Up, State: good},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil { // reports every fault of the timeline
		log.Fatal(err)
	}

	r, err := trace.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	steps := make([]trace.Step, 1024)
	for {
		n, err := r.Read(steps)
		if err == io.EOF {
			break // complete, and the checksum is right
		} else if err != nil {
			log.Fatal(err)
		}
		for _, s := range steps[:n] {
			fmt.Println(s.At, s.LinkDir(), s.Rate, s.Label)
		}
	}
	state, err := r.Seek(22 * time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("at 22s:", state[0].Label, "since", state[0].At)

	tl, err := trace.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	c := trace.NewStatsCollector(tl.Meta, trace.StatsOptions{})
	for i := range tl.Steps {
		c.Step(&tl.Steps[i])
	}
	for _, s := range c.Finish() {
		fmt.Printf("%s.%s: %.1f Mbit/s on average, longest gap %v\n", s.Link, s.Dir, s.RateMean/1e6, s.LongestGap)
	}
	// Output:
	// 0s att.up 6Mbit good
	// 20s att.up 0bit tunnel
	// 25s att.up 6Mbit good
	// at 22s: tunnel since 20s
	// att.up: 5.5 Mbit/s on average, longest gap 5s
}
