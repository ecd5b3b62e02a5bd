package cli

import (
	"bytes"
	"slices"
	"testing"
)

func TestParseKeys(t *testing.T) {
	for in, want := range map[string][]string{
		"":                         nil,
		"p q":                      {"p", " ", "q"},
		"\x1b[A\x1b[B\x1bOC\x1b[D": {"up", "down", "right", "left"},
		"a\x1b[1;5Cb\x1b[3~c":      {"a", "b", "c"},
		"\x1b":                     nil,
		"\x1b[":                    nil,
		"\x1bx":                    {"x"},
	} {
		if got := ParseKeys([]byte(in)); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestKeysWithoutTerminal(t *testing.T) {
	k := OpenKeys(new(bytes.Buffer))
	if k != nil {
		t.Error("reads keys from a buffer")
	}
	k.Close()
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("a\x1b[1;5C"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range ParseKeys(b) {
			if k == "" || k == "\x1b" {
				t.Errorf("%q: got the key %q", b, k)
			}
		}
	})
}
