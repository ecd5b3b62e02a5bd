package netsetup

import (
	"net"
	"testing"

	"linktape/internal/privtest"
)

// A socket that is opened in a part of a run stays there, and what opened it
// does not.
func TestWithin(t *testing.T) {
	privtest.Require(t, "ifb", "tbf")
	unchanged(t)
	up(t, "run", links("a"))
	r := opened(t, "run")
	a := LinkAddresses(0)
	open := func(part string, addr net.IP) (c *net.UDPConn) {
		t.Helper()
		err := r.Within(part, func() (err error) {
			c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: addr})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	snd, rcv := open(SenderEnd, a.Sender[0].Addr().AsSlice()), open(ReceiverEnd, a.Receiver[0].Addr().AsSlice())
	s := socket{snd, t, rcv.LocalAddr().(*net.UDPAddr)}
	s.send(0, 10, 1000)
	socket{rcv, t, nil}.want(0, 10)
	if _, err := net.ListenUDP("udp4", &net.UDPAddr{IP: a.Sender[0].Addr().AsSlice()}); err == nil {
		t.Error("the sender's address is outside too")
	}
	wantError(t, r.Within("b", func() error { return nil }), "run run has no b: it has snd, rcv, a")
}
