package synth

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestNothingIsFused compiles the package, and the edits that its events make,
// for an architecture with fused multiply-add, and finds none in the assembly: a
// fused product is rounded once where others round twice. Assigning a product to
// a variable does not keep a compiler from it (Go specification,
// "Floating-point operators"); float64(a*b) does. It also covers a division by
// 2, which compilers turn into a product.
func TestNothingIsFused(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: compiling for another architecture takes a minute the first time")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to compile with")
	}
	fused := regexp.MustCompile(`/((?:synth|trace/edit)/[a-z_]+\.go:\d+)\)\s+(FN?M(?:ADD|SUB)\S*)`)
	cmd := exec.Command("go", "build", "-gcflags=-S", "linktape/synth", "linktape/trace/edit")
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0", "GOARCH=arm64")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "linktape/synth.normalQuantile STEXT") {
		t.Fatalf("%v, %d bytes of assembly", err, len(out))
	}
	for _, m := range fused.FindAllStringSubmatch(string(out), -1) {
		t.Errorf("%s: %s", m[1], m[2])
	}
}
