package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// touch makes empty files below a directory; names that end in / are
// directories.
func touch(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, n := range names {
		file := filepath.Join(dir, n)
		if strings.HasSuffix(n, "/") {
			if err := os.MkdirAll(file, 0o777); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o777); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindPackagedKernel(t *testing.T) {
	cache, system, bin := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	qemu, err := findPackaged(KernelQEMU612)
	if err != nil {
		t.Fatal(err)
	}
	find := func() (Kernel, error) { return qemu.find([]string{cache, system}) }
	_, err = find()
	want := "kernel qemu-6.12: missing qemu-system-x86_64, xz, package linux-image-6.12-cloud-amd64: " +
		"apt-get install qemu-system-x86 xz-utils; lab kernel fetch qemu-6.12 (unpacks the package into the cache, installs nothing)"
	if err == nil || err.Error() != want {
		t.Errorf("nothing is there: got %v\nwant %s", err, want)
	}
	touch(t, bin, "qemu-system-x86_64", "xz")
	touch(t, system, "boot/vmlinuz-6.12.9+deb12-cloud-amd64", "lib/modules/6.12.9+deb12-cloud-amd64/",
		"boot/vmlinuz-6.12.117+deb12-cloud-amd64", "lib/modules/6.12.117+deb12-cloud-amd64/", "boot/vmlinuz-6.13.1-cloud-amd64")
	k, err := find()
	if err != nil || filepath.Base(k.File) != "vmlinuz-6.12.117+deb12-cloud-amd64" || filepath.Base(k.Modules) != "6.12.117+deb12-cloud-amd64" {
		t.Errorf("installed: got %+v, %v, want 6.12.117", k, err)
	}
	touch(t, cache, "boot/vmlinuz-6.12.50+deb12-cloud-amd64")
	if k, err = find(); err != nil || !strings.HasPrefix(k.File, system) {
		t.Errorf("cache without modules: got %+v, %v, want the installed one", k, err)
	}
	touch(t, cache, "lib/modules/6.12.50+deb12-cloud-amd64/")
	if k, err = find(); err != nil || !strings.HasPrefix(k.File, cache) || k.Machine != QEMU || k.Virtual() {
		t.Errorf("cache: got %+v, %v, want it, in real time", k, err)
	}

	uml, err := findPackaged(KernelUML61)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = uml.find([]string{cache}); err == nil || !strings.HasSuffix(err.Error(), "missing package user-mode-linux: apt-get install user-mode-linux") {
		t.Errorf("no User-Mode-Linux: got %v", err)
	}
	if _, err := FindKernel("plan9"); err == nil || !strings.Contains(err.Error(), "there are lab, uml-6.1, qemu-6.12") {
		t.Errorf("an unknown name: got %v", err)
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"vmlinuz-6.12.9", "vmlinuz-6.12.117", -1},
		{"6.1.176", "6.1.176", 0},
		{"6.12.117+deb12", "6.12.117", 1},
		{"6.9", "6.12", -1},
	} {
		if got := compareVersions(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
