package trace

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/google/go-cmp/cmp"
)

// fuzzSeeds are small tapes: ours, and uncompressed ones, in which a changed
// byte reaches the decoders.
func fuzzSeeds(t testing.TB) map[string][]byte {
	tl := twoLinks()
	edited := twoLinks()
	edited.Meta.Edit = &Edit{Operation: "cut", Arguments: []string{"from 1s"}, Inputs: []Origin{
		{File: "a.tape", SHA256: strings.Repeat("0a", 32), Duration: time.Second, Edit: &Edit{Operation: "merge", Inputs: []Origin{
			{File: "b.tape", SHA256: strings.Repeat("1b", 32), Duration: time.Second, Sources: tl.Meta.Sources},
		}}},
	}}
	plain := []parquet.WriterProperty{parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("t_ns", parquet.Encodings.DeltaBinaryPacked)}
	return map[string][]byte{
		"ours":         writeTape(t, tl, 0),
		"edited":       writeTape(t, edited, 0),
		"groups":       writeTape(t, testTimeline(2, 5*time.Second, time.Second), 4),
		"plain":        otherWriter(t, tl, plain...),
		"dictionaries": otherWriter(t, tl, parquet.WithDictionaryDefault(true)),
		"pages-2":      otherWriter(t, tl, append(plain, parquet.WithDataPageVersion(parquet.DataPageV2))...),
		"empty":        nil,
	}
}

// TestFuzzCorpus keeps the committed corpus in step with the format.
func TestFuzzCorpus(t *testing.T) {
	for name, b := range fuzzSeeds(t) {
		golden(t, filepath.Join("fuzz", "FuzzReader", name), fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", b))
	}
}

func FuzzReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if rd, err := NewReader(bytes.NewReader(b), int64(len(b))); err == nil {
			if _, err := rd.Seek(rd.Meta().Duration / 2); err == nil {
				var s [16]Step
				for err == nil {
					_, err = rd.Read(s[:])
				}
			}
			rd.Close()
		}
		want, err := readTape(b)
		if err != nil {
			return
		}
		got, err := readTape(writeTape(t, want, 0))
		if err != nil {
			t.Fatal(err)
		}
		for i := range want.Steps { // −0 is written as 0; cmp holds them equal
			if want.Steps[i] != got.Steps[i] {
				t.Fatalf("step %d got %v, want %v", i, got.Steps[i], want.Steps[i])
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		memoryChild(job)
		return
	}
	os.Exit(m.Run())
}
