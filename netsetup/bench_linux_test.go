package netsetup

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"linktape/internal/privtest"
	"linktape/trace"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
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

// BenchmarkUpdateRatio takes turns, so that all see the same machine: a bare
// message that is ready and its acknowledgement, the same message answered with the
// counters, which is the least that reading them costs, one step of one direction of
// an idle link in a tape of 10 ms steps, one at which the counters are read as they
// are at every step of a backlogged one, one of both directions of a link, idle and
// with the counters read, and executing tc. The figures are medians of the turns, and the ratios those of the
// turns' own. All but tc's are of the thread's processor time, in which the kernel
// does everything before a call returns: others that want the processor or hold the
// kernel's lock are not in it.
func BenchmarkUpdateRatio(b *testing.B) {
	privtest.Require(b, "ifb", "tbf")
	up(b, "bench", links("a"))
	r := opened(b, "bench")
	e, other := endpoints(b, r, "a")
	room, err := r.kernel.room("lt.bench.a")
	if err != nil {
		b.Fatal(err)
	}
	q := request{kind: setTBF, handle: handleBottleneck, parent: parentRoot, sizeTable: true,
		tbf: TBF{Rate: 10 * trace.Mbit, BurstBytes: 3000, LimitBytes: 225000}}
	message, err := q.append(nil, e.ifb, nlmFRequest|nlmFAck, 0)
	if err != nil {
		b.Fatal(err)
	}
	asking, err := q.append(nil, e.ifb, nlmFRequest|nlmFEcho, 0)
	if err != nil {
		b.Fatal(err)
	}
	s := trace.State{Carrier: true}
	at := time.Duration(0)
	next := func(hold time.Duration) time.Duration {
		at += hold
		s.Rate = trace.BitRate(10+at/(10*time.Millisecond)%5) * trace.Mbit
		return hold
	}
	bare := func(message []byte) func() error {
		return func() error { // its number stays 0: nothing else is on its way
			if err := room.conn.Send(message); err != nil {
				return err
			}
			_, err := room.conn.Receive(room.conn.rbuf)
			return err
		}
	}
	one := func(step time.Duration) error {
		hold := next(step)
		_, err := e.Apply(at, hold, &s)
		return err
	}
	step := func() error { return one(10 * time.Millisecond) }
	read := func() error { return one(100 * time.Millisecond) }
	two := func(step time.Duration) error {
		hold := next(step)
		for _, e := range []*Endpoint{e, other} {
			if err := e.Prepare(at, hold, &s); err != nil {
				return err
			}
		}
		for _, e := range []*Endpoint{e, other} {
			if _, err := e.Commit(); err != nil {
				return err
			}
		}
		return nil
	}
	both := func() error { return two(10 * time.Millisecond) }
	bothRead := func() error { return two(100 * time.Millisecond) }
	tc := func() error {
		next(10 * time.Millisecond)
		out, err := exec.Command("tc", "-n", "lt.bench.a", "qdisc", "change", "dev", ifbUp, "root", "handle", "1:", "stab", "overhead", "-14", "linklayer", "ethernet",
			"tbf", "rate", fmt.Sprintf("%dbit", s.Rate), "burst", "3000", "limit", "225000").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	processor := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
			b.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	ways := []struct {
		name string
		do   func() error
		n    int // in a turn
	}{
		{"raw", bare(message), 200}, {"answered", bare(asking), 200}, {"step", step, 200}, {"read", read, 200},
		{"both", both, 200}, {"both-read", bothRead, 200}, {"tc", tc, 1},
	}
	times := make([][]float64, len(ways))
	for b.Loop() {
		for i, w := range ways {
			start, begun := time.Now(), processor()
			for range w.n {
				if err := w.do(); err != nil {
					b.Fatal(err)
				}
			}
			took := processor() - begun
			if w.name == "tc" {
				took = time.Since(start)
			}
			times[i] = append(times[i], float64(took.Nanoseconds())/float64(w.n))
		}
	}
	median := func(v []float64) float64 {
		v = slices.Clone(v)
		slices.Sort(v)
		return v[len(v)/2]
	}
	ratio := func(a, b []float64) float64 {
		out := make([]float64, len(a))
		for i := range a {
			out[i] = a[i] / b[i]
		}
		return median(out)
	}
	for i, w := range ways {
		b.ReportMetric(median(times[i]), w.name+"-ns")
	}
	for i := 1; i <= 5; i++ {
		b.ReportMetric(ratio(times[i], times[0]), ways[i].name+"/raw")
	}
	b.ReportMetric(ratio(times[6], times[2]), "tc/step")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkUpDown builds and removes runs of many links: how long each takes,
// how long the kernel works on after Down has returned, and what memory a link
// takes, in the builder and in the kernel.
func BenchmarkUpDown(b *testing.B) {
	privtest.Require(b, "ifb", "tbf")
	for _, n := range []int{16, 64, 128, MaxLinks} {
		b.Run(fmt.Sprintf("links=%d", n), func(b *testing.B) {
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("l%d", i))
			}
			p := newPlan(b, "bench", links(names...))
			awaitCleanup(b)
			var up, status, down, gone time.Duration
			var process, kernel int64
			lap := func(d *time.Duration, f func() error) {
				start := time.Now()
				if err := f(); err != nil {
					b.Fatal(err)
				}
				*d += time.Since(start)
			}
			for b.Loop() {
				processBefore, kernelBefore := memory(b)
				lap(&up, func() error { return Up(b.Context(), p, nil) })
				processAfter, kernelAfter := memory(b)
				process += processAfter - processBefore
				kernel += kernelAfter - kernelBefore
				lap(&status, func() error {
					s, err := Status("bench")
					if err == nil && len(s.Differences) > 0 {
						err = fmt.Errorf("differs: %q", s.Differences)
					}
					return err
				})
				lap(&down, func() error { return Down("bench", false) })
				lap(&gone, func() error { awaitCleanup(b); return nil })
			}
			for _, m := range []struct {
				unit string
				d    time.Duration
			}{{"up-s", up}, {"status-s", status}, {"down-s", down}, {"kernel-after-s", gone}} {
				b.ReportMetric(m.d.Seconds()/float64(b.N), m.unit)
			}
			b.ReportMetric(float64(process)/float64(b.N)/float64(n)/1024, "process-KiB/link")
			b.ReportMetric(float64(kernel)/float64(b.N)/float64(n)/1024, "kernel-KiB/link")
			b.ReportMetric(0, "ns/op") // the sum of all this
		})
	}
}

// awaitCleanup waits until the kernel has removed every namespace that was
// given up so far. It does so one batch after the other, in order
// (net/core/net_namespace.c: cleanup_net), so another one is made and given up,
// with a device of which one end is here: when that is gone, all are.
func awaitCleanup(b *testing.B) {
	const device = "lt-cleanup"
	home, err := netns.Get()
	if err != nil {
		b.Fatal(err)
	}
	defer home.Close()
	updates, done := make(chan netlink.LinkUpdate, 1000), make(chan struct{})
	defer close(done)
	if err := netlink.LinkSubscribe(updates, done); err != nil {
		b.Fatal(err)
	}
	err = onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "v"
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: device, PeerNamespace: netlink.NsFd(home)})
	})
	if err != nil {
		b.Fatal(err)
	}
	for enough := time.After(time.Minute); ; {
		select {
		case u := <-updates:
			if u.Header.Type == unix.RTM_DELLINK && u.Attrs().Name == device {
				return
			}
		case <-enough:
			b.Fatal("the kernel has not removed a namespace in a minute")
		}
	}
}

// memory is what the process and the kernel have in use, in bytes (proc(5):
// VmRSS of status; meminfo).
func memory(b *testing.B) (process, kernel int64) {
	sum := func(file string, fields ...string) (total int64) {
		data, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			name, value, _ := strings.Cut(line, ":")
			if !slices.Contains(fields, name) {
				continue
			}
			n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			total += n * 1024
		}
		return total
	}
	runtime.GC()
	return sum("/proc/self/status", "VmRSS"), sum("/proc/meminfo", "Slab", "Percpu", "VmallocUsed", "KernelStack", "PageTables")
}
