package lab

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func sampleArchive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	c := &cpioWriter{w: &b}
	c.directory("d", 0o755)
	c.file("d/abc", 0o644, 5, strings.NewReader("hello"))
	c.link("d/l", "abc")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The bytes that buffer-format.rst asks for, written by hand: magic, inode,
// mode, uid, gid, links, time, size, device and its minor, special file and its
// minor, length of the name with its NUL, checksum; padding to four bytes.
func TestCpioBytes(t *testing.T) {
	want := "070701" + "00000001" + "000041ED" + "00000000" + "00000000" + "00000002" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000" + "d\x00" +
		"070701" + "00000002" + "000081A4" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000006" + "00000000" + "d/abc\x00" + "hello\x00\x00\x00" +
		"070701" + "00000003" + "0000A1FF" + "00000000" + "00000000" + "00000001" + "00000000" + "00000003" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" + "d/l\x00\x00\x00" + "abc\x00" +
		"070701" + "00000000" + "00000000" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "0000000B" + "00000000" + "TRAILER!!!\x00" + "\x00\x00\x00"
	if got := string(sampleArchive(t)); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// cpio(1) unpacks what was packed.
func TestCpioUnpacks(t *testing.T) {
	program, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("needs cpio: apt-get install cpio")
	}
	list := exec.Command(program, "-it", "--quiet")
	list.Stdin = bytes.NewReader(sampleArchive(t))
	if out, err := list.CombinedOutput(); err != nil || string(out) != "d\nd/abc\nd/l\n" {
		t.Errorf("cpio -it: %v: got %q, want d, d/abc, d/l", err, out)
	}
	dir := t.TempDir()
	unpack := exec.Command(program, "-i", "--quiet")
	unpack.Dir, unpack.Stdin = dir, bytes.NewReader(sampleArchive(t))
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("cpio -i: %v: %s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "d", "l"))
	if err != nil || string(data) != "hello" {
		t.Errorf("got %q, %v through the link, want hello", data, err)
	}
	info, err := os.Stat(filepath.Join(dir, "d", "abc"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("got mode %v, %v, want 0644", info.Mode(), err)
	}
}

func TestCpioErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		w    io.Writer
		size int64
		want string
	}{
		{"short", io.Discard, 6, "pack f: 5 of 6 bytes"},
		{"large", io.Discard, 1 << 32, "too many"},
		{"full", &failingWriter{}, 5, "full"},
	} {
		a := &cpioWriter{w: c.w}
		a.file("f", 0o644, c.size, strings.NewReader("hello"))
		if err := a.Close(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

type failingWriter struct{}

func (*failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }
