package table

import (
	"path/filepath"
	"testing"
)

// BenchmarkWrite compares a file that outlives its writer with a plain one.
func BenchmarkWrite(b *testing.B) {
	r := numbered(5)
	b.Run("journal", func(b *testing.B) {
		f, err := Create[row](filepath.Join(b.TempDir(), "x.parquet"))
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			if err := f.Write(&r); err != nil {
				b.Fatal(err)
			}
			if i%1600 == 0 {
				if err := f.Flush(); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("stream", func(b *testing.B) {
		w, err := NewWriter[row](discard{})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := w.Write(&r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
