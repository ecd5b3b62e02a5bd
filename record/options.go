package record

import (
	"fmt"
	"strings"
	"time"
)

// Delay says which delay of a bin's packets becomes the tape's.
type Delay string

// Delays of a bin.
const (
	DelayMin    Delay = "min"    // the smallest: the path, as far as the queue was empty once
	DelayMedian Delay = "median" // with the usual wait
)

// Losses says what losses mean for the tape.
type Losses string

// Meanings of losses.
const (
	LossesAsIs  Losses = "as-is" // the rate is what was delivered, the loss what was lost
	LossesPath  Losses = "path"  // packets were lost after the bottleneck: the rate counts them too
	LossesQueue Losses = "queue" // packets were lost at a full queue: the tape has no loss
)

// Idle says what the rate of a bin is in which nothing was sent.
type Idle string

// Rates of idle bins.
const (
	IdleZero Idle = "zero" // none, as nothing was delivered
	IdleHold Idle = "hold" // that of the bin before
)

// Bounds of a step. Bins above 8 s might need two rates (see package fill).
const (
	MinStep = time.Millisecond
	MaxStep = 5 * time.Second
)

// Options say how flights become a tape. The zero value takes the defaults, which
// are the first of each list of values.
type Options struct {
	Step   time.Duration // length of a bin; 0: 100 ms
	Delay  Delay
	Losses Losses
	Idle   Idle
	Queued time.Duration // what every packet of a bin waits at least where there is a queue; 0: 5 ms
}

// Defaults fills in what is not set, and says what is wrong with the rest.
func (o Options) Defaults() (Options, error) {
	if o.Step == 0 {
		o.Step = 100 * time.Millisecond
	}
	if o.Queued == 0 {
		o.Queued = 5 * time.Millisecond
	}
	var err error
	switch {
	case o.Step < MinStep || o.Step > MaxStep:
		err = fmt.Errorf("step %v: outside %v to %v", o.Step, MinStep, MaxStep)
	case o.Queued < 0:
		err = fmt.Errorf("queued %v: negative", o.Queued)
	}
	if err == nil {
		err = choose("delay", &o.Delay, DelayMin, DelayMedian)
	}
	if err == nil {
		err = choose("losses", &o.Losses, LossesAsIs, LossesPath, LossesQueue)
	}
	if err == nil {
		err = choose("idle", &o.Idle, IdleZero, IdleHold)
	}
	return o, err
}

func choose[T ~string](name string, v *T, values ...T) error {
	if *v == "" {
		*v = values[0]
	}
	var names []string
	for _, ok := range values {
		if *v == ok {
			return nil
		}
		names = append(names, string(ok))
	}
	last := len(names) - 1
	return fmt.Errorf("%s %q: write %s or %s", name, *v, strings.Join(names[:last], ", "), names[last])
}

// Choices are the options as a tape's metadata states them.
func (o Options) Choices() map[string]string {
	rate := map[Losses]string{
		LossesAsIs:  "what was delivered (throughput; the capacity only where labelled queued)",
		LossesPath:  "what was delivered or lost (throughput; the capacity only where labelled queued)",
		LossesQueue: "what was delivered (throughput; the capacity only where labelled queued)",
	}[o.Losses]
	loss := map[Losses]string{
		LossesAsIs:  "of the packets sent, as they were",
		LossesPath:  "of the packets sent, after the bottleneck",
		LossesQueue: "none: losses are taken to be the queue's",
	}[o.Losses]
	return map[string]string{
		"step":   o.Step.String(),
		"rate":   rate,
		"loss":   loss,
		"delay":  string(o.Delay) + " of each bin",
		"jitter": "mean difference of delays in a row, times 0.886",
		"idle":   string(o.Idle),
		"queued": o.Queued.String() + " above the smallest delay",
	}
}
