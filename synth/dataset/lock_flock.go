//go:build linux || darwin

package dataset

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lock takes the folder of a tape for this run, until unlock or the end of the
// process. It does not wait: the error is errBusy where another run has it, and
// an [fs.ErrNotExist] where one has just removed it.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		f.Close()
		return nil, errBusy
	case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOSYS):
		// A file system without locks: two runs at once are the caller's care.
	case err != nil:
		f.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	mine, err := f.Stat()
	if err == nil {
		var there fs.FileInfo
		if there, err = os.Stat(dir); err == nil && !os.SameFile(mine, there) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
