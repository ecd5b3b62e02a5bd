package trace

import (
	"bytes"
	"testing"
)

// TestCheckFooter has what would make the library allocate or recurse without
// bounds.
func TestCheckFooter(t *testing.T) {
	nested := append(bytes.Repeat([]byte{0x1c}, 100), make([]byte, 101)...) // structs in structs
	for _, tt := range []struct {
		name string
		b    []byte
		want string // the error
	}{
		{"no fields", []byte{0}, ""},
		{"schema of one element", []byte{0x29, 0x1c, 0x55, 0x02, 0, 0}, ""},
		{"2^30 children", []byte{0x29, 0x1c, 0x55, 0x80, 0x80, 0x80, 0x80, 0x08, 0, 0}, "schema element with 1073741824 children"},
		{"negative children", []byte{0x29, 0x1c, 0x55, 0x01, 0, 0}, "schema element with -1 children"},
		{"2000 elements", append([]byte{0x29, 0xfc, 0xd0, 0x0f}, make([]byte, 6000)...), "schema of 2000 elements"},
		{"more elements than bytes", []byte{0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0, 0}, "ends early"},
		{"string longer than the file", []byte{0x68, 0xff, 0xff, 0xff, 0xff, 0x07, 'x'}, "ends early"},
		{"nested", append([]byte{0x9c}, nested...), "damaged"},
		{"map", []byte{0x9b, 0x01, 0x55, 0x01, 0x01, 0}, "damaged"},
		{"endless number", bytes.Repeat([]byte{0xff}, 20), "damaged"},
		{"nothing", nil, "ends early"},
	} {
		got := ""
		if err := checkFooter(tt.b); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestPageChecks has pages that would make the library's decoders loop, panic
// or allocate.
func TestPageChecks(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"run", checkRuns([]byte{16, 1}, 1, 8), ""},
		{"packed", checkRuns([]byte{3, 0xff, 0xff}, 2, 8), ""},
		{"run too short", checkRuns([]byte{14, 1}, 1, 8), "run damaged"},
		{"run of length 0", checkRuns([]byte{0, 1, 0, 1}, 1, 8), "run damaged"},
		{"packed too short", checkRuns([]byte{3, 0xff}, 2, 8), "page too short"},
		{"wide", checkRuns([]byte{16, 1}, 33, 8), "values of 33 bits"},
		{"delta", checkDelta([]byte{0x80, 1, 4, 5}, 5), ""},
		{"delta with empty blocks", checkDelta([]byte{0, 4, 5}, 5), "block size damaged"},
		{"delta without miniblocks", checkDelta([]byte{0x80, 1, 0, 5}, 5), "block size damaged"},
		{"delta with huge blocks", checkDelta([]byte{0x80, 0x80, 0x80, 0x80, 1, 1, 5}, 5), "block size damaged"},
		{"delta with other values", checkDelta([]byte{0x80, 1, 4, 6}, 5), "6 values where 5 were announced"},
		{"delta cut", checkDelta([]byte{0x80}, 5), "page too short"},
	} {
		got := ""
		if tt.err != nil {
			got = tt.err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRunReader(t *testing.T) {
	// 10 times 5, then 16 packed values of 3 bits: 0 to 7 twice, then 3 times 1.
	data := []byte{20, 5, 5, 0x88, 0xc6, 0xfa, 0x88, 0xc6, 0xfa, 6, 1}
	if err := checkRuns(data, 3, 29); err != nil {
		t.Fatal(err)
	}
	want := []uint32{5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 1, 1, 1}
	for size := 1; size <= len(want); size++ {
		r := runReader{data: data, width: 3}
		got := make([]uint32, len(want))
		for i := 0; i < len(got); i += size {
			r.read(got[i:min(i+size, len(got))])
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("in pieces of %d: got %v, want %v", size, got, want)
			}
		}
	}
}
