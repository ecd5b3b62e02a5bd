package edit_test

import (
	"fmt"
	"time"

	"linktape/trace"
	"linktape/trace/edit"
)

func Example() {
	drive := &trace.Timeline{
		Meta:  trace.Meta{Duration: time.Minute, Links: []trace.Link{{Name: "att", Up: true}}},
		Steps: []trace.Step{{Link: "att", Dir: trace.Up, State: trace.State{Rate: 6 * trace.Mbit, Carrier: true}}},
	}
	tunnel, err := edit.ParseEvent("at 30s, link att, outage 5s, mode stall, label tunnel")
	if err != nil {
		fmt.Println(err)
		return
	}
	worse, err := edit.Overlay(edit.Memory("drive.tape", drive), []edit.Event{tunnel})
	if err != nil {
		fmt.Println(err)
		return
	}
	for s, err := range worse.Steps {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%v %v %v %q\n", s.At, s.LinkDir(), s.Rate, s.Label)
	}
	_, err = edit.ParseEvent("at 30s, link att, outge 5s")
	fmt.Println(err)
	// Output:
	// 0s att.up 6Mbit ""
	// 30s att.up 0bit "tunnel"
	// 35s att.up 6Mbit ""
	// clause "outge 5s": unknown: did you mean "outage"?
}
