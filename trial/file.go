package trial

import (
	"fmt"
	"path/filepath"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
	"linktape/trial/stack"
)

// File is what is asked for: a trial file, or what stands for one where a scenario
// or a tape is named.
type File struct {
	Name       string
	Source     string // scenario or tape
	Stack      string
	Options    []string // of the stack, KEY=VALUE
	Pair       stack.Pair
	Rate       trace.BitRate
	Buffer     time.Duration
	Duration   time.Duration // 0: all of it
	Seed       *uint64
	Set        []string // of the scenario, KEY=VALUE
	Links      []string // none: all
	Topology   string   // file
	Cross      []Cross
	Thresholds []Threshold
}

// trialKey is the key that tells a trial file from a scenario.
const trialKey = "trial"

// Open reads a trial file. A scenario or a tape gives a trial of it with every
// default. Faults of a trial file are a [conf.Error] that names them all.
func Open(name string) (*File, error) {
	file := &File{Source: name, Stack: "librist", Rate: DefaultRate, Buffer: DefaultBuffer}
	label, data, isTape, err := Read(name)
	if err != nil || isTape {
		return file, err
	}
	doc, err := conf.Parse(label, data)
	if err != nil {
		return nil, err // a scenario has the same faults of form
	}
	if root := doc.Root(); !root.IsMap() {
		return nil, fmt.Errorf("%s: neither a scenario nor a trial", label)
	}
	if _, ok := doc.Root().Map().Get(trialKey); !ok {
		return file, nil
	}
	return Parse(label, data, filepath.Dir(name))
}
