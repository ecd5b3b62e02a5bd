package bare_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"linktape/internal/bare"
	"linktape/trace"
)

// All that comes before the footer is what a tape of the same steps has: the
// comparison in benchmarks is one of equals.
func TestSameBytes(t *testing.T) {
	for name, label := range map[string]func(i int) string{
		"three labels":          func(i int) string { return []string{"good", "bad", ""}[i%3] },
		"a label for each step": func(i int) string { return fmt.Sprintf("%06d", i*7919%1000003) },
		"no label":              func(int) string { return "" },
	} {
		t.Run(name, func(t *testing.T) { compare(t, label) })
	}
}

func compare(t *testing.T, label func(i int) string) {
	meta := trace.Meta{Duration: time.Hour, Links: []trace.Link{{Name: "a", Up: true, Down: true}}}
	var tape, plain bytes.Buffer
	tw, err := trace.NewWriter(&tape, meta)
	if err != nil {
		t.Fatal(err)
	}
	w, rows := bare.NewWriter(&plain), &bare.Rows{}
	for i := range bare.GroupRows + 1000 {
		s := trace.Step{At: time.Duration(i/2) * time.Millisecond, Link: "a", Dir: trace.Direction(i % 2)}
		s.Rate, s.Delay, s.Jitter, s.Carrier = trace.BitRate(i*7919%1000003), time.Duration(i*31%977), time.Duration(i%5), i%100 != 0
		s.GE = trace.GE{P: 0.01, R: trace.Prob(i%7) / 7, LossBad: 1, LossGood: 0.001}
		s.Duplicate, s.Corrupt, s.Reorder, s.Label = 0.1, 0.2, trace.Prob(i%3)/3, label(i)
		if i%2 == 0 {
			s.GE, s.Loss = trace.GE{}, 0.5
		}
		if err := tw.Write([]trace.Step{s}); err != nil {
			t.Fatal(err)
		}
		rows.Add(&s)
		if rows.Len() == bare.GroupRows {
			if err := w.Write(rows); err != nil {
				t.Fatal(err)
			}
			rows.Reset()
		}
	}
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	// A file ends in its footer, the footer's length and 4 letters.
	data := func(b []byte) []byte {
		return b[:len(b)-8-int(binary.LittleEndian.Uint32(b[len(b)-8:]))]
	}
	if got, want := data(plain.Bytes()), data(tape.Bytes()); !bytes.Equal(got, want) {
		t.Errorf("%d bytes differ from the tape's %d", len(got), len(want))
	}
}
