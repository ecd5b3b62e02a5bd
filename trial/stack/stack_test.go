package stack

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommands(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		name    string
		options []string
		pair    Pair
	}{
		{"librist", nil, Pair{}},
		{"librist", []string{"mode=duplicate", "reorder-buffer=150ms", "receiver-buffer=300ms", "url=congestion-control=0", "sender-args=-v 7"}, Pair{}},
		{"gstreamer", nil, Pair{}},
		{"gstreamer", []string{"method=broadcast", "reorder-section=150ms", "max-rtx-retries=2", "receiver-properties=max-rtcp-bandwidth=0.01"}, Pair{}},
		{"exec", nil, Pair{`snd {{.In}} {{join .Targets ","}} {{.BufferMs}} {{.Rate}}`, `rcv {{range .Links}}{{.Name}}={{.Receiver}}:{{.Port}} {{end}}{{.OutPort}}`}},
	} {
		s, err := New(c.name, c.options, c.pair)
		if err != nil {
			t.Fatal(err)
		}
		snd, rcv, err := s.Commands(twoLinks())
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("# " + strings.Join(append([]string{c.name}, c.options...), " ") + "\n")
		for _, x := range []Command{snd, rcv} {
			for _, e := range x.Env {
				b.WriteString(e + "\n")
			}
			b.WriteString(strings.Join(x.Argv, " ") + "\n")
		}
	}
	checkGolden(t, "commands", b.String())
}

func TestOptionErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		stack   string
		options []string
		pair    Pair
		want    string
	}{
		{"unknown stack", "librits", nil, Pair{}, `unknown stack "librits": did you mean "librist"?`},
		{"no value", "librist", []string{"mode"}, Pair{}, `option "mode": write KEY=VALUE`},
		{"unknown option", "librist", []string{"reoder-buffer=1ms"}, Pair{}, `unknown option reoder-buffer of librist: did you mean "reorder-buffer"?`},
		{"not one of", "librist", []string{"mode=split"}, Pair{}, `option mode of librist: "split": one of share, duplicate`},
		{"not a duration", "gstreamer", []string{"reorder-section=150"}, Pair{}, `option reorder-section of gstreamer: "150": whole milliseconds up to an hour, such as 200ms`},
		{"all of them", "gstreamer", []string{"method=x", "max-rtx-retries=-1", "y=z"}, Pair{},
			"option method of gstreamer: \"x\": one of round-robin, broadcast\noption max-rtx-retries of gstreamer: \"-1\": a whole number from 0 to 1000\n" +
				"unknown option y of gstreamer: known: method, reorder-section, stats, sender-buffer, receiver-buffer, sender-sync, max-rtx-retries, sender-properties, receiver-properties"},
		{"no commands", "exec", nil, Pair{}, "stack exec needs the sender's command: --sender 'COMMAND …'\nstack exec needs the receiver's command: --receiver 'COMMAND …'"},
		{"template", "exec", nil, Pair{"a {{.Input}}", "b {{"}, "the sender's command: template: command:1:4: executing \"command\" at <.Input>: can't evaluate field Input in type *stack.ExecData\n" +
			"the receiver's command: template: command:1: unclosed action"},
		{"commands of another", "librist", nil, Pair{Sender: "x"}, "a sender's and a receiver's command go with stack exec, not with librist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.stack, c.options, c.pair)
			if err == nil {
				t.Fatal("got no error")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A second link is not known when a template is tried.
func TestTemplateOfLaterLinks(t *testing.T) {
	s, err := New("exec", nil, Pair{"a {{(index .Links 1).Name}}", "b"})
	if err != nil {
		t.Fatal(err)
	}
	snd, _, err := s.Commands(twoLinks())
	if err != nil || snd.Argv[2] != "a b" {
		t.Errorf("got %q, %v", snd.Argv, err)
	}
	one := twoLinks()
	one.Links = one.Links[:1]
	if _, _, err := s.Commands(one); err == nil || !strings.Contains(err.Error(), "the sender's command: ") {
		t.Errorf("got %v, want an error that names the sender's command", err)
	}
}

func TestSimpleProfileDoesNotBond(t *testing.T) {
	_, _, err := newStack(t, "librist", "profile=simple").Commands(twoLinks())
	if err == nil || !strings.Contains(err.Error(), "bonds in the main profile only") {
		t.Errorf("got %v", err)
	}
}

// Everything that is missing is named at once, with its package.
func TestMissing(t *testing.T) {
	have := func(names ...string) func(string) bool {
		return func(n string) bool {
			for _, x := range names {
				if x == n {
					return true
				}
			}
			return false
		}
	}
	for _, c := range []struct {
		name     string
		stack    string
		programs func(string) bool
		elements func(string) bool
		want     string
	}{
		{"all there", "gstreamer", func(string) bool { return true }, func(string) bool { return true }, ""},
		{"librist", "librist", have(), have(), "missing: ristsender (Debian package rist-tools)\nmissing: ristreceiver (Debian package rist-tools)\ninstall with: sudo apt-get install rist-tools"},
		{"no gstreamer", "gstreamer", have(), have(), "missing: gst-launch-1.0 (Debian package gstreamer1.0-tools)\nmissing: gst-inspect-1.0 (Debian package gstreamer1.0-tools)\n" +
			"install with: sudo apt-get install gstreamer1.0-tools"},
		{"elements", "gstreamer", have("gst-launch-1.0", inspect), have("udpsrc", "udpsink", "rtpmp2tdepay", "ristsrc"),
			"missing: GStreamer's element rtpmp2tpay (Debian package gstreamer1.0-plugins-good)\nmissing: GStreamer's element ristsink (Debian package gstreamer1.0-plugins-bad)\n" +
				"install with: sudo apt-get install gstreamer1.0-plugins-bad gstreamer1.0-plugins-good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := check(newStack(t, c.stack).Needs(), c.programs, func(e string) (bool, error) { return c.elements(e), nil })
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err != nil && !errors.As(err, new(*MissingError)) {
				t.Errorf("got %T", err)
			}
		})
	}
}
