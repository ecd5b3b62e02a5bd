package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"linktape/internal/lab"
	"linktape/internal/privtest"
	"linktape/netsetup"
)

const events = `{"Action":"start","Package":"p/a"}
{"Action":"run","Package":"p/a","Test":"TestGood"}
{"Action":"output","Package":"p/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"pass","Package":"p/a","Test":"TestGood","Elapsed":0.1}
{"Action":"output","Package":"p/a","Test":"TestSkip","Output":"    x_test.go:12: needs htb, which is not promised\n"}
{"Action":"skip","Package":"p/a","Test":"TestSkip","Elapsed":0}
{"Action":"output","Package":"p/a","Test":"TestBad/sub","Output":"    x_test.go:20: got 1, want 2\n"}
{"Action":"fail","Package":"p/a","Test":"TestBad/sub","Elapsed":0}
{"Action":"fail","Package":"p/a","Test":"TestBad","Elapsed":0}
{"Action":"output","Package":"p/a","Output":"FAIL\tp/a\t3.1s\n"}
{"Action":"fail","Package":"p/a","Elapsed":3.1}
# p/b
b.go:3:1: syntax error
{"Action":"output","Package":"p/b","Output":"FAIL\tp/b [build failed]\n"}
{"Action":"fail","Package":"p/b","Elapsed":0}
{"Action":"run","Package":"p/d","Test":"TestHung"}
{"Action":"fail","Package":"p/d","Test":"TestOther","Elapsed":0}
{"Action":"output","Package":"p/d","Output":"lab: the kernel died\n"}
{"Action":"fail","Package":"p/d","Elapsed":600}
{"Action":"output","Package":"p/c","Output":"?   \tp/c\t[no test files]\n"}
{"Action":"skip","Package":"p/c","Elapsed":0}
`

func TestMatrixTally(t *testing.T) {
	t.Setenv(privtest.Variable, "")
	var failures bytes.Buffer
	packages, err := tally(strings.NewReader(events), &failures)
	if err != nil {
		t.Fatal(err)
	}
	r := kernelReport{Kernel: "some", Boot: 1500e6, Packages: packages, Probed: &probed{Release: "6.1.176", CPUs: 2, Features: []netsetup.Feature{
		{Name: "tbf"}, {Name: "htb", What: "shaper: htb", Need: "CONFIG_NET_SCH_HTB", Err: "no such file"},
	}}}
	down := kernelReport{Kernel: "other", Err: "it panicked"}
	idle := kernelReport{Kernel: "idle", Probed: &probed{}, Packages: packages[2:3]}
	var out bytes.Buffer
	if err := printMatrix(&out, []kernelReport{r, down}, true); err != nil {
		t.Fatal(err)
	}
	want := `KERNEL  RELEASE  CPUS  BOOT   PACKAGE  PASSED  FAILED     SKIPPED  TIME
some    6.1.176  2     1.5 s  p/a      1       2          1        3.1 s
some    6.1.176  2     1.5 s  p/b      0       0, broken  0        0.0 s
some    6.1.176  2     1.5 s  p/c      0       0          0        0.0 s
some    6.1.176  2     1.5 s  p/d      0       1, broken  0        600.0 s
other   did not boot
some: promised to tests: root,smp,tbf
some lacks htb, for shaper: htb: no such file; needs CONFIG_NET_SCH_HTB
some: p/a: TestBad/sub failed
some: p/a: TestBad failed
some: p/a: TestSkip skipped: needs htb, which is not promised
some: p/d: TestHung did not end
some: p/d: TestOther failed
other: it panicked
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	for _, said := range []string{"got 1, want 2", "syntax error", "p/b [build failed]", "the kernel died"} {
		if !strings.Contains(failures.String(), said) {
			t.Errorf("%q is not among what failed:\n%s", said, failures.String())
		}
	}
	err = verdict([]kernelReport{r, down, idle})
	if err == nil || err.Error() != "kernel some: 3 of 4 tests failed, and 2 packages outside their tests\nkernel other ran nothing\nkernel idle: every test was skipped" {
		t.Errorf("got verdict %v", err)
	}
	if err := verdict([]kernelReport{{Probed: &probed{}, Packages: []packageReport{{Passed: 1}}}}); err != nil {
		t.Errorf("a good matrix: got %v", err)
	}
}

func TestKernelOf(t *testing.T) {
	t.Setenv(kernelVariable, "")
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, lab.KernelBuilt},
		{[]string{"--time", "real"}, lab.KernelBuilt},
		{[]string{"--kernel", "uml-6.1"}, "uml-6.1"},
		{[]string{"--mem=1GiB", "-kernel=qemu-6.12"}, "qemu-6.12"},
	} {
		if got := kernelOf(c.flags); got != c.want {
			t.Errorf("%q: got %s, want %s", c.flags, got, c.want)
		}
	}
	t.Setenv(kernelVariable, "uml-6.1")
	if got := kernelOf(nil); got != "uml-6.1" {
		t.Errorf("by %s: got %s, want uml-6.1", kernelVariable, got)
	}
}

func TestPromises(t *testing.T) {
	p := &probed{CPUs: 1, Features: []netsetup.Feature{{Name: "ifb"}, {Name: "netem", Err: "no"}}}
	if got := p.promises(lab.KernelUML61, "root,netem,htb,iperf3"); got != "root,ifb,htb,iperf3" {
		t.Errorf("got %s, want root,ifb,htb,iperf3", got)
	}
	file := filepath.Join(t.TempDir(), "linux")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := p.promises(file, ""); got != "root,lab,ifb" {
		t.Errorf("a kernel with virtual time: got %s, want root,lab,ifb", got)
	}
}

// A test binary gets its package's files, not the packages below.
func TestCopyPackage(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.go", "testdata/golden", "sub/b.go"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	o := lab.Options{Dir: dir}
	if err := copyPackage(&o); err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(dir, "a.go"), filepath.Join(dir, "testdata")}; !slices.Equal(o.Copy, want) {
		t.Errorf("got %q, want %q", o.Copy, want)
	}
}
