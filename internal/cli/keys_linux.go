package cli

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Keys are what is typed on a terminal, key by key and without an echo. Signals of
// the keyboard (Ctrl-C) stay; Ctrl-Z does nothing.
type Keys struct {
	C <-chan string // a character, or the name of an arrow: up, down, right, left

	file  *os.File
	saved *unix.Termios
	stop  chan struct{}
	done  sync.WaitGroup
	once  sync.Once
}

// OpenKeys begins to read keys; nil where r is no terminal, or one that another
// process group has.
func OpenKeys(r io.Reader) *Keys {
	f, ok := r.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || !foreground(f) {
		return nil
	}
	saved, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil
	}
	raw := *saved
	raw.Lflag &^= unix.ICANON | unix.ECHO
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME], raw.Cc[unix.VSUSP] = 1, 0, 0
	if unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &raw) != nil {
		return nil
	}
	c := make(chan string, 16)
	k := &Keys{C: c, file: f, saved: saved, stop: make(chan struct{})}
	k.done.Go(func() { k.read(c) })
	return k
}

// foreground reports whether reading from the terminal does not stop the process.
func foreground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// read looks ten times a second whether it is to end: a read of a terminal cannot
// be interrupted.
func (k *Keys) read(c chan<- string) {
	buf := make([]byte, 64)
	fds := []unix.PollFd{{Fd: int32(k.file.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 100)
		select {
		case <-k.stop:
			return
		default:
		}
		if err == unix.EINTR || n == 0 || !foreground(k.file) {
			continue
		}
		if err != nil || fds[0].Revents&unix.POLLIN == 0 {
			return
		}
		if n, err = unix.Read(int(k.file.Fd()), buf); err != nil || n == 0 {
			return
		}
		for _, key := range ParseKeys(buf[:n]) {
			select {
			case c <- key:
			case <-k.stop:
				return
			}
		}
	}
}

// Close gives the terminal back as it was. It may be called more than once, by
// several goroutines, and of nil.
func (k *Keys) Close() {
	if k == nil {
		return
	}
	k.once.Do(func() {
		close(k.stop)
		unix.IoctlSetTermios(int(k.file.Fd()), unix.TCSETS, k.saved)
	})
}
