package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMemoryDir(t *testing.T) {
	dir := t.TempDir()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Flags&unix.ST_NOEXEC != 0 {
		t.Skip("needs a temporary directory without noexec")
	}
	none := filepath.Join(dir, "none")
	for _, c := range []struct {
		name  string
		bytes int64
		dirs  []string
		want  string // "": refused
		said  []string
	}{
		{"room", 1 << 20, []string{dir, none}, dir, nil},
		{"the first is missing", 1 << 20, []string{none, dir}, dir, nil},
		{"a file system of the kernel's", 1 << 20, []string{"/proc", dir}, dir, nil},
		{"no room", 1 << 60, []string{dir, none}, "", []string{"no room for 1099511627776 MiB of memory: " + dir + " has ", none + ": no such file", "--mem", "TMPDIR"}},
	} {
		got, err := memoryDir(c.bytes, c.dirs...)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
		for _, s := range c.said {
			if err == nil || !strings.Contains(err.Error(), s) {
				t.Errorf("%s: got %v, want %q", c.name, err, s)
			}
		}
	}
	if os.Geteuid() != 0 { // root may write anywhere
		if _, err := memoryDir(1, "/"); err == nil {
			t.Error("a directory of others: got no error")
		}
	}
}

// A kernel that dies without a word is most likely one without room.
func TestCrashWithoutAWord(t *testing.T) {
	if got := (&CrashError{State: "signal: aborted", Console: "\n", Memory: "/x"}).Error(); !strings.Contains(got, "no room left in /x") {
		t.Errorf("got %q, want the directory of its memory", got)
	}
	if got := (&CrashError{State: "signal: aborted", Console: "Kernel panic", Memory: "/x"}).Error(); strings.Contains(got, "/x") || !strings.Contains(got, "Kernel panic") {
		t.Errorf("got %q, want the console and no advice", got)
	}
}
