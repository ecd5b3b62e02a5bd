package netsetup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linktape/trace"
)

// Examine finds out what this kernel and machine can do for links, by trying
// each thing in a network namespace of its own, which is gone afterwards, or on
// a thread of its own. Without the privileges for that it says so, and tries
// the rest. The error is that of a machine that cannot be looked at; what is
// found to be missing is [Examination.Err].
func Examine() (*Examination, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("ask for the kernel's name: %w", err)
	}
	m := thisMachine(unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:]))
	e := &Examination{
		Kernel:     fmt.Sprintf("%s %s %s", unix.ByteSliceToString(name.Sysname[:]), m.release, m.arch),
		Processors: runtime.NumCPU(),
	}
	privileges := checkPrivileges()
	if privileges.Works() {
		_, found, _ := Probe()
		more, err := probeMore()
		if err != nil {
			return nil, err
		}
		e.Findings = m.judge(append(found, more...))
	}
	e.Findings = append(e.Findings, privileges)
	for _, check := range []func() Finding{
		checkUserNamespaces, checkHighResolution, checkTimerSlack, checkRealTime, checkMemoryLock,
		checkClock, checkFiles, checkBacklog, checkForwarding, checkReversePath,
	} {
		e.Findings = append(e.Findings, check())
	}
	return e, nil
}

// thisMachine reads what mending depends on.
func thisMachine(release, arch string) *machineFacts {
	m := &machineFacts{release: release, arch: arch}
	if data, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(data)) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(line), "ID="); ok {
				m.os = strings.Trim(id, `"`)
			}
		}
	}
	dir := filepath.Join("/lib/modules", release)
	files := make(map[string]bool)
	for _, part := range []string{"kernel/net", "kernel/drivers/net"} {
		// What cannot be read is not there.
		filepath.WalkDir(filepath.Join(dir, part), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files[moduleName(d.Name())] = true
			}
			return nil
		})
	}
	m.modules = len(files) > 0
	m.present = func(module string) bool { return files[module] }
	return m
}

// probeMore tries what [Probe] does not: what links do not need but may use.
func probeMore() (found []Feature, err error) {
	err = onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w%s", err, asRoot(err))
		}
		r, err := openRoom("", "")
		if err != nil {
			return err
		}
		k := &kernel{rooms: map[string]*room{"": r}}
		defer k.Close()
		for _, t := range k.moreTests() {
			f := t.Feature
			if err := t.try(); err != nil {
				f.Err = err.Error()
			}
			found = append(found, f)
		}
		return nil
	})
	return found, err
}

type featureTest struct {
	Feature
	try func() error
}

// moreTests lists what probeMore tries, in the thread's namespace.
func (k *kernel) moreTests() []featureTest {
	r := k.rooms[""]
	const ifb = "lt-check"
	// A test that fails to make its device or qdisc makes those after it fail
	// likewise, each with the kernel's own words.
	device := func() error {
		if _, err := r.links.LinkByName(ifb); err == nil {
			return nil
		}
		return k.addIFB(AddIFB{Device: ifb, MTU: DefaultMTU})
	}
	qdisc := func(kind, use string) featureTest {
		return featureTest{Feature{Name: kind, What: use, Need: fmt.Sprintf("CONFIG_NET_SCH_%s, module sch_%s", strings.ToUpper(kind), kind)}, func() error {
			if err := device(); err != nil {
				return err
			}
			i, err := r.device(ifb)
			if err != nil {
				return err
			}
			q := &netlink.GenericQdisc{
				QdiscAttrs: netlink.QdiscAttrs{LinkIndex: i, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
				QdiscType:  kind,
			}
			if err := r.links.QdiscAdd(q); err != nil {
				return err
			}
			return r.links.QdiscDel(q)
		}}
	}
	filter := func(name, use, need string, add func(at netlink.FilterAttrs) error) featureTest {
		return featureTest{Feature{Name: name, What: use, Need: need}, func() error {
			if err := device(); err != nil {
				return err
			}
			i, err := r.device(ifb)
			if err != nil {
				return err
			}
			if err := r.links.QdiscAdd(clsact(i)); err != nil {
				return fmt.Errorf("add clsact: %w", err)
			}
			return errors.Join(
				add(netlink.FilterAttrs{LinkIndex: i, Parent: netlink.HANDLE_MIN_EGRESS, Priority: 1, Protocol: unix.ETH_P_ALL}),
				r.links.QdiscDel(clsact(i)))
		}}
	}
	return []featureTest{
		qdisc("fq", "pacing"),
		filter("u32", "the way to the bottlenecks", "CONFIG_NET_CLS_U32, module cls_u32", func(at netlink.FilterAttrs) error {
			return r.links.FilterAdd(&netlink.U32{FilterAttrs: at, ClassId: netlink.MakeHandle(1, 1)})
		}),
		filter("matchall", "filters of every packet", "CONFIG_NET_CLS_MATCHALL, module cls_matchall", func(at netlink.FilterAttrs) error {
			return r.links.FilterAdd(&netlink.MatchAll{FilterAttrs: at, ClassId: netlink.MakeHandle(1, 1)})
		}),
		filter("flower", "filters by flow", "CONFIG_NET_CLS_FLOWER, module cls_flower", func(at netlink.FilterAttrs) error {
			at.Protocol = unix.ETH_P_IP
			return r.links.FilterAdd(&netlink.Flower{FilterAttrs: at, EthType: unix.ETH_P_IP, ClassId: netlink.MakeHandle(1, 1)})
		}),
		{Feature{Name: "bpf", What: "programs on packets", Need: "CONFIG_BPF_SYSCALL"}, func() error {
			fd, err := loadProgram()
			if err == nil {
				unix.Close(fd)
			}
			return err
		}},
		filter("bpf-filter", "programs on packets", "CONFIG_NET_CLS_BPF, module cls_bpf", func(at netlink.FilterAttrs) error {
			fd, err := loadProgram()
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return r.links.FilterAdd(&netlink.BpfFilter{FilterAttrs: at, Fd: fd, Name: "check", DirectAction: true})
		}),
		k.netemTest("netem-loss-ge", "bursty losses", "CONFIG_NET_SCH_NETEM, module sch_netem", device, ifb, func(q *Netem) func(Netem) bool {
			q.GE = trace.GE{P: 0.25, R: 0.5, LossBad: 1}
			return func(got Netem) bool { return got.GE.Enabled() }
		}),
		k.netemTest("netem-loss-4", "losses by the four-state model", "CONFIG_NET_SCH_NETEM, module sch_netem", device, ifb, func(q *Netem) func(Netem) bool {
			q.Markov = Markov{P13: 0.25, P31: 0.5, P23: 1}
			return func(got Netem) bool { return got.Markov != Markov{} }
		}),
		k.netemTest("netem-slot", "slots", "Linux 4.18, module sch_netem", device, ifb, func(q *Netem) func(Netem) bool {
			q.Slot.MinDelay, q.Slot.MaxDelay = time.Millisecond, 2*time.Millisecond
			return func(got Netem) bool { return got.Slot.MaxDelay == q.Slot.MaxDelay }
		}),
		k.netemTest("netem-table", "the jitter's distribution", "CONFIG_NET_SCH_NETEM, module sch_netem", device, ifb, func(q *Netem) func(Netem) bool {
			q.Delay, q.Jitter = 10*time.Millisecond, time.Millisecond
			q.DelayDist = []int16{-NetemDistScale, 0, NetemDistScale}
			return func(got Netem) bool { return got.Jitter == q.Jitter } // the kernel does not say the table back
		}),
		{Feature{Name: "offloads", What: "packets one by one", Need: "ethtool's features of veth"}, func() error {
			const dev = "lt-check0"
			attrs := netlink.NewLinkAttrs()
			attrs.Name = dev
			if err := r.links.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "lt-check1"}); err != nil {
				return err
			}
			return k.offloadsOff(OffloadsOff{Device: dev})
		}},
		{Feature{Name: "settings", What: "routers", Need: "/proc/sys that can be written"}, func() error {
			for _, s := range []Sysctl{{"ipv4/ip_forward", "1"}, {"ipv4/conf/all/rp_filter", "0"}} {
				if err := os.WriteFile("/proc/sys/net/"+s.Key, []byte(s.Value), 0); err != nil {
					return err
				}
			}
			return nil
		}},
	}
}

// netemTest is the test of one ability of netem: what is set must be read back.
func (k *kernel) netemTest(name, use, need string, device func() error, dev string, set func(*Netem) (kept func(Netem) bool)) featureTest {
	return featureTest{Feature{Name: name, What: use, Need: need}, func() error {
		if err := device(); err != nil {
			return err
		}
		i, err := k.rooms[""].device(dev)
		if err != nil {
			return err
		}
		q := Netem{LimitPackets: 1000}
		kept := set(&q)
		const handle = 0x7 << 16
		if err := k.request("", dev, []request{{kind: setNetem, handle: handle, parent: parentRoot, netem: &q}}); err != nil {
			return err
		}
		got, err := k.readNetem(i, handle)
		if err == nil && !kept(got) {
			err = errors.New("netem does not keep what it is given")
		}
		return errors.Join(err, k.rooms[""].links.QdiscDel(&netlink.GenericQdisc{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: i, Handle: handle, Parent: netlink.HANDLE_ROOT}, QdiscType: "netem",
		}))
	}}
}

// readNetem reads back a netem of the thread's namespace.
func (k *kernel) readNetem(ifindex int, handle uint32) (got Netem, err error) {
	found := false
	var decodeErr error
	err = k.rooms[""].conn.dumpQdiscs(func(q *QdiscInfo) {
		if int(q.Ifindex) == ifindex && q.Handle == handle {
			found = true
			got, decodeErr = DecodeNetem(q.Options)
		}
	})
	if err == nil && !found {
		err = errors.New("netem is not there")
	}
	return got, errors.Join(err, decodeErr)
}

// loadProgram loads a classifier that returns 0 (bpf(2): BPF_PROG_LOAD).
func loadProgram() (fd int, err error) {
	// mov64 r0, 0; exit (Documentation/bpf/standardization/instruction-set.rst).
	program := [...]byte{0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0}
	license := [...]byte{'G', 'P', 'L', 0}
	attr := struct { // the head of union bpf_attr
		kind, count   uint32
		code, license uint64
		_             [10]uint64 // log, version, flags, name: zero
	}{
		kind: unix.BPF_PROG_TYPE_SCHED_CLS, count: uint32(len(program) / 8),
		code: uint64(uintptr(unsafe.Pointer(&program))), license: uint64(uintptr(unsafe.Pointer(&license))),
	}
	n, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(&program)
	runtime.KeepAlive(&license)
	if errno != 0 {
		return -1, fmt.Errorf("load a program: %w", errno)
	}
	return int(n), nil
}

// finding is one that works unless fail is called.
func finding(name, what, value string) Finding {
	return Finding{Feature: Feature{Name: name, What: what}, Value: value}
}

func (f Finding) fail(cost, mend, format string, args ...any) Finding {
	f.Err, f.Cost, f.Mend = fmt.Sprintf(format, args...), cost, mend
	return f
}

func checkPrivileges() Finding {
	f := finding("privileges", "linkup up, replay", "")
	f.Vital = true
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		return nil
	})
	if err != nil {
		return f.fail("links are built without privileges only, and end with their command: linkup exec --rootless", "sudo linkup …", "%v", err)
	}
	return f
}

// checkUserNamespaces tries to make one. Two switches that bind ordinary users
// only are read besides, for root's sake: Debian's
// kernel.unprivileged_userns_clone and Ubuntu's AppArmor.
func checkUserNamespaces() Finding {
	f := finding("user-namespaces", "linkup exec --rootless", "")
	const cost = "no links without privileges"
	cmd := exec.Command("/proc/self/exe")
	cmd.Path, cmd.Args = "/bin/true", []string{"true"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		return f.fail(cost, "sysctl -w user.max_user_namespaces=10000, on a kernel with CONFIG_USER_NS; in a container: --privileged", "%v", err)
	}
	for _, s := range []struct{ key, bad string }{
		{"kernel/unprivileged_userns_clone", "0"}, {"kernel/apparmor_restrict_unprivileged_userns", "1"},
	} {
		if data, err := os.ReadFile("/proc/sys/" + s.key); err == nil && strings.TrimSpace(string(data)) == s.bad {
			good := strconv.Itoa(1 - int(s.bad[0]-'0'))
			name := strings.ReplaceAll(s.key, "/", ".")
			return f.fail(cost, "sysctl -w "+name+"="+good, "%s is %s", name, s.bad)
		}
	}
	return f
}

func checkHighResolution() Finding {
	f := finding("high-resolution", "timers finer than the kernel's tick", "")
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC, &res); err != nil {
		return f.fail("unknown", "", "%v", err)
	}
	if d := time.Duration(res.Nano()); d > time.Microsecond {
		return f.fail("queues, delays and steps are as coarse as the tick", "boot without highres=off, a kernel with CONFIG_HIGH_RES_TIMERS", "timers have a resolution of %v", d)
	}
	return f
}

func checkTimerSlack() Finding {
	f := finding("timer-slack", "a replay without real-time scheduling", "")
	var got int
	err := onOwnThread(func() (err error) {
		if err = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err == nil {
			got, err = unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		}
		return err
	})
	if err == nil && got != 1 {
		err = fmt.Errorf("it stays %d ns", got)
	}
	if err != nil {
		return f.fail("steps are some 50 µs later", "replay as root, for real-time scheduling", "%v", err)
	}
	return f
}

func checkRealTime() Finding {
	f := finding("real-time", "steps in time on a busy machine", "")
	err := onOwnThread(func() error {
		return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	})
	if err != nil {
		return f.fail("other programs delay steps, by milliseconds on a busy machine",
			"replay as root; or ulimit -r 1 (limits.conf: rtprio 1); in a container: --cap-add SYS_NICE", "SCHED_FIFO: %v", err)
	}
	return f
}

// memoryLockBytes is what a replay of a long tape keeps in memory.
const memoryLockBytes = 64 << 20

func checkMemoryLock() Finding {
	f := finding("memory-lock", "a replay that is never swapped out", "")
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim); err != nil {
		return f.fail("unknown", "", "%v", err)
	}
	if lim.Cur < memoryLockBytes && !capable(unix.CAP_IPC_LOCK) {
		return f.fail("a step is late when memory is short", fmt.Sprintf("ulimit -l %d, or replay as root", memoryLockBytes>>10),
			"at most %d KiB may be locked", lim.Cur>>10)
	}
	return f
}

// capable reports whether the thread has a capability in effect.
func capable(capability uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[capability/32].Effective&(1<<(capability%32)) != 0
}

func checkClock() Finding {
	const readings = 1000
	var t unix.Timespec
	start := time.Now()
	for range readings {
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
			return finding("clock", "the replay's clock", "").fail("unknown", "", "%v", err)
		}
	}
	each := time.Since(start) / readings
	source := "unnamed"
	const dir = "/sys/devices/system/clocksource/clocksource0/"
	if data, err := os.ReadFile(dir + "current_clocksource"); err == nil {
		source = strings.TrimSpace(string(data))
	}
	f := finding("clock", "the replay's clock", fmt.Sprintf("%s, %v a reading", source, each))
	if slices.Contains([]string{"hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"}, source) {
		mend := "boot with tsc=reliable clocksource=tsc, where the processor's counter is"
		if data, err := os.ReadFile(dir + "available_clocksource"); err == nil && slices.Contains(strings.Fields(string(data)), "tsc") {
			mend = "echo tsc > " + dir + "current_clocksource"
		}
		return f.fail("each look at the clock takes microseconds: steps are later, and busy waiting costs more", mend, "the clock source is %s", source)
	}
	return f
}

// filesPerNamespace is how many files a builder has open in each.
const filesPerNamespace = 4

func checkFiles() Finding {
	f := finding("open-files", "many links", "")
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return f.fail("unknown", "", "%v", err)
	}
	const spare = 50
	if need := uint64((MaxLinks+2)*filesPerNamespace + spare); lim.Max < need {
		return f.fail(fmt.Sprintf("at most %d links at once", (lim.Max-spare)/filesPerNamespace-2), fmt.Sprintf("ulimit -n %d", need),
			"at most %d files may be open, %d links need %d", lim.Max, MaxLinks, need)
	}
	return f
}

// setting reads a kernel parameter of the host.
func setting(key string) string {
	data, err := os.ReadFile("/proc/sys/" + key)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}

func checkBacklog() Finding {
	const key, want = "net.core.netdev_max_backlog", 10000
	value := setting("net/core/netdev_max_backlog")
	f := finding("backlog", "bursts between namespaces", value)
	if n, err := strconv.Atoi(value); err == nil && n < want {
		return f.fail(fmt.Sprintf("bursts of more than %d packets from one namespace to the next lose the rest, unseen by the links' counters", n),
			fmt.Sprintf("sysctl -w %s=%d", key, want), "%s is %d", key, n)
	}
	return f
}

// checkForwarding only says what is: links have routers of their own, where
// they set it.
func checkForwarding() Finding {
	return finding("forwarding", "the host's own routing; links set theirs", "net.ipv4.ip_forward is "+setting("net/ipv4/ip_forward"))
}

// checkReversePath is about links that end in the host's own namespace.
func checkReversePath() Finding {
	value := setting("net/ipv4/conf/all/rp_filter")
	f := finding("rp_filter", "links that end in the host itself", "net.ipv4.conf.all.rp_filter is "+value)
	if value == "1" {
		return f.fail("what comes by another link than the route back is dropped, where a link ends in the host's own namespace; others set their own",
			"sysctl -w net.ipv4.conf.all.rp_filter=2", "net.ipv4.conf.all.rp_filter is 1 (strict)")
	}
	return f
}
