package suite

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"linktape/trial/stack"
)

// inputs are what decides a trial's result, to know whether it has been run
// already.
type inputs struct {
	Trial    string            `json:"trial"`    // SHA-256 of the trial file
	Source   string            `json:"source"`   // of the scenario, or of the tape's steps
	Topology string            `json:"topology"` // of the topology's file; "": none
	Seed     uint64            `json:"seed"`
	Flags    []string          `json:"flags"`
	Time     string            `json:"time"`
	Programs map[string]string `json:"programs"` // SHA-256 of the programs of the stack, by name
	Tool     string            `json:"tool"`     // SHA-256 of the program that runs it
}

// hasher remembers the sums of files, since all trials have the same programs.
type hasher map[string]string

// file is the SHA-256 of a file; of one that is not there, "": the trial says so.
func (h hasher) file(name string) string {
	if sum, ok := h[name]; ok {
		return sum
	}
	h[name] = ""
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	s := sha256.New()
	if _, err := io.Copy(s, f); err == nil {
		h[name] = hex.EncodeToString(s.Sum(nil))
	}
	return h[name]
}

// programs are those that a job's stack runs.
func (p *Plan) programs(j *Job) []string {
	name, options, pair := j.Case.Trial.Stack, j.Case.Trial.Options, j.Case.Trial.Pair
	if s := p.Change.Stack; s != "" && s != name {
		name, options, pair = s, nil, stack.Pair{}
	}
	if p.Change.Sender != "" {
		pair.Sender = p.Change.Sender
	}
	if p.Change.Receiver != "" {
		pair.Receiver = p.Change.Receiver
	}
	var out []string
	if name == "exec" {
		for _, c := range []string{pair.Sender, pair.Receiver} {
			if w := strings.Fields(c); len(w) > 0 {
				out = append(out, w[0])
			}
		}
		return out
	}
	if s, err := stack.New(name, slices.Concat(options, p.Change.Options), pair); err == nil {
		out = slices.Sorted(maps.Keys(s.Programs()))
	}
	return out
}

// sum is the SHA-256 of everything that decides a job's result.
func (p *Plan) sum(j *Job, tool string, h hasher) (string, error) {
	data := sha256.Sum256(j.Case.Data)
	in := inputs{
		Trial: hex.EncodeToString(data[:]), Source: j.Case.Sum, Seed: j.Seed, Flags: p.Change.flags(), Time: p.Time,
		Programs: make(map[string]string), Tool: h.file(tool),
	}
	if t := j.Case.Trial.Topology; t != "" {
		in.Topology = h.file(t)
	}
	for _, name := range p.programs(j) {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		in.Programs[name] = h.file(path)
	}
	b, err := json.Marshal(&in)
	if err != nil {
		return "", fmt.Errorf("sum up the inputs of %v: %w", j, err)
	}
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:]), nil
}
