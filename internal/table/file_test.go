package table

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

func numbered(i int) row {
	return row{At: int64(i-3) * 1e9, Name: []string{"att", "", "é"}[i%3], Loss: float64(i) / 7, On: i%5 == 0}
}

// begun is a file that has some rows and is not closed, and where it is.
func begun(t *testing.T, n int) (f *File[row], name string, want []row) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "rows.parquet")
	f, err := Create[row](name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		r := numbered(i)
		want = append(want, r)
		if err := f.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	return f, name, want
}

func mustRead(t *testing.T, name string) []row {
	t.Helper()
	rows, err := ReadFile[row](name)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// equalRows does not tell no rows from nil.
func equalRows(a, b []row) bool { return len(a) == 0 && len(b) == 0 || cmp.Equal(a, b) }

// What was flushed is readable at any time; what was closed is a Parquet file
// like any other, alone.
func TestFile(t *testing.T) {
	for _, n := range []int{0, 1, 100, fileGroupRows, fileGroupRows + 7} {
		f, name, want := begun(t, n)
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := mustRead(t, name); !equalRows(got, want) {
			t.Errorf("%d rows flushed came back as %d others", n, len(got))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := mustRead(t, name); !equalRows(got, want) {
			t.Errorf("%d rows closed came back as %d others", n, len(got))
		}
		if got, err := parquet.ReadFile[row](name); err != nil || !equalRows(got, want) {
			t.Errorf("%d rows: another reader sees %d others, %v", n, len(got), err)
		}
		files, err := os.ReadDir(filepath.Dir(name))
		if err != nil || len(files) != 1 {
			t.Errorf("%d rows: left are %v, %v", n, files, err)
		}
	}
}

// Groups without a footer of their own are covered by the journal, and by the
// next footer.
func TestFileWithManyGroups(t *testing.T) {
	f, name, want := begun(t, 10)
	f.groups, f.covered = 2*footerEvery, 2*footerEvery // as late in a long replay: a footer for every other group
	for i := 10; i < 3*fileGroupRows+5; i++ {
		r := numbered(i)
		want = append(want, r)
		if err := f.Write(&r); err != nil {
			t.Fatal(err)
		}
		switch i {
		case fileGroupRows + 5, 2*fileGroupRows + 5, 3*fileGroupRows + 4:
			if err := f.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := mustRead(t, name); !equalRows(got, want) {
				t.Fatalf("%d rows came back as %d others", len(want), len(got))
			}
		}
	}
	if got := f.groups - f.covered; got != 1 {
		t.Errorf("%d groups without a footer, want 1", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, name); !equalRows(got, want) {
		t.Errorf("%d rows closed came back as %d others", len(want), len(got))
	}
}

// A journal that is cut off anywhere gives the whole blocks before.
func TestFileCutOff(t *testing.T) {
	f, name, want := begun(t, 0)
	ends := []int64{journalHeader}
	for i := range 9 {
		r := numbered(i)
		want = append(want, r)
		if err := errors.Join(f.Write(&r), f.Flush()); err != nil {
			t.Fatal(err)
		}
		info, err := f.journal.Stat()
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, info.Size())
	}
	for size := ends[len(ends)-1]; size >= journalHeader; size-- {
		if err := os.Truncate(name+JournalSuffix, size); err != nil {
			t.Fatal(err)
		}
		n := 0
		for n+1 < len(ends) && ends[n+1] <= size {
			n++
		}
		if got := mustRead(t, name); !equalRows(got, want[:n]) {
			t.Fatalf("cut off at %d: got %d rows, want %d", size, len(got), n)
		}
	}
	if err := os.Truncate(name+JournalSuffix, journalHeader-1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile[row](name); err == nil || !strings.Contains(err.Error(), "not a journal") {
		t.Errorf("no header: got error %v", err)
	}
}

func TestJournalOfAnotherTable(t *testing.T) {
	type other struct {
		At int64 `parquet:"at_ns"`
	}
	f, name, _ := begun(t, 3)
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile[other](name); err == nil || !strings.Contains(err.Error(), "not a journal of this table: remove it") {
		t.Errorf("got error %v", err)
	}
	if err := os.Truncate(name, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile[row](name); err == nil || !strings.Contains(err.Error(), "5 bytes of the ") {
		t.Errorf("a table that lost its bytes: got error %v", err)
	}
}

// A new table takes the place of one that a crash left.
func TestCreateAfterCrash(t *testing.T) {
	f, name, _ := begun(t, 3)
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	again, err := Create[row](name)
	if err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, name); len(got) != 0 {
		t.Errorf("got %v of the table before", got)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// After an error every call says the same, and what was flushed before is kept.
func TestFileAfterAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full: ", err)
	}
	f, name, want := begun(t, 5)
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	f.journal.Close()
	f.journal = full
	r := numbered(5)
	if err := f.Write(&r); err != nil {
		t.Fatal(err)
	}
	for i, do := range []func() error{f.Flush, f.Flush, func() error { return f.Write(&r) }, f.Close} {
		if err := do(); !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), "write ") != 1 {
			t.Errorf("call %d: got error %v", i, err)
		}
	}
	if got := mustRead(t, name); !equalRows(got, want) {
		t.Errorf("%d rows came back as %v", len(want), got)
	}
}

func TestCreateFails(t *testing.T) {
	if _, err := Create[row](filepath.Join(t.TempDir(), "no", "folder")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte("LTJRNL1\nxxxx"))
	whole := appendJournalHeader(nil, rowType(), 4)
	f.Add(whole)
	var rows []byte
	for i := range 4 {
		r := numbered(i)
		rows = appendRow(rows, valueOf(&r))
	}
	f.Add(appendBlock(whole, rows))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, offset, err := readJournal[row](data)
		if err != nil {
			return
		}
		var body []byte
		for i := range rows {
			body = appendRow(body, valueOf(&rows[i]))
		}
		again := appendJournalHeader(nil, rowType(), offset)
		if len(body) > 0 {
			again = appendBlock(again, body)
		}
		back, at, err := readJournal[row](again)
		if err != nil || at != offset || len(back) != len(rows) {
			t.Fatalf("got %d rows from %d, %v; want %d from %d", len(back), at, err, len(rows), offset)
		}
	})
}

func rowType() reflect.Type { return reflect.TypeFor[row]() }

func valueOf(r *row) reflect.Value { return reflect.ValueOf(r).Elem() }
