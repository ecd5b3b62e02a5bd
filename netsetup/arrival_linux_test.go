package netsetup

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linktape/internal/privtest"
	"linktape/trace"
)

// The first packet from either end is seen, by link and direction, with the
// time since the kernel had it.
func TestArrivals(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	const run = "arrive"
	up(t, run, links("a", "b"))
	r := opened(t, run)
	for _, c := range []struct {
		link string
		n    int
		dir  trace.Direction
	}{{"b", 1, trace.Up}, {"a", 0, trace.Down}, {"a", 0, trace.Up}} {
		a, err := r.Arrivals([]string{"a", "b"})
		if err != nil {
			t.Fatal(err)
		}
		from, to, source, target := SenderEnd, ReceiverEnd, LinkAddresses(c.n).Sender[0].Addr(), LinkAddresses(c.n).Receiver[0].Addr()
		if c.dir == trace.Down {
			from, to, source, target = to, from, target, source
		}
		before := time.Now()
		err = withNamespace(Namespace(run, from), func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return errors.Join(
				unix.Bind(fd, &unix.SockaddrInet4{Addr: source.As4()}),
				unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: 9, Addr: target.As4()}),
			)
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := (trace.LinkDir{Link: c.link, Dir: c.dir}); got.LinkDir != want {
			t.Errorf("got a packet on %v, want %v", got.LinkDir, want)
		}
		if got.Ago < 0 || got.Ago > time.Since(before) {
			t.Errorf("%v: received %v ago, sent %v ago", got.LinkDir, got.Ago, time.Since(before))
		}
		t.Logf("%v to %s: seen %v after the kernel", got.LinkDir, to, got.Ago)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}

	a, err := r.Arrivals([]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("because")
	cancel(because)
	if _, err := a.Next(ctx); !errors.Is(err, because) {
		t.Errorf("stopped: got error %v", err)
	}
	if _, err := r.Arrivals([]string{"c"}); err == nil {
		t.Error("a link that the run does not have is waited for")
	}
}
