package suite

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"linktape/internal/conf"
	"linktape/synth"
	"linktape/trace"
	"linktape/trace/suggest"
	"linktape/trial"
	"linktape/trial/metrics"
)

// Case is a trial that is run with several seeds.
type Case struct {
	Name        string
	Description string
	Path        string // of the file; "": of the library
	Data        []byte // the trial file; of a tape: nil
	Trial       *trial.File
	Tape        bool // it plays a tape, so that a seed changes nothing: it is run once
	Source      string
	Sum         string // SHA-256 of the scenario, or of the tape's steps
	Links       []string
	Duration    time.Duration
}

// newTape is the case of a tape without a trial file.
func newTape(path string) (*Case, error) {
	c := &Case{Path: path, Name: baseName(path), Description: "a tape", Tape: true, Source: path}
	if err := trace.CheckName(c.Name); err != nil {
		return nil, fmt.Errorf("%s: a case is named after its file: %w", path, err)
	}
	var err error
	if c.Trial, err = trial.Open(path); err != nil {
		return nil, err
	}
	return c, c.tape(path)
}

func baseName(path string) string {
	return strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
}

// newCase makes a case of a trial file or of a scenario.
func newCase(label, path string, data []byte, dir string) (*Case, error) {
	doc, err := conf.Parse(label, data)
	if err != nil {
		return nil, err
	}
	if !doc.Root().IsMap() {
		return nil, fmt.Errorf("%s: neither a trial nor a scenario", label)
	}
	c := &Case{Path: path, Data: data}
	m := doc.Root().Map()
	if _, ok := m.Get("trial"); !ok { // a scenario
		if c.Trial, err = trial.Open(path); err != nil {
			return nil, err
		}
		c.Name, c.Source = baseName(label), path
		if err := trace.CheckName(c.Name); err != nil {
			return nil, fmt.Errorf("%s: a case is named after its file: %w", path, err)
		}
		return c, c.scenario(label, data)
	}
	f, faults := trial.Parse(label, data, dir)
	if f == nil {
		return nil, faults
	}
	c.Trial, c.Name, c.Source = f, f.Name, f.Source
	source, text, tape, err := trial.Read(c.Source)
	switch {
	case err != nil:
		err = fmt.Errorf("%s: %w", label, err)
	case tape:
		err = c.tape(c.Source)
	default:
		err = c.scenario(source, text)
	}
	if err != nil {
		if faults != nil { // what is played may be one of them
			err = faults
		}
		return nil, err
	}
	if n, ok := m.Get("thresholds"); ok {
		n.Map().Each(func(key, _ conf.Node) {
			if _, link := metrics.SplitName(key.String()); link != "" && !slices.Contains(c.Links, link) {
				key.Errorf("no link %s: %s", link, suggest.Among(link, c.Links))
			}
		})
	}
	if err := errors.Join(faults, doc.Err()); err != nil {
		return nil, err
	}
	return c, nil
}

// scenario fills in what a case's scenario says.
func (c *Case) scenario(name string, data []byte) error {
	sc, err := synth.Parse(name, data, synth.Options{Set: c.Trial.Set, Duration: c.Trial.Duration})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	c.Sum = hex.EncodeToString(sum[:])
	c.Description = strings.Join(strings.Fields(sc.Description()), " ")
	c.meta(sc.Meta())
	return nil
}

// tape fills in what a case's tape says.
func (c *Case) tape(file string) error {
	r, err := trace.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	c.Tape, c.Sum, c.Description = true, r.SHA256(), "the tape "+filepath.Base(file)
	c.meta(r.Meta())
	return nil
}

func (c *Case) meta(m trace.Meta) {
	c.Duration = m.Duration
	if d := c.Trial.Duration; d > 0 {
		c.Duration = d
	}
	for _, l := range m.Links {
		if len(c.Trial.Links) == 0 || slices.Contains(c.Trial.Links, l.Name) {
			c.Links = append(c.Links, l.Name)
		}
	}
}
