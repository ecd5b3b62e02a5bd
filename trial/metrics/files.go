package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Files of a trial's folder that are read here.
const (
	trialFile  = "trial.json"
	replayDir  = "replay"
	captureDir = "capture"
	sourceFile = "source.parquet"
	sinkFile   = "sink.parquet"
	stackFile  = "stack.parquet"
)

// info is what is read of trial.json.
type info struct {
	Scenario string        `json:"scenario"`
	Seed     uint64        `json:"seed"`
	SHA256   string        `json:"tape_sha256"`
	Stack    string        `json:"stack"`
	Duration time.Duration `json:"duration_ns"`
	Rate     int64         `json:"rate_bit_s"`
	Datagram int           `json:"datagram_bytes"`
	Buffer   time.Duration `json:"buffer_ns"`
	Epoch    int64         `json:"epoch_wall_ns"`
	WarmUp   time.Duration `json:"warm_up_ns"`
	CoolDown time.Duration `json:"cool_down_ns"`
	Links    []infoLink    `json:"links"`
	Cross    []struct {
		Link string `json:"link"`
		Dir  string `json:"dir"`
	} `json:"cross"`
	Captures map[string]struct {
		Drops int64 `json:"drops"`
	} `json:"captures"` // by file
}

type infoLink struct {
	Name         string `json:"name"`
	SenderAddr   string `json:"sender_addr"`
	ReceiverAddr string `json:"receiver_addr"`
	Ports        []int  `json:"receiver_ports"`
}

// readInfo reads what a trial's folder says of itself.
func readInfo(dir string) (*info, error) {
	file := filepath.Join(dir, trialFile)
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not the folder of a trial; trial run --out DIR writes one", err, dir)
	}
	if err != nil {
		return nil, err
	}
	t := new(info)
	if err := json.Unmarshal(data, t); err != nil {
		return nil, fmt.Errorf("read %s: %w; run the trial again", file, err)
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: "+format, append([]any{file}, args...)...))
	}
	if t.Epoch <= 0 {
		fault("epoch_wall_ns is %d: the tape was not played, so that there is nothing to measure; see the trial's log", t.Epoch)
	}
	if t.Duration <= 0 {
		fault("duration_ns is %d: not above 0", t.Duration)
	}
	if t.WarmUp < 0 || t.CoolDown < 0 || t.Buffer < 0 || t.Datagram < 0 {
		fault("warm_up_ns, cool_down_ns, buffer_ns and datagram_bytes are not below 0")
	}
	if t.Duration > 0 && t.WarmUp+t.CoolDown >= t.Duration {
		fault("a trial of %v with %v left out at its start and %v at its end has nothing left to measure; play more of the tape", t.Duration, t.WarmUp, t.CoolDown)
	}
	if len(t.Links) == 0 {
		fault("no links")
	}
	seen := make(map[string]bool)
	for i, l := range t.Links {
		if l.Name == "" || seen[l.Name] {
			fault("link %d: name %q is empty or given twice", i+1, l.Name)
		}
		seen[l.Name] = true
		for _, a := range []string{l.SenderAddr, l.ReceiverAddr} {
			if _, err := netip.ParseAddr(a); a != "" && err != nil {
				fault("link %s: %v", l.Name, err)
			}
		}
		if l.SenderAddr == "" && l.ReceiverAddr == "" {
			fault("link %s: neither sender_addr nor receiver_addr, so that the packets' direction is not known", l.Name)
		}
	}
	return t, errors.Join(faults...)
}
