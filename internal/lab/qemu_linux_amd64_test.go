package lab

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

// An input arrives as it was sent, and its end with it, although the stream
// stays open.
func TestFrames(t *testing.T) {
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		sent := strings.Repeat("x\x00yz", size)[:size]
		go feedFrames(w, strings.NewReader(sent))
		var got bytes.Buffer
		if err := readFrames(r, &got); err != nil || got.String() != sent {
			t.Errorf("%d bytes: got %d, %v", size, got.Len(), err)
		}
	}
	if err := readFrames(strings.NewReader("\x05\x00\x00\x00abc"), io.Discard); err == nil {
		t.Error("a frame that breaks off: got no error")
	}
}
