//go:build !linux

package trial

import (
	"context"
	"fmt"
	"runtime"

	"linktape/netsetup"
)

// Run fails: trials need Linux.
func Run(context.Context, *Config, string) (*Manifest, error) {
	return nil, fmt.Errorf("%w: trials need Linux, this is %s", netsetup.ErrNotSupported, runtime.GOOS)
}
