package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ListenUnix makes a socket that only its owner may use, in place of one that a
// process has left behind. It is removed when the listener is closed.
//
// Errors: a path at which another process answers, or at which there is something
// that is no socket.
func ListenUnix(path string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) { return nil, fmt.Errorf("control socket %s: %w", path, err) }
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fail(err)
	case info.Mode().Type() != fs.ModeSocket:
		return fail(errors.New("there is a file that is no socket: give another path"))
	default:
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
			return fail(errors.New("another process answers there: give another path, or stop it"))
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return fail(err)
		}
		if err := os.Remove(path); err != nil {
			return fail(err)
		}
	}
	// In a folder that nobody else may enter until its mode is right.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".replay-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return fail(err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return fail(errors.Join(err, l.Close()))
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fail(errors.Join(err, l.Close()))
	}
	return &unixListener{l, path, info}, nil
}

// unixListener removes its socket, and no other one that has come in its place.
type unixListener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
}

func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if info, e := os.Lstat(l.path); e == nil && os.SameFile(info, l.info) {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}

// ListenTCP listens on an address, host:port. Without a host it is that of this
// machine alone, 127.0.0.1; one that other machines reach has to be written out.
// name is the host as it was written, for [Handler].
func ListenTCP(address string) (l net.Listener, name string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, "", fmt.Errorf("listen on %q: %w: write host:port, or :port for this machine alone", address, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	network := "tcp"
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		network = "tcp4" // else 0.0.0.0 were every address of IPv6, too
	}
	l, err = net.Listen(network, net.JoinHostPort(host, port))
	if err != nil {
		return nil, "", err
	}
	return l, host, nil
}

// Server serves until it is closed.
type Server struct {
	server http.Server
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended, with
	err    error
}

// Serve serves a handler on a listener, which it closes in the end.
func Serve(l net.Listener, h http.Handler) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cancel: cancel, done: make(chan struct{})}
	s.server = http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 14,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(s.done)
		s.err = s.server.Serve(l)
	}()
	return s
}

// Close ends the server, after a moment in which requests that are under way, such
// as one for events, may end by themselves.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.server.Shutdown(ctx)
	s.cancel()
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	if <-s.done; !errors.Is(s.err, http.ErrServerClosed) {
		err = errors.Join(err, s.err)
	}
	return err
}
