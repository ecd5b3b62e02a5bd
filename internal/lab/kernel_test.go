package lab

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPackageVersion(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"Debian", "linux-6.12 (6.12.117-1~deb12u1) bookworm-security; urgency=high\n\n  * Rebuild\n", "6.12.117-1~deb12u1"},
		{"epoch", "linux (1:6.12.5-1) unstable; urgency=low\n", "1_6.12.5-1"},
		{"path", "linux (../../x) unstable\n", ""},
		{"no version", "linux\n", ""},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write([]byte(c.text))
			z.Close()
			file := filepath.Join(t.TempDir(), "changelog.gz")
			if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
			if got := packageVersion(file); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := packageVersion(filepath.Join(t.TempDir(), "none")); got != "" {
		t.Errorf("no changelog: got %q, want nothing", got)
	}
}

// What is missing is named with the command that installs it.
func TestMissingTools(t *testing.T) {
	bin := t.TempDir()
	for _, tool := range []string{"make", "bc", "tar", "xz", "patch", "strip"} {
		if err := os.WriteFile(filepath.Join(bin, tool), nil, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	source := filepath.Join(bin, "tar") // any file
	err := checkTools(source)
	const want = "build the kernel: missing gcc, flex, bison: apt-get install gcc flex bison"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := checkTools(filepath.Join(bin, "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a missing source of the caller's: got %v", err)
	}
}

func TestCheckConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".config")
	if err := os.WriteFile(file, kernelConfig, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := checkConfig(file); err != nil {
		t.Errorf("our own configuration: %v", err)
	}
	less := bytes.Replace(kernelConfig, []byte("CONFIG_NET_SCH_NETEM=y\n"), nil, 1)
	if err := os.WriteFile(file, less, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := checkConfig(file); err == nil || !strings.HasSuffix(err.Error(), "does not take CONFIG_NET_SCH_NETEM=y") {
		t.Errorf("without netem: got %v", err)
	}
}

func TestNoKernel(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := KernelPath(); err != ErrNoKernel {
		t.Errorf("got %v, want ErrNoKernel", err)
	}
}

// A build that was killed long ago is cleared away, one that goes on is not.
func TestSweepBuilds(t *testing.T) {
	dir := t.TempDir()
	old, young, kernel := filepath.Join(dir, "building-1"), filepath.Join(dir, "building-2"), filepath.Join(dir, "6.12-0")
	for _, d := range []string{old, young, kernel} {
		if err := os.MkdirAll(filepath.Join(d, "tree"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	for _, d := range []string{old, kernel} {
		if err := os.Chtimes(d, yesterday, yesterday); err != nil {
			t.Fatal(err)
		}
	}
	sweepBuilds(dir)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{kernel, young}; !slices.Equal(left, want) {
		t.Errorf("got %q, want %q", left, want)
	}
}
