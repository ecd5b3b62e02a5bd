//go:build !linux || !amd64

package lab

import "context"

// Stages does nothing here.
func Stages() {}

// Run returns [ErrNotSupported].
func Run(context.Context, Options) (*Result, error) { return nil, ErrNotSupported }
