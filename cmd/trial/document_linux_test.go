package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linktape/internal/privtest"
)

// pipeline is a pair of commands of docs/rist.md.
type pipeline struct {
	name             string
	links            int
	one              bool // the receiver has one address
	receiver, sender string
}

// pipelines reads the blocks marked as "sh receiver LINKS [one]" and "sh sender
// LINKS [one]", which follow each other.
func pipelines(t *testing.T, document string) (out []pipeline) {
	t.Helper()
	var receiver, about string
	for i, block := range strings.Split(document, "\n```sh ")[1:] {
		info, rest, _ := strings.Cut(block, "\n")
		text, _, ok := strings.Cut(rest, "\n```")
		side, of, _ := strings.Cut(info, " ")
		if !ok {
			t.Fatalf("block %d has no end", i+1)
		}
		switch side {
		case "receiver":
			receiver, about = text, of
		case "sender":
			p := pipeline{receiver: receiver, sender: text}
			if of != about || receiver == "" {
				t.Fatalf("sender %q follows receiver %q", of, about)
			}
			program, _, _ := strings.Cut(text, " ")
			p.name = program + " " + of
			p.one = strings.HasSuffix(of, " one")
			if _, err := fmt.Sscan(of, &p.links); err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
			receiver = ""
		default:
			t.Fatalf("block %d is of neither side: %q", i+1, info)
		}
	}
	return out
}

// linksOf is a scenario of some links of 6 Mbit/s and 20 ms.
func linksOf(n int) (scenario, topology string) {
	scenario, topology = "scenario: links\nduration: 5s\nlinks:\n", "receiver: {address: 10.99.0.1}\nlinks:\n"
	for _, name := range []string{"a", "b", "c", "d"}[:n] {
		scenario += fmt.Sprintf("  %s: {queue: 200ms, up: {rate: 6Mbit, delay: 20ms}, down: {rate: 20Mbit, delay: 20ms}}\n", name)
		topology += fmt.Sprintf("  %s: {}\n", name)
	}
	return scenario, topology
}

// Every pair of pipelines of the document delivers the stream.
func TestRISTDocument(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist", "gstreamer")
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "rist.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := pipelines(t, string(data))
	if len(all) != 8 {
		t.Errorf("the document has %d pairs of pipelines, want 8", len(all))
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			scenario, topology := linksOf(p.links)
			args := []string{"--stack", "exec", "--sender", "exec " + p.sender, "--receiver", "exec " + p.receiver}
			if p.one {
				args = append(args, "--topology", file(t, "one.yaml", topology))
			}
			_, r := virtual(t, append(args, file(t, "links.yaml", scenario))...)
			clean(t, r)
		})
	}
}
