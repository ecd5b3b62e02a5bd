// Package privtest is the one door through which tests that need root or a
// kernel feature go.
//
// The environment variable LINKTAPE_REQUIRE lists what the machine promises,
// separated by commas: root, ifb, tbf, htb, netem, … A test that needs a
// feature which is not promised is skipped and says so; a test whose features
// are all promised runs, and fails where the promise is broken.
//
// Two features belong to labs: "lab" is promised inside one, "lab-kernel" where
// labs can be started, because their kernel is built. The programs of its
// experiments are features too: tcpdump, librist, gstreamer; and cyclictest, which
// benchmarks compare with, and clang, which compiles what is embedded.
package privtest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Variable is the name of the environment variable that lists the promised
// features.
const Variable = "LINKTAPE_REQUIRE"

// Promised reports whether a feature is promised, for a test that can do without.
func Promised(feature string) bool {
	return slices.Contains(strings.Split(os.Getenv(Variable), ","), feature)
}

// Require skips the test unless root and every feature are promised. It fails
// the test where root is promised and missing; a missing kernel feature makes
// the test itself fail.
func Require(t testing.TB, features ...string) {
	t.Helper()
	RequireUser(t, append([]string{"root"}, features...)...)
	if os.Geteuid() != 0 {
		t.Fatalf("%s promises root, but the test runs as user %d", Variable, os.Geteuid())
	}
}

// RequireUser is [Require] for a test that an ordinary user can run.
func RequireUser(t testing.TB, features ...string) {
	t.Helper()
	for _, f := range features {
		if !Promised(f) {
			t.Skipf("needs %s, which %s=%q does not promise", f, Variable, os.Getenv(Variable))
		}
	}
}
