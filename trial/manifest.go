package trial

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"linktape/trace"
	"linktape/trial/media"
	"linktape/trial/sniff"
)

// Files of a trial's folder.
const (
	ManifestFile = "trial.json"
	TapeFile     = "tape.parquet"
	ReplayDir    = "replay"
	CaptureDir   = "capture"
	LogDir       = "log"
	SourceFile   = "source.parquet"
	SinkFile     = "sink.parquet"
	StackFile    = "stack.parquet"
	CrossFile    = "cross.parquet"
)

// What is left out of figures at a trial's start and end.
const (
	WarmUp   = 2 * time.Second
	CoolDown = 1 * time.Second
)

// Manifest says what was run, and what became of it: the file trial.json.
type Manifest struct {
	Format   int               `json:"format"` // 1
	Name     string            `json:"name,omitempty"`
	Scenario string            `json:"scenario"` // or the tape, for people
	Seed     uint64            `json:"seed"`
	Tape     string            `json:"tape"` // file in the folder
	SHA256   string            `json:"tape_sha256"`
	Stack    string            `json:"stack"`
	Settings map[string]string `json:"settings,omitempty"`
	Sender   []string          `json:"sender,omitempty"`   // command line
	Receiver []string          `json:"receiver,omitempty"` // command line
	Versions map[string]string `json:"versions"`           // linktape, go, kernel, and the stack's programs
	Time     string            `json:"time"`               // virtual or real

	RatesOnly bool `json:"rates_only,omitempty"` // delay, jitter and loss of the tape were left out

	Duration  time.Duration `json:"duration_ns"`
	Rate      trace.BitRate `json:"rate_bit_s"`     // of the source's transport stream
	Datagram  int           `json:"datagram_bytes"` // of the source, payload of UDP
	Buffer    time.Duration `json:"buffer_ns"`      // for recovery
	EpochWall int64         `json:"epoch_wall_ns"`  // CLOCK_REALTIME at the tape's first instant; 0: it did not come
	WarmUp    time.Duration `json:"warm_up_ns"`
	CoolDown  time.Duration `json:"cool_down_ns"`
	Drain     time.Duration `json:"drain_ns"` // after the tape's end, for what is on its way

	Links      []Link      `json:"links"`
	Cross      []Cross     `json:"cross,omitempty"`
	Thresholds []Threshold `json:"thresholds,omitempty"`

	Complete bool                    `json:"complete"` // it was played to the end
	Source   *media.SourceReport     `json:"source,omitempty"`
	Sink     *media.Counts           `json:"sink,omitempty"`
	Captures map[string]sniff.Report `json:"captures,omitempty"` // by file
	Findings []string                `json:"findings,omitempty"` // what a reader should know first
}

// Link is a link of a trial.
type Link struct {
	Name           string `json:"name"`
	SenderAddr     string `json:"sender_addr"`
	ReceiverAddr   string `json:"receiver_addr"`
	ReceiverPorts  []int  `json:"receiver_ports"`
	SenderDevice   string `json:"sender_device"`
	ReceiverDevice string `json:"receiver_device"`
	Shaper         string `json:"shaper"`
	Queue          string `json:"queue"`
	MTU            int    `json:"mtu_bytes"`
}

// manifestFormat is the version of trial.json.
const manifestFormat = 1

// ReadManifest reads what a trial's folder says of itself.
func ReadManifest(dir string) (*Manifest, error) {
	file := filepath.Join(dir, ManifestFile)
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read a trial: %w", err)
	}
	m := new(Manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("read %s: format %d, not %d: use the version of trial that wrote it", file, m.Format, manifestFormat)
	}
	return m, nil
}

// write puts the manifest in place.
func (m *Manifest) write(dir string) error { return writeJSON(filepath.Join(dir, ManifestFile), m) }

// CaptureFile is the capture of a link at an end, in a trial's folder.
func CaptureFile(link string, sender bool) string {
	end := "rcv"
	if sender {
		end = "snd"
	}
	return filepath.Join(CaptureDir, link+"."+end+".pcap")
}
