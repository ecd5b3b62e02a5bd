//go:build !linux

package cli

import "io"

// Keys are what is typed on a terminal: here, nothing.
type Keys struct{ C <-chan string }

// OpenKeys reads keys under Linux only.
func OpenKeys(io.Reader) *Keys { return nil }

// Close does nothing.
func (*Keys) Close() {}
