//go:build !linux

package stamp

import "errors"

// Room is the space for control messages that [Of] reads.
const Room = 128

// Of finds nothing: the time of receiving is that at which the program reads.
func Of([]byte) (int64, bool) { return 0, false }

// Prepare refuses to bind to an interface, which takes Linux.
func Prepare(_ int, device string) error {
	if device != "" {
		return errors.New("binding to an interface needs Linux")
	}
	return nil
}
