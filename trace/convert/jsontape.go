package convert

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"linktape/trace"
)

// jsonTape reads and writes a tape in JSON: an object with the format, its
// version, the duration, the links with their queues, and the steps, one to a
// line. Every column of a step is there.
type jsonTape struct{}

const (
	jsonTapeFormat  = "linktape"
	jsonTapeVersion = 1
)

func (jsonTape) Name() string { return "json" }

func (jsonTape) Description() string { return "JSON: a tape with all its columns, links and queues" }

func (jsonTape) Sniff(head []byte) (string, error) {
	b := bytes.TrimLeft(head, " \t\r\n")
	if len(b) == 0 || b[0] != '{' {
		return "", errors.New("does not begin with {")
	}
	dec := json.NewDecoder(bytes.NewReader(b[1:]))
	key, err1 := dec.Token()
	if err1 == nil && key == "format" {
		// The decoder has read a bare key: what follows the colon is the value.
		rest := bytes.TrimLeft(b[1+dec.InputOffset():], " \t\r\n:")
		if bytes.HasPrefix(rest, []byte(`"`+jsonTapeFormat+`"`)) {
			return `a JSON object with the format "linktape"`, nil
		}
	}
	return "", errors.New(`the JSON object's first key is not the format "linktape"`)
}

// jsonStep is a step in JSON. All its keys are required.
type jsonStep struct {
	At         *int64   `json:"t_ns"`
	Link       *string  `json:"link"`
	Dir        *string  `json:"dir"`
	Rate       *int64   `json:"rate_bit_s"`
	Delay      *int64   `json:"delay_ns"`
	Jitter     *int64   `json:"jitter_ns"`
	Loss       *float64 `json:"loss"`
	GEP        *float64 `json:"ge_p"`
	GER        *float64 `json:"ge_r"`
	GELossBad  *float64 `json:"ge_loss_bad"`
	GELossGood *float64 `json:"ge_loss_good"`
	Duplicate  *float64 `json:"duplicate"`
	Corrupt    *float64 `json:"corrupt"`
	Reorder    *float64 `json:"reorder"`
	Carrier    *bool    `json:"carrier"`
	Label      *string  `json:"label"`
}

// step makes the step, or says what is missing.
func (j *jsonStep) step() (trace.Step, error) {
	var s trace.Step
	if j.At == nil || j.Link == nil || j.Dir == nil || j.Rate == nil || j.Delay == nil || j.Jitter == nil || j.Loss == nil ||
		j.GEP == nil || j.GER == nil || j.GELossBad == nil || j.GELossGood == nil || j.Duplicate == nil || j.Corrupt == nil ||
		j.Reorder == nil || j.Carrier == nil || j.Label == nil {
		return s, errors.New("a step lacks a key: it has t_ns, link, dir, rate_bit_s, delay_ns, jitter_ns, loss, ge_p, ge_r, ge_loss_bad, ge_loss_good, duplicate, corrupt, reorder, carrier and label")
	}
	dir, err := trace.ParseDirection(*j.Dir)
	if err != nil {
		return s, err
	}
	s = trace.Step{At: time.Duration(*j.At), Link: *j.Link, Dir: dir, State: trace.State{
		Rate: trace.BitRate(*j.Rate), Delay: time.Duration(*j.Delay), Jitter: time.Duration(*j.Jitter),
		Loss:      trace.Prob(*j.Loss),
		GE:        trace.GE{P: trace.Prob(*j.GEP), R: trace.Prob(*j.GER), LossBad: trace.Prob(*j.GELossBad), LossGood: trace.Prob(*j.GELossGood)},
		Duplicate: trace.Prob(*j.Duplicate), Corrupt: trace.Prob(*j.Corrupt), Reorder: trace.Prob(*j.Reorder),
		Carrier: *j.Carrier, Label: *j.Label,
	}}
	return s, nil
}

// readJSONTape reads a tape and calls each for its steps, which the checker of
// package trace has seen. Without each it reads the metadata only.
func readJSONTape(r io.Reader, name string, each func(s trace.Step) error) (meta trace.Meta, err error) {
	l := &lineReader{r: r}
	dec := json.NewDecoder(l)
	dec.DisallowUnknownFields()
	faults := Faults{File: name}
	fail := func(err error) (trace.Meta, error) {
		return meta, jsonFault(l, &faults, name, dec.InputOffset(), err)
	}
	wrong := func(format string, args ...any) (trace.Meta, error) {
		return fail(fmt.Errorf(format, args...))
	}
	tok, err := dec.Token()
	if err != nil {
		return fail(err)
	}
	if tok != json.Delim('{') {
		// What follows may hold a read error, which comes first.
		if _, err := io.Copy(io.Discard, l); err != nil {
			return fail(err)
		}
		return wrong("not a tape in JSON: write an object with the format %q", jsonTapeFormat)
	}
	var format string
	var version, duration int64
	seen := map[string]bool{}
	var check *trace.Checker
	var steps int64
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return fail(err)
		}
		key, _ := tok.(string)
		if seen[key] {
			return wrong("the key %q is there twice", key)
		}
		seen[key] = true
		switch key {
		case "format":
			err = dec.Decode(&format)
			if err == nil && format != jsonTapeFormat {
				return wrong("the format is %q, not %q", format, jsonTapeFormat)
			}
		case "version":
			err = dec.Decode(&version)
			if err == nil && version != jsonTapeVersion {
				return wrong("version %d is not known: %d is", version, jsonTapeVersion)
			}
		case "duration_ns":
			err = dec.Decode(&duration)
			meta.Duration = time.Duration(duration)
		case "generator":
			err = dec.Decode(&meta.Generator)
		case "links":
			err = dec.Decode(&meta.Links)
		case "steps":
			for _, k := range []string{"format", "version", "duration_ns", "links"} {
				if !seen[k] {
					return wrong("the key %q must come before the steps", k)
				}
			}
			if meta.Duration > MaxDuration {
				return wrong("duration_ns %d is above the maximum of %d", duration, int64(MaxDuration))
			}
			if check, err = trace.NewChecker(meta); err != nil {
				return fail(err)
			}
			if each == nil {
				return meta, nil
			}
			if tok, err = dec.Token(); err != nil {
				return fail(err)
			}
			if tok != json.Delim('[') {
				return wrong("the steps are no list")
			}
			for dec.More() {
				var j jsonStep
				if err := dec.Decode(&j); err != nil {
					return fail(err)
				}
				s, err := j.step()
				if err != nil {
					return fail(err)
				}
				steps++
				check.Step(&s)
				if err := each(s); err != nil {
					faults.add(l.line(dec.InputOffset()), "%v", err)
				}
			}
			_, err = dec.Token()
		default:
			return wrong("the key %q is not known: there are format, version, duration_ns, generator, links and steps", key)
		}
		if err != nil {
			return fail(err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return fail(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		_, _ = io.Copy(io.Discard, l) // a read error comes first
		if l.err != nil {
			return fail(l.err)
		}
		return wrong("more follows the tape: one is read")
	}
	if check == nil || steps == 0 {
		return wrong("the tape has no steps")
	}
	if err := check.Finish(); err != nil {
		var fe *trace.FaultsError
		if errors.As(err, &fe) {
			for _, f := range fe.Faults {
				faults.add(0, "%v", f)
			}
			faults.Count += int64(fe.More)
		}
	}
	return meta, faults.err()
}

// List returns the directions of a tape.
func (jsonTape) List(r io.Reader, name string, _ ImportOptions) ([]trace.LinkDir, error) {
	meta, err := readJSONTape(r, name, nil)
	return meta.Directions(), err
}

// Import takes the direction opts.LinkDir of a tape, or its only one, with the
// link's queue.
func (j jsonTape) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	all, err := j.importTape(r, name, []ImportOptions{opts})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (jsonTape) importTape(r io.Reader, name string, each []ImportOptions) ([]*Result, error) {
	p := newDirPicker(each)
	meta, err := readJSONTape(r, name, p.add)
	if err != nil {
		return nil, err
	}
	out, err := p.results(name, meta.Duration, each)
	if err != nil {
		return nil, err
	}
	for i, res := range out {
		for _, l := range meta.Links {
			if l.Name == p.picked(each[i].LinkDir).Link && l.Queue != nil && l.Queue.Kind != "" {
				q := *l.Queue
				res.Queue = &q
			}
		}
	}
	return out, nil
}

// Export writes one direction.
func (j jsonTape) Export(w io.Writer, d Direction, opts ExportOptions) (*Exported, error) {
	return j.ExportTape(w, d.tape(), opts)
}

// ExportTape writes every column of every step, and the links with their
// queues.
func (jsonTape) ExportTape(w io.Writer, t Tape, opts ExportOptions) (*Exported, error) {
	bw := bufio.NewWriterSize(w, 64<<10)
	links, err := json.Marshal(t.Meta.Links)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	generator, err := json.Marshal(t.Meta.Generator)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	duration := int64(t.Meta.Duration) * int64(max(opts.Loops, 1))
	fmt.Fprintf(bw, "{\"format\":%q,\"version\":%d,\"duration_ns\":%d,\"generator\":%s,\n\"links\":%s,\n\"steps\":[", jsonTapeFormat, jsonTapeVersion, duration, generator, links)
	first := true
	var b []byte
	out, err := tapeSteps(t, opts, func(s *trace.Step) error {
		b = b[:0]
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '\n')
		if b, err = appendJSONStep(b, s); err != nil {
			return err
		}
		_, err := bw.Write(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	bw.WriteString("\n]}\n")
	if err := bw.Flush(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return out, nil
}

func appendJSONStep(b []byte, s *trace.Step) ([]byte, error) {
	label, err := json.Marshal(s.Label)
	if err != nil {
		return b, err
	}
	num := func(key string, v int64) { b = strconv.AppendInt(append(b, key...), v, 10) }
	prob := func(key string, p trace.Prob) { b = appendProb(append(b, key...), p) }
	num(`{"t_ns":`, int64(s.At))
	b = append(append(b, `,"link":"`...), s.Link...) // names need no escapes
	b = append(append(append(b, `","dir":"`...), s.Dir.String()...), '"')
	num(`,"rate_bit_s":`, int64(s.Rate))
	num(`,"delay_ns":`, int64(s.Delay))
	num(`,"jitter_ns":`, int64(s.Jitter))
	prob(`,"loss":`, s.Loss)
	prob(`,"ge_p":`, s.GE.P)
	prob(`,"ge_r":`, s.GE.R)
	prob(`,"ge_loss_bad":`, s.GE.LossBad)
	prob(`,"ge_loss_good":`, s.GE.LossGood)
	prob(`,"duplicate":`, s.Duplicate)
	prob(`,"corrupt":`, s.Corrupt)
	prob(`,"reorder":`, s.Reorder)
	b = strconv.AppendBool(append(b, `,"carrier":`...), s.Carrier)
	return append(append(append(b, `,"label":`...), label...), '}'), nil
}
