package stack

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"linktape/trace"
	"linktape/trace/suggest"
)

// Side is one end of a trial.
type Side string

// The ends of a trial.
const (
	Sender   Side = "sender"
	Receiver Side = "receiver"
)

// Stream is a standard stream of a command.
type Stream string

// The streams that statistics come on.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Link is one path between sender and receiver.
type Link struct {
	Name     string
	Sender   netip.Addr
	Receiver netip.Addr
	Port     int // of the receiver; the first of [Stack.Ports]
}

// Target is where the receiver listens for the link.
func (l *Link) Target() string { return netip.AddrPortFrom(l.Receiver, uint16(l.Port)).String() }

// Setup is what a stack is to run between.
type Setup struct {
	Links  []Link
	In     netip.AddrPort // where the sender takes the stream, as UDP datagrams of MPEG-TS
	Out    netip.AddrPort // where the receiver puts it
	Buffer time.Duration  // for recovery
	Rate   trace.BitRate  // of the stream
}

// oneReceiver reports whether several links lead to one address, so that the address
// that a packet comes from chooses its link.
func (s *Setup) oneReceiver() bool {
	return len(s.Links) > 1 && s.Links[0].Receiver == s.Links[1].Receiver
}

// Command is a program to start.
type Command struct {
	Argv []string
	Env  []string // besides the caller's, NAME=VALUE
}

// Sample is one figure of a stack's own statistics.
type Sample struct {
	Side  Side
	Link  string // "": of the flow
	Name  string
	Value float64
}

// Row is a [Sample] in a table: when it was read, and what it said.
type Row struct {
	At    int64   `parquet:"t_ns"` // since the epoch; before it: negative
	Side  string  `parquet:"side"` // sender or receiver
	Link  string  `parquet:"link"` // "": of the flow
	Name  string  `parquet:"name"`
	Value float64 `parquet:"value"`
}

// Parser reads the statistics of one side. It keeps what it needs from one line
// to the next.
type Parser interface {
	// Line reads a line of a standard stream, without its end.
	Line(stream Stream, line []byte, emit func(Sample))
}

// Stack is a pair of sender and receiver.
type Stack interface {
	// Name is that of --stack.
	Name() string
	// Settings are all options, with their defaults, as text.
	Settings() map[string]string
	// Needs are the programs and elements that have to be there.
	Needs() []Need
	// Ports are the UDP ports of a link's receiver, given the first one.
	Ports(first int) []int
	// Commands says what to run.
	Commands(s *Setup) (sender, receiver Command, err error)
	// Warnings say what the stack cannot do between these ends.
	Warnings(s *Setup) []string
	// Parser reads the statistics of a side.
	Parser(s *Setup, side Side) Parser
	// Programs are those whose versions matter, by name, with the arguments that
	// print them.
	Programs() map[string][]string
}

// FirstPort is the port of the first link's receiver.
const FirstPort = 8000

// Names of figures that mean the same in every stack that has them. Sums count from
// the stack's start; other names are the stack's own.
const (
	SumSent          = "sum.sent"          // packets by the sender, retransmissions included
	SumRetransmitted = "sum.retransmitted" // packets by the sender
	SumReceived      = "sum.received"      // data packets by the receiver
	SumRecovered     = "sum.recovered"     // packets that came by retransmission
	SumLost          = "sum.lost"          // packets given up by the receiver
	SumDuplicates    = "sum.duplicates"    // packets that the receiver had already
	SumRequests      = "sum.requests"      // for retransmission, by the receiver
	RTT              = "rtt_ms"
)

// Names lists the stacks by the names of --stack.
func Names() []string { return []string{"librist", "gstreamer", "exec", "none"} }

// None is the stack of a trial whose devices under test are outside: only links,
// tape and captures.
const None = "none"

// Commands of a stack that runs any two.
type Pair struct{ Sender, Receiver string }

// New returns the stack of a name with options KEY=VALUE. The pair is for exec
// alone.
func New(name string, options []string, pair Pair) (Stack, error) {
	o, err := newOptions(name, options)
	if err != nil {
		return nil, err
	}
	if name != "exec" && pair != (Pair{}) {
		return nil, fmt.Errorf("a sender's and a receiver's command go with stack exec, not with %s", name)
	}
	var s Stack
	switch name {
	case "librist":
		s = newLibrist(o)
	case "gstreamer":
		s = newGStreamer(o)
	case "exec":
		s = newExec(o, pair)
	default:
		return nil, fmt.Errorf("unknown stack %q: %s", name, suggest.Among(name, Names()))
	}
	return s, o.err()
}

// options are KEY=VALUE pairs that a stack asks for one by one.
type options struct {
	stack  string
	given  map[string]string
	known  []string
	faults []string
	used   map[string]string // with defaults
}

func newOptions(stack string, list []string) (*options, error) {
	o := &options{stack: stack, given: make(map[string]string), used: make(map[string]string)}
	for _, kv := range list {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("option %q: write KEY=VALUE", kv)
		}
		o.given[k] = v
	}
	return o, nil
}

// text is an option's value, or the default.
func (o *options) text(key, value string) string {
	o.known = append(o.known, key)
	if v, ok := o.given[key]; ok {
		value = v
		delete(o.given, key)
	}
	o.used[key] = value
	return value
}

func (o *options) fault(key, format string, args ...any) {
	o.faults = append(o.faults, fmt.Sprintf("option %s of %s: ", key, o.stack)+fmt.Sprintf(format, args...))
}

func (o *options) oneOf(key string, words ...string) string {
	v := o.text(key, words[0])
	if !slices.Contains(words, v) {
		o.fault(key, "%q: one of %s", v, strings.Join(words, ", "))
	}
	return v
}

// number is a whole number from least to most; "" stays open.
func (o *options) number(key, value string, least, most int) string {
	v := o.text(key, value)
	if v == "" {
		return v
	}
	if n, err := strconv.Atoi(v); err != nil || n < least || n > most {
		o.fault(key, "%q: a whole number from %d to %d", v, least, most)
	}
	return v
}

// millis is a duration in whole milliseconds; −1 where it stays open.
func (o *options) millis(key, value string) int64 {
	v := o.text(key, value)
	if v == "" {
		return -1
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d%time.Millisecond != 0 || d > time.Hour {
		o.fault(key, "%q: whole milliseconds up to an hour, such as 200ms", v)
		return 0
	}
	return d.Milliseconds()
}

// err is what is wrong with the options.
func (o *options) err() error {
	for _, k := range slices.Sorted(maps.Keys(o.given)) {
		if len(o.known) == 0 {
			o.faults = append(o.faults, fmt.Sprintf("stack %s has no options: %s", o.stack, k))
			continue
		}
		o.faults = append(o.faults, fmt.Sprintf("unknown option %s of %s: %s", k, o.stack, suggest.Among(k, o.known)))
	}
	if len(o.faults) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(o.faults, "\n"))
}

// words splits further arguments at spaces.
func words(s string) []string { return strings.Fields(s) }
