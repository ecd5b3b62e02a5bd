//go:build !linux

package netsetup

// Warnings is empty: links need Linux.
func (*Run) Warnings() []string { return nil }
