package trace

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
	"github.com/google/go-cmp/cmp"
	pq "github.com/parquet-go/parquet-go"
)

// TestOtherReader opens a tape with another Parquet implementation.
func TestOtherReader(t *testing.T) {
	tl := testTimeline(4, 30*time.Second, 10*time.Millisecond)
	b := writeTape(t, tl, 3000)
	f, err := pq.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.golden", f.Schema().String()+"\n")
	if got := f.Metadata().CreatedBy; got != createdBy {
		t.Errorf("created_by got %q, want %q", got, createdBy)
	}
	if kv := f.Metadata().KeyValueMetadata; len(kv) != 1 || kv[0].Key != "linktape" {
		t.Errorf("key-value metadata got %v, want one key linktape", kv)
	}
	for _, g := range f.Metadata().RowGroups {
		for _, c := range g.Columns {
			name := strings.Join(c.MetaData.PathInSchema, ".")
			want := "[PLAIN RLE]"
			switch name {
			case "t_ns":
				want = "[DELTA_BINARY_PACKED RLE]"
			case "link", "dir", "label":
				want = "[RLE_DICTIONARY PLAIN RLE]"
			}
			if got := fmt.Sprint(c.MetaData.Encoding); got != want {
				t.Fatalf("column %s: encodings got %s, want %s", name, got, want)
			}
			if got := c.MetaData.Codec.String(); got != "ZSTD" {
				t.Fatalf("column %s: compression got %s, want ZSTD", name, got)
			}
		}
	}
	type row struct {
		At         int64   `parquet:"t_ns"`
		Link       string  `parquet:"link"`
		Dir        string  `parquet:"dir"`
		Rate       int64   `parquet:"rate_bit_s"`
		Delay      int64   `parquet:"delay_ns"`
		Jitter     int64   `parquet:"jitter_ns"`
		Loss       float64 `parquet:"loss"`
		GEP        float64 `parquet:"ge_p"`
		GER        float64 `parquet:"ge_r"`
		GELossBad  float64 `parquet:"ge_loss_bad"`
		GELossGood float64 `parquet:"ge_loss_good"`
		Duplicate  float64 `parquet:"duplicate"`
		Corrupt    float64 `parquet:"corrupt"`
		Reorder    float64 `parquet:"reorder"`
		Carrier    bool    `parquet:"carrier"`
		Label      string  `parquet:"label"`
	}
	rows, err := pq.Read[row](bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var got []Step
	for _, r := range rows {
		dir, err := ParseDirection(r.Dir)
		if err != nil {
			t.Fatal(err)
		}
		p := func(v float64) Prob { return Prob(v) }
		got = append(got, Step{time.Duration(r.At), r.Link, dir, State{
			BitRate(r.Rate), time.Duration(r.Delay), time.Duration(r.Jitter), p(r.Loss),
			GE{p(r.GEP), p(r.GER), p(r.GELossBad), p(r.GELossGood)},
			p(r.Duplicate), p(r.Corrupt), p(r.Reorder), r.Carrier, r.Label,
		}})
	}
	if d := diffSteps(tl.Steps, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestBytes fixes the bytes of the format: they are the same in every run and
// for any number of threads, and change only with FormatVersion or the
// compression library.
func TestBytes(t *testing.T) {
	tl := testTimeline(4, 20*time.Second, 10*time.Millisecond)
	for i := range tl.Steps {
		tl.Steps[i].Label = strconv.Itoa(i % 3000) // a large dictionary
	}
	want := writeTape(t, tl, 3000)
	for _, procs := range []int{1, 2} {
		func() {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			for range 3 {
				if got := writeTape(t, tl, 3000); !bytes.Equal(got, want) {
					t.Errorf("GOMAXPROCS %d: other bytes", procs)
				}
			}
		}()
	}
	sum := sha256.Sum256(want)
	golden(t, "bytes.golden", hex.EncodeToString(sum[:])+"\n")
}

func TestWriterFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tape")
	tl := twoLinks()
	tl.Steps[1].Loss, tl.Steps[5].Rate = 2, -1
	want := "att.up at 0s: loss 2: outside 0 to 1\natt.down at 9s: rate -1: outside 0 to 10000Gbit"
	if err := WriteFile(path, tl); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	w, err := Create(path, tl.Meta)
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	w.Abort()
	if err := w.Close(); err == nil {
		t.Error("Close after Abort succeeded")
	}
	if err := w.Write(tl.Steps); err == nil {
		t.Error("Write after Abort succeeded")
	}
	if _, err := Create(path, Meta{}); err == nil {
		t.Error("Create without metadata succeeded")
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}

	// Early return once the list is full.
	w, err = NewWriter(io.Discard, tl.Meta)
	if err != nil {
		t.Fatal(err)
	}
	var f *FaultsError
	for range 200 {
		if err = w.Write(tl.Steps[5:]); err != nil {
			break
		}
	}
	if !errors.As(err, &f) || len(f.Faults) < MaxFaults {
		t.Errorf("Write got %v, want %d faults", err, MaxFaults)
	}
	if got := w.Close(); got != err {
		t.Errorf("Close got %v, want %v", got, err)
	}
}

func TestWriterReplaces(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "a.tape"), filepath.Join(dir, "link.tape")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.tape", link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if err := WriteFile(link, twoLinks()); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err != nil {
		t.Error(err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link got replaced: %v %v", fi, err)
	}
	if err := WriteFile(dir, twoLinks()); err == nil {
		t.Error("a directory was overwritten")
	}
	if err := WriteFile(filepath.Join(dir, "none", "a.tape"), twoLinks()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}

var errDiskFull = errors.New("disk full")

// failAfter fails once n bytes were written.
type failAfter struct{ n int }

func (f *failAfter) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, errDiskFull
	}
	return len(b), nil
}

func TestWriteError(t *testing.T) {
	tl := testTimeline(3, 10*time.Second, 10*time.Millisecond)
	size := len(writeTape(t, tl, 500))
	for n := 0; n < size; n += 9973 {
		w, err := NewWriter(&failAfter{n}, tl.Meta)
		if err != nil {
			t.Fatal(err)
		}
		w.group = 500
		if err = w.Write(tl.Steps); err == nil {
			err = w.Close()
		}
		if !errors.Is(err, errDiskFull) {
			t.Fatalf("full after %d of %d bytes: got %v", n, size, err)
		}
	}
}

// atOrBefore returns what Seek should: each direction's last step up to t, and
// the index of the first step after t.
func atOrBefore(tl *Timeline, at time.Duration) (state []Step, next int) {
	for _, ld := range tl.Meta.Directions() {
		for i := len(tl.Steps) - 1; i >= 0; i-- {
			if s := tl.Steps[i]; s.At <= at && s.LinkDir() == ld {
				state = append(state, s)
				break
			}
		}
	}
	for next < len(tl.Steps) && tl.Steps[next].At <= at {
		next++
	}
	return state, next
}

func TestSeek(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, tt := range []struct{ links, group int }{{1, 1}, {1, 0}, {3, 1}, {3, 7}, {5, 64}, {5, 0}, {6, 9000}} {
		t.Run(fmt.Sprintf("%d links, groups of %d", tt.links, tt.group), func(t *testing.T) {
			interval := 100 * time.Millisecond
			if tt.group == 9000 {
				interval = time.Millisecond
			}
			tl := testTimeline(tt.links, 20*time.Second, interval)
			b := writeTape(t, tl, tt.group)
			rd, err := NewReader(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			defer rd.Close()
			for i, g := range rd.groups {
				if !g.known {
					t.Fatalf("row group %d without statistics", i)
				}
			}
			times := []time.Duration{0, 1, interval - 1, interval, interval + 1, tl.Meta.Duration - 1, tl.Steps[len(tl.Steps)-1].At}
			for range 15 {
				times = append(times, time.Duration(r.Int64N(int64(tl.Meta.Duration))))
			}
			for range 5 {
				times = append(times, tl.Steps[r.IntN(len(tl.Steps))].At)
			}
			for _, at := range times {
				got, err := rd.Seek(at)
				if err != nil {
					t.Fatalf("Seek(%v): %v", at, err)
				}
				want, next := atOrBefore(tl, at)
				if d := diffSteps(want, got); d != "" {
					t.Fatalf("Seek(%v) (-want +got):\n%s", at, d)
				}
				// Sometimes to the end, sometimes a part, always in odd pieces.
				rest := tl.Steps[next:]
				if r.IntN(3) > 0 {
					rest = rest[:min(len(rest), r.IntN(200))]
				}
				var buf [61]Step
				for len(rest) > 0 {
					n, err := rd.Read(buf[:min(len(buf), len(rest))])
					if err != nil {
						t.Fatalf("Read after Seek(%v): %v", at, err)
					}
					if d := diffSteps(rest[:n], buf[:n]); d != "" {
						t.Fatalf("Read after Seek(%v) (-want +got):\n%s", at, d)
					}
					rest = rest[n:]
				}
			}
			for _, at := range []time.Duration{-1, tl.Meta.Duration, math.MaxInt64} {
				if _, err := rd.Seek(at); err == nil {
					t.Errorf("Seek(%v) succeeded", at)
				}
			}
			if _, err := rd.Seek(tl.Meta.Duration - 1); err != nil {
				t.Error(err)
			}
			if n, err := rd.Read(make([]Step, 1)); n != 0 || err != io.EOF {
				t.Errorf("at the end got %d, %v, want EOF", n, err)
			}
			if _, err := rd.Seek(0); err != nil {
				t.Errorf("Seek after the end: %v", err)
			}
		})
	}
}

func TestReaderAllocations(t *testing.T) {
	tl := testTimeline(3, 100*time.Second, time.Millisecond)
	b := writeTape(t, tl, 0)
	rd, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	steps := make([]Step, 1000)
	rd.Read(steps)
	n := testing.AllocsPerRun(100, func() {
		if _, err := rd.Read(steps); err != nil {
			t.Fatal(err)
		}
	})
	if n > 10 {
		t.Errorf("got %v allocations for 1000 rows, want at most 10", n)
	}
}

// TestDamaged flips bits and cuts the end off. What is still accepted must
// have the right checksum.
func TestDamaged(t *testing.T) {
	tl := testTimeline(3, 20*time.Second, 100*time.Millisecond)
	for name, b := range map[string][]byte{
		"ours":                writeTape(t, tl, 300),
		"without compression": otherWriter(t, tl, parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("t_ns", parquet.Encodings.DeltaBinaryPacked)),
		"with dictionaries":   otherWriter(t, tl, parquet.WithDictionaryDefault(true)),
	} {
		t.Run(name, func(t *testing.T) { testDamaged(t, b, tl.Hash()) })
	}
}

func testDamaged(t *testing.T, b []byte, want string) {
	r := rand.New(rand.NewPCG(7, 8))
	footer := len(b) - 8 - int(uint32(b[len(b)-8])|uint32(b[len(b)-7])<<8)
	cases := 3000
	if testing.Short() {
		cases = 200
	}
	accepted := 0
	for i := range cases {
		d := slices.Clone(b)
		what := ""
		switch i % 4 {
		case 0:
			n := r.IntN(len(d))
			d, what = d[:n], fmt.Sprintf("cut to %d bytes", n)
		case 1: // half of the flips in the footer
			p, bit := footer+r.IntN(len(d)-footer), r.IntN(8)
			d[p] ^= 1 << bit
			what = fmt.Sprintf("byte %d, bit %d", p, bit)
		case 2:
			p, v := r.IntN(len(d)), byte(r.Uint32())
			d[p] = v
			what = fmt.Sprintf("byte %d set to %d", p, v)
		case 3:
			p, bit := r.IntN(len(d)), r.IntN(8)
			d[p] ^= 1 << bit
			what = fmt.Sprintf("byte %d, bit %d", p, bit)
		}
		if readAny(t, what, d, want) {
			accepted++
		}
	}
	t.Logf("%d bytes, %d cases, %d accepted with the right checksum", len(b), cases, accepted)
}

// readAny reads and seeks in any bytes and reports whether they are a tape.
func readAny(t *testing.T, what string, b []byte, want string) bool {
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("%s: panic: %v", what, r)
		}
	}()
	if rd, err := NewReader(bytes.NewReader(b), int64(len(b))); err == nil {
		if _, err := rd.Seek(rd.Meta().Duration / 2); err == nil {
			var s [100]Step
			for err == nil {
				_, err = rd.Read(s[:])
			}
		}
		rd.Close()
	}
	got, err := readTape(b)
	if err != nil {
		return false
	}
	if err := got.Check(); err != nil {
		t.Errorf("%s: accepted with %v", what, err)
	}
	if h := got.Hash(); h != want && want != "" {
		// Only the duration is outside the rows.
		t.Errorf("%s: accepted with hash %s, want %s", what, h, want)
	}
	return true
}

// writeForeign writes a Parquet file of one row with other columns.
func writeForeign(t *testing.T, fields schema.FieldList, meta string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := file.NewParquetWriter(&b, schema.MustGroup(schema.NewGroupNode("x", parquet.Repetitions.Required, fields, -1)))
	if meta != "" {
		w.AppendKeyValueMetadata(metadataKey, meta)
	}
	if err := w.FlushWithFooter(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestForeign(t *testing.T) {
	fields := func(edit func(name string, rep *parquet.Repetition, kind *parquet.Type) bool) (out schema.FieldList) {
		for _, c := range columns() {
			rep, kind := parquet.Repetitions.Required, c.kind
			if edit(c.name, &rep, &kind) {
				out = append(out, schema.MustPrimitive(schema.NewPrimitiveNode(c.name, rep, kind, -1, -1)))
			}
		}
		return out
	}
	all := func(string, *parquet.Repetition, *parquet.Type) bool { return true }
	doc := `{"format":1,"duration_ns":1000,"links":[{"name":"a","up":true}],"rows":0}`
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "not a tape: no Parquet file"},
		{"text", []byte("time,rate\n0,1\n1,2\n"), "not a tape: no Parquet file"},
		{"cut", []byte("PAR1 and so on and so on"), "damaged tape: the end of the Parquet file is missing; copy it again"},
		{"no metadata", writeForeign(t, fields(all), ""), `not a tape: a Parquet file without the metadata key "linktape"; make a tape with tracegen import`},
		{"other version", writeForeign(t, fields(all), `{"format":2}`), "tape format 2: this version of Linktape reads format 1"},
		{"metadata damaged", writeForeign(t, fields(all), `{`), `metadata "linktape": unexpected end of JSON input`},
		{"metadata invalid", writeForeign(t, fields(all), `{"format":1}`), "duration 0s: not above 0\nlinks: none with a direction"},
		{"no rows", writeForeign(t, fields(all), doc), "a.up at 0s: step: missing: every direction needs a step at instant 0"},
		{"nullable", writeForeign(t, fields(func(name string, rep *parquet.Repetition, _ *parquet.Type) bool {
			if name == "loss" || name == "label" {
				*rep = parquet.Repetitions.Optional
			}
			return true
		}), doc), `column loss: nullable: write it as required (pyarrow: pa.field("loss", …, nullable=False))
column label: nullable: write it as required (pyarrow: pa.field("label", …, nullable=False))`},
		{"columns", writeForeign(t, append(fields(func(name string, rep *parquet.Repetition, kind *parquet.Type) bool {
			switch name {
			case "t_ns":
				*kind = parquet.Types.Double
			case "ge_p":
				*rep = parquet.Repetitions.Repeated
			}
			return name != "carrier"
		}), schema.MustPrimitive(schema.NewPrimitiveNode("more", parquet.Repetitions.Required, parquet.Types.Int32, -1, -1))), doc),
			`column t_ns: type DOUBLE: write it as INT64
column ge_p: repeated: write one value a row
column carrier: missing
column more: unknown: remove it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readTape(tt.file)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

// otherWriter writes a tape as another program might: other column order,
// encodings and compression, no statistics.
func otherWriter(t testing.TB, tl *Timeline, props ...parquet.WriterProperty) []byte {
	t.Helper()
	var buf writeBuffer
	for i := range tl.Steps {
		buf.add(&tl.Steps[i])
	}
	doc := document{
		Format: 1, Duration: int64(tl.Meta.Duration), Generator: tl.Meta.Generator, Seed: tl.Meta.Seed, Scenario: tl.Meta.Scenario,
		Sources: tl.Meta.Sources, Links: tl.Meta.Links, Rows: int64(len(tl.Steps)), SHA256: tl.Hash(),
	}
	text, err := doc.marshal()
	if err != nil {
		t.Fatal(err)
	}
	cols := columns()
	slices.Reverse(cols[:])
	var fields schema.FieldList
	for _, c := range cols {
		fields = append(fields, schema.MustPrimitive(schema.NewPrimitiveNode(c.name, parquet.Repetitions.Required, c.kind, -1, -1)))
	}
	var b bytes.Buffer
	pw := file.NewParquetWriter(&b, schema.MustGroup(schema.NewGroupNode("x", parquet.Repetitions.Required, fields, -1)),
		file.WithWriterProps(parquet.NewWriterProperties(append(props, parquet.WithStats(false))...)))
	for begin := 0; begin < len(tl.Steps); begin += 500 {
		end := min(begin+500, len(tl.Steps))
		rg := pw.AppendRowGroup()
		for _, c := range cols {
			cw, err := rg.NextColumn()
			if err != nil {
				t.Fatal(err)
			}
			switch cw := cw.(type) {
			case *file.Int64ColumnChunkWriter:
				_, err = cw.WriteBatch(buf.ints[c.slot][begin:end], nil, nil)
			case *file.Float64ColumnChunkWriter:
				_, err = cw.WriteBatch(buf.doubles[c.slot][begin:end], nil, nil)
			case *file.BooleanColumnChunkWriter:
				_, err = cw.WriteBatch(buf.carrier[begin:end], nil, nil)
			case *file.ByteArrayColumnChunkWriter:
				var part []parquet.ByteArray
				for _, id := range buf.strings[c.slot].ids[begin:end] {
					part = append(part, buf.strings[c.slot].table[id])
				}
				_, err = cw.WriteBatch(part, nil, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := rg.Close(); err != nil {
			t.Fatal(err)
		}
	}
	pw.AppendKeyValueMetadata(metadataKey, text)
	if err := pw.FlushWithFooter(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOtherWriter(t *testing.T) {
	tl := testTimeline(3, 10*time.Second, 10*time.Millisecond)
	for name, props := range map[string][]parquet.WriterProperty{
		"plain":                 {parquet.WithDictionaryDefault(false)},
		"dictionary and snappy": {parquet.WithDictionaryDefault(true), parquet.WithCompression(compress.Codecs.Snappy)},
		"delta":                 {parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("rate_bit_s", parquet.Encodings.DeltaBinaryPacked)},
		"run-length booleans":   {parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("carrier", parquet.Encodings.RLE)},
		"version 2 pages":       {parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDataPageSize(1000)},
	} {
		t.Run(name, func(t *testing.T) {
			b := otherWriter(t, tl, props...)
			got, err := readTape(b)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tl, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			rd, err := NewReader(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			defer rd.Close()
			state, err := rd.Seek(7 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := atOrBefore(tl, 7*time.Second)
			if d := cmp.Diff(want, state); d != "" {
				t.Errorf("Seek (-want +got):\n%s", d)
			}
		})
	}
	b := otherWriter(t, tl, parquet.WithCompression(compress.Codecs.Gzip))
	if _, err := readTape(b); err == nil || !strings.Contains(err.Error(), "GZIP is not supported: write the file with zstd or snappy") {
		t.Errorf("gzip: got %v", err)
	}
}

// TestReadFaults reads a tape whose steps break the rules although the file is
// in order: all faults together.
func TestReadFaults(t *testing.T) {
	tl := twoLinks()
	tl.Steps[1].Loss, tl.Steps[5].Rate = 2, -1
	var b bytes.Buffer
	w, err := NewWriter(&b, tl.Meta)
	if err != nil {
		t.Fatal(err)
	}
	for i := range tl.Steps { // past the checker
		w.buf.add(&tl.Steps[i])
		w.rows++
	}
	w.check.seenAll = true
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = readTape(b.Bytes())
	want := "att.up at 0s: loss 2: outside 0 to 1\natt.down at 9s: rate -1: outside 0 to 10000Gbit"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// The tape that shows that memory stays bounded: 24 hours of 8 links in both
// directions at 100 ms, every rate different.
const longTape = 24 * time.Hour

func longMeta() Meta {
	m := Meta{Duration: longTape, Generator: "test 1"}
	for i := range 8 {
		m.Links = append(m.Links, Link{Name: fmt.Sprintf("l%d", i), Up: true, Down: true})
	}
	return m
}

func writeLong(path string) (rows int64, err error) {
	m := longMeta()
	w, err := Create(path, m)
	if err != nil {
		return 0, err
	}
	defer w.Abort()
	dirs := m.Directions()
	steps := make([]Step, 0, len(dirs))
	r := rand.New(rand.NewPCG(1, 1))
	for at := time.Duration(0); at < m.Duration; at += 100 * time.Millisecond {
		steps = steps[:0]
		for _, ld := range dirs {
			steps = append(steps, Step{at, ld.Link, ld.Dir, State{
				Rate: BitRate(r.Uint32N(50e6)), Delay: time.Duration(r.Uint32N(100)) * time.Millisecond,
				Loss: Prob(r.Uint32N(100)) / 1e4, Carrier: true, Label: "good",
			}})
		}
		if err := w.Write(steps); err != nil {
			return 0, err
		}
		rows += int64(len(steps))
	}
	return rows, w.Close()
}

func readLong(path string) (rows int64, err error) {
	r, err := Open(path)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	steps := make([]Step, 1024)
	for {
		n, err := r.Read(steps)
		rows += int64(n)
		if err == io.EOF {
			return rows, nil
		} else if err != nil {
			return rows, err
		}
	}
}

const childEnv = "LINKTAPE_TEST_MEMORY" // "write PATH" or "read PATH"

// memoryChild does a job of TestMemory in a process of its own and prints the
// rows, rows a second and peak memory.
func memoryChild(job string) {
	job, path, _ := strings.Cut(job, " ")
	run := map[string]func(string) (int64, error){"write": writeLong, "read": readLong}[job]
	start := time.Now()
	rows, err := run(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%d %d %d\n", rows, int64(float64(rows)/time.Since(start).Seconds()), peakKiB())
}

// peakKiB returns the largest resident set that this process had, in KiB.
func peakKiB() (n int64) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return -1
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			fmt.Sscan(rest, &n)
		}
	}
	return n
}

func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute; not with -short")
	}
	if runtime.GOOS != "linux" {
		t.Skip("reads the resident set from /proc, which only Linux has")
	}
	path := filepath.Join(t.TempDir(), "long.tape")
	const want = 864_000 * 16
	for _, job := range []string{"write", "read"} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+job+" "+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", job, err)
		}
		var rows, speed, peak int64
		if _, err := fmt.Sscan(string(out), &rows, &speed, &peak); err != nil {
			t.Fatalf("%s: output %q: %v", job, out, err)
		}
		t.Logf("%s: %d rows, %.2f Mrows/s, %d MiB", job, rows, float64(speed)/1e6, peak>>10)
		if rows != want {
			t.Errorf("%s: got %d rows, want %d", job, rows, want)
		}
		if peak <= 0 || peak >= 256<<10 {
			t.Errorf("%s: got a resident set of %d KiB, want less than 256 MiB", job, peak)
		}
	}
	if fi, err := os.Stat(path); err == nil {
		t.Logf("%.1f bytes a row", float64(fi.Size())/want)
	}
}
