package netsetup

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// BenchmarkUpdate compares ways to change the rate of one token bucket, all on
// the same device and in the same run.
func BenchmarkUpdate(b *testing.B) {
	privtest.Require(b, "ifb", "tbf")
	up(b, "bench", links("a"))
	r := opened(b, "bench")
	e, _ := endpoints(b, r, "a")
	room, err := r.kernel.room("lt.bench.a")
	if err != nil {
		b.Fatal(err)
	}
	rate := func(i int) trace.BitRate { return trace.BitRate(10+i%10) * trace.Mbit }

	b.Run("Apply", func(b *testing.B) { // and reads the counters
		b.ReportAllocs()
		s := trace.State{Carrier: true}
		i := 0
		for b.Loop() {
			i++
			s.Rate = rate(i)
			if _, err := e.Apply(time.Duration(i)*time.Millisecond, time.Millisecond, &s); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw", func(b *testing.B) { // one message that is ready, and its acknowledgement
		b.ReportAllocs()
		c := room.conn
		q := request{kind: setTBF, handle: handleBottleneck, parent: parentRoot, sizeTable: true,
			tbf: TBF{Rate: 10 * trace.Mbit, BurstBytes: 3000, LimitBytes: 225000}}
		for b.Loop() {
			err := c.execute(func(buf []byte, seq uint32) ([]byte, error) {
				return q.append(buf, e.ifb, nlmFRequest|nlmFAck, seq)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("vishvananda", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i++
			err := room.links.QdiscChange(&netlink.Tbf{
				QdiscAttrs: netlink.QdiscAttrs{LinkIndex: int(e.ifb), Handle: handleBottleneck, Parent: netlink.HANDLE_ROOT},
				Rate:       uint64(rate(i)) / 8, Limit: 225000, Buffer: 100000,
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tc", func(b *testing.B) {
		err := onOwnThread(func() error {
			fd, err := unix.Open(namespaceFile("lt.bench.a"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return err
			}
			i := 0
			for b.Loop() {
				i++
				out, err := exec.Command("tc", "qdisc", "change", "dev", ifbUp, "root", "handle", "1:", "stab", "overhead", "-14", "linklayer", "ethernet",
					"tbf", "rate", fmt.Sprintf("%dbit", rate(i)), "burst", "3000", "limit", "225000").CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkUpDown16 builds and removes a run of 16 links.
func BenchmarkUpDown16(b *testing.B) {
	privtest.Require(b, "ifb", "tbf")
	var names []string
	for i := range 16 {
		names = append(names, fmt.Sprintf("l%d", i))
	}
	p := newPlan(b, "bench", links(names...))
	for b.Loop() {
		if err := Up(b.Context(), p, nil); err != nil {
			b.Fatal(err)
		}
		if err := Down("bench", false); err != nil {
			b.Fatal(err)
		}
	}
}
