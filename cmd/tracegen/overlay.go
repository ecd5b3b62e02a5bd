package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/internal/conf"
	"linktape/trace/edit"
)

func overlayCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "overlay",
		Usage:     "lay outages and other events over a tape",
		ArgsUsage: "[--event TEXT]… [--events FILE]… -o OUT TAPE",
		Description: `An event is clauses separated by commas: when, which links, and what happens.

   at 30s               the instant; required
   link att             LINK, LINK.up, LINK.down or all, several with blanks; required
   outage 5s            for so long nothing passes; how, says mode
   mode stall           drop-both (without it), drop-up, drop-down, stall, carrier-down
   handover 50ms        an outage of mode stall with the label handover
   rate 500kbit         a new rate; x0.5 multiplies
   delay +100ms         adds; 80ms sets, x2 multiplies; jitter likewise
   loss 10%             in place of all losses; duplicate, corrupt, reorder likewise
   label tunnel         the label meanwhile
   for 10s              how long it holds; without it, to the end

Events that hold at once apply in the order given. --events reads a file: one event
a line, with # before remarks, or, where the name ends in .yaml or .yml, a list of
texts or the key events with one. - is standard input, one event a line.

   tracegen overlay --event "at 30s, link att, outage 5s, mode stall" \
       --event "at 1m, link verizon, rate x0.5, delay +80ms, for 20s" \
       -o worse.tape drive.tape`,
		Flags: []ucli.Flag{
			tapeOutput(),
			&ucli.StringSliceFlag{Name: "event", Usage: "what happens, `TEXT`; may be repeated"},
			&ucli.StringSliceFlag{Name: "events", Usage: "events from a `FILE`; may be repeated"},
		},
		Action: doOverlay,
	}
}

func doOverlay(c *ucli.Context) error {
	args, err := cli.Args(c, 1, 1)
	if err != nil {
		return err
	}
	var events []edit.Event
	var faults []error
	for _, text := range c.StringSlice("event") {
		e, err := edit.ParseEvent(text)
		if err != nil {
			faults = append(faults, cli.Usagef("--event %q: %w", text, err))
		}
		events = append(events, e)
	}
	if err := oneStdin(append(c.StringSlice("events"), args[0])); err != nil {
		return err
	}
	for _, file := range c.StringSlice("events") {
		list, err := readEvents(c, file)
		if err != nil {
			faults = append(faults, err)
		}
		events = append(events, list...)
	}
	if faults != nil {
		return errors.Join(faults...)
	}
	if len(events) == 0 {
		return cli.Usagef(`no event: write one, such as --event "at 30s, link att, outage 5s"`)
	}
	return editTapes(c, args, func(in []edit.Tape) (edit.Tape, error) { return edit.Overlay(in[0], events) })
}

// readEvents reads a file of events.
func readEvents(c *ucli.Context, file string) ([]edit.Event, error) {
	name, in := file, c.App.Reader
	if file == cli.StdStream {
		name = "standard input"
	} else {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := readBounded(in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	switch filepath.Ext(file) {
	case ".yaml", ".yml":
		return parseYAMLEvents(name, data)
	}
	return parseEventLines(name, data)
}

// maxEventFaults is how many faults of a file of events are listed.
const maxEventFaults = 20

// parseEventLines reads one event a line.
func parseEventLines(name string, data []byte) ([]edit.Event, error) {
	var events []edit.Event
	var faults []error
	n, more := 0, 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		e, err := edit.ParseEvent(text)
		switch {
		case err == nil:
			events = append(events, e)
		case len(faults) < maxEventFaults:
			faults = append(faults, fmt.Errorf("%s:%d: %w", name, n, err))
		default:
			more++
		}
	}
	if more > 0 {
		faults = append(faults, fmt.Errorf("%s: and %d more", name, more))
	}
	if faults == nil && len(events) == 0 {
		return nil, fmt.Errorf("%s: holds no event: write one a line, such as at 30s, link att, outage 5s", name)
	}
	return events, errors.Join(faults...)
}

// parseYAMLEvents reads a list of events, or the key events with one.
func parseYAMLEvents(name string, data []byte) ([]edit.Event, error) {
	doc, err := conf.Parse(name, data)
	if err != nil {
		return nil, err
	}
	list := doc.Root()
	if list.IsMap() {
		m := list.Map()
		list = m.Require("events")
		m.Done()
	}
	var events []edit.Event
	for _, n := range list.List() {
		text := n.String()
		if n.Failed() {
			continue
		}
		e, err := edit.ParseEvent(text)
		if err != nil {
			n.Errorf("%v", err)
			continue
		}
		events = append(events, e)
	}
	if list.IsList() && len(list.List()) == 0 {
		list.Errorf("the list is empty: write [\"at 30s, link att, outage 5s\"]")
	}
	return events, doc.Err()
}
