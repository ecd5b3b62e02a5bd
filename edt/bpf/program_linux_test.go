package bpf

import (
	"testing"
	"unsafe"

	"linktape/internal/privtest"
)

// The verifier takes the program, with rings of every size, and it can be opened by
// its number with what it shares.
func TestLoad(t *testing.T) {
	privtest.Require(t, "root", "bpf")
	for _, steps := range []int{MinSteps, DefaultSteps, MaxSteps} {
		p, err := Load(steps)
		if err != nil {
			t.Fatalf("%d steps: %+v", steps, err)
		}
		id, ok := func() (uint32, bool) {
			info, err := p.prog.Info()
			if err != nil {
				t.Fatal(err)
			}
			id, ok := info.ID()
			return uint32(id), ok
		}()
		if !ok {
			t.Fatal("the program has no number")
		}
		same, err := Open(id)
		if err != nil {
			t.Fatal(err)
		}
		if same.Steps() != steps {
			t.Errorf("opened: %d steps, want %d", same.Steps(), steps)
		}
		for _, c := range []*Program{p, same} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestLayout(t *testing.T) {
	if headBytes != 64 || stepBytes != 80 {
		t.Errorf("head of %d bytes, step of %d: edt.c has 64 and 80", headBytes, stepBytes)
	}
	if n := unsafe.Sizeof(link{}); n != 520 {
		t.Errorf("link of %d bytes: edt.c has 520", n)
	}
}
