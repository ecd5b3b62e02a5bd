package table

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

type row struct {
	At   int64   `parquet:"at_ns"`
	Name string  `parquet:"name"`
	Loss float64 `parquet:"loss"`
	On   bool    `parquet:"on"`
}

func TestWriteThenRead(t *testing.T) {
	for _, n := range []int{0, 1, groupRows - 1, groupRows, 2*groupRows + 7} {
		want := make([]row, n)
		var buf bytes.Buffer
		w, err := NewWriter[row](&buf)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			want[i] = row{At: int64(i) * 1e9, Name: []string{"att", "", "é"}[i%3], Loss: float64(i) / 7, On: i%5 == 0}
			if err := w.Write(&want[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "rows.parquet")
		if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile[row](file)
		if err != nil {
			t.Fatalf("%d rows: %v", n, err)
		}
		if len(got) != n || n > 0 && !cmp.Equal(got, want) {
			t.Errorf("%d rows came back as %d others", n, len(got))
		}
		other, err := parquet.Read[row](bytes.NewReader(buf.Bytes()), int64(buf.Len()))
		if err != nil {
			t.Fatalf("%d rows: another reader: %v", n, err)
		}
		if len(other) != n || n > 0 && !cmp.Equal(other, want) {
			t.Errorf("%d rows: another reader sees %d others", n, len(other))
		}
	}
}

// full takes a number of bytes.
type full struct{ left int }

var errFull = errors.New("full")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.left)
	f.left -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// Wherever a disk is full, it is said.
func TestWriteToFullDisk(t *testing.T) {
	write := func(w io.Writer) error {
		tw, err := NewWriter[row](w)
		if err != nil {
			return err
		}
		for i := range groupRows + 10 {
			if err := tw.Write(&row{At: int64(i * i), Name: "att"}); err != nil {
				return err
			}
		}
		return tw.Close()
	}
	var whole bytes.Buffer
	if err := write(&whole); err != nil {
		t.Fatal(err)
	}
	for space := 0; space < whole.Len(); space += 1 + space/7 {
		if err := write(&full{space}); !errors.Is(err, errFull) {
			t.Errorf("%d bytes free of %d: got error %v, want %v", space, whole.Len(), err, errFull)
		}
	}
	if err := write(&full{whole.Len() - 1}); !errors.Is(err, errFull) {
		t.Errorf("all bytes free but one: got error %v, want %v", err, errFull)
	}
}

func TestReadRefuses(t *testing.T) {
	type other struct {
		At int64 `parquet:"at_ms"`
	}
	var buf bytes.Buffer
	w, err := NewWriter[other](&buf)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&other{1}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"other-columns", "1 columns, want 4", buf.Bytes()},
		{"truncated", "read ", buf.Bytes()[:buf.Len()/2]},
		{"empty", "read ", nil},
	} {
		file := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(file, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile[row](file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := NewWriter[struct {
		F float32 `parquet:"f"`
	}](&buf); err == nil {
		t.Error("a field of an unknown kind was accepted")
	}
}
