//go:build !linux

package privtest

import (
	"os"
	"testing"
)

// Main runs the tests of a package, for its TestMain.
func Main(m *testing.M) { os.Exit(m.Run()) }
