package plot_test

import (
	"bytes"
	"fmt"
	"time"

	"linktape/internal/plot"
	"linktape/trace"
)

func Example() {
	meta := trace.Meta{Duration: time.Minute, Links: []trace.Link{{Name: "att", Up: true}}}
	p := plot.NewTimeline(meta, plot.TimelineOptions{Title: "one link"})
	p.Step(&trace.Step{Link: "att", Dir: trace.Up, State: trace.State{Rate: 6 * trace.Mbit, Carrier: true}})
	p.Step(&trace.Step{At: 30 * time.Second, Link: "att", Dir: trace.Up, State: trace.State{Rate: 2 * trace.Mbit, Carrier: true}})

	format, err := plot.FormatOf("att.svg")
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	if err := p.Write(&file, format); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(bytes.Contains(file.Bytes(), []byte("mean rate up 4 Mbit/s")))
	// Output: true
}
