package replay

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"linktape/trace"
)

// Play a tape onto links. Those of a run come from [OnRun] of what
// netsetup.Open returns; here they only take notes.
func Example() {
	dir, err := os.MkdirTemp("", "replay")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "dip.tape")
	att := trace.LinkDir{Link: "att", Dir: trace.Up}
	good, dip := trace.State{Rate: 6 * trace.Mbit, Carrier: true}, trace.State{Rate: 2 * trace.Mbit, Carrier: true}
	err = trace.WriteFile(file, &trace.Timeline{
		Meta: trace.Meta{Duration: 30 * time.Millisecond, Generator: "example 1", Links: []trace.Link{{Name: "att", Up: true}}},
		Steps: []trace.Step{
			{At: 0, Link: "att", Dir: trace.Up, State: good},
			{At: 10 * time.Millisecond, Link: "att", Dir: trace.Up, State: dip},
			{At: 20 * time.Millisecond, Link: "att", Dir: trace.Up, State: good},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	tape, err := trace.Open(file)
	if err != nil {
		log.Fatal(err)
	}
	defer tape.Close()

	var links Links = newFakeLinks(att)
	ctx := context.Background()
	player, err := New(ctx, tape, links, Options{Leave: Neutral})
	if err != nil {
		log.Fatal(err)
	}
	summary, err := player.Run(ctx, NewMonotonic(DefaultSpin), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d steps in %v, links left: %s\n", summary.Steps, summary.Played, summary.Left)
	for _, l := range summary.Links {
		fmt.Printf("%s.%s: the tape allowed %d bytes\n", l.Link, l.Dir, l.TapeBytes)
	}
	// Output:
	// 3 steps in 30ms, links left: neutral
	// att.up: the tape allowed 17500 bytes
}
