package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"linktape/internal/lab"
)

// What our patches to the kernel could break.

// clockCost is what reading the clock costs in virtual time (arch/um/kernel/time.c:
// timer_read).
const clockCost = 256 * time.Nanosecond

// readClock is the role "clock": it prints what a reading costs through the vDSO
// and through a system call, and how late another thread's timer is while this
// one spins on the clock.
func readClock([]string) error {
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	base := time.Now()
	system := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			panic(err)
		}
		return ts.Nano()
	}
	const readings, tries = 1000, 100
	least := time.Hour // a thread of the runtime may run in between
	var last, lastWall time.Duration
	for range tries {
		before := system()
		for range readings {
			now := time.Since(base)
			if now <= last {
				return fmt.Errorf("the clock went from %v to %v", last, now)
			}
			last = now
		}
		least = min(least, time.Duration(system()-before))
		wall := time.Duration(time.Now().UnixNano()) // CLOCK_REALTIME
		if wall <= lastWall {
			return fmt.Errorf("the wall clock went from %v to %v", lastWall, wall)
		}
		lastWall = wall
	}
	fmt.Println("readings", int64(least))

	const sleep = 5 * time.Millisecond
	var late atomic.Int64
	started := make(chan bool)
	go func() {
		runtime.LockOSThread()
		close(started)
		until := system() + int64(sleep)
		at := unix.NsecToTimespec(until)
		for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
		}
		late.Store(system() - until)
	}()
	<-started
	for spun := time.Now(); late.Load() == 0; {
		if time.Since(spun) > time.Second {
			return fmt.Errorf("a timer of %v has not gone off after a second of spinning", sleep)
		}
	}
	fmt.Println("late", late.Load())
	return nil
}

// Reading the clock costs the same with and without a system call, goes
// forwards, and does not keep others' timers waiting.
func TestClock(t *testing.T) {
	_, out := inLab(t, "clock")
	var cost, late int64
	if _, err := fmt.Sscanf(out, "readings %d\nlate %d", &cost, &late); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	// A thousand through the vDSO, and the one that ends the try.
	if want := int64(1001 * clockCost); cost != want {
		t.Errorf("1000 readings took %d ns, want %d", cost, want)
	}
	// The timer slack of an ordinary thread, and a tick at most until the
	// scheduler takes the CPU away from the one that spins.
	const most = 50*time.Microsecond + 10*time.Millisecond
	if time.Duration(late) > most {
		t.Errorf("a timer was %v late beside a thread that spins, want at most %v", time.Duration(late), most)
	}
	t.Logf("late by %v", time.Duration(late))
}

// sums is the role "sums ROUNDS": threads hash pages that are not in memory yet,
// while signals and each other interrupt them. The hash's state is in vector
// registers all the time.
func sums(args []string) error {
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	const threads, pages = 6, 128
	data := make([]byte, pages*os.Getpagesize())
	for i := 0; i < len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], uint64(i)*0x9E3779B97F4A7C15)
	}
	want := sha256.Sum256(data)
	if err := os.WriteFile("data", data, 0o666); err != nil {
		return err
	}
	file, err := os.Open("data")
	if err != nil {
		return err
	}
	defer file.Close()
	var wrong, done atomic.Int64
	var work sync.WaitGroup
	ids := make(chan int, threads)
	for range threads {
		work.Go(func() {
			runtime.LockOSThread()
			ids <- unix.Gettid()
			for range rounds {
				m, err := unix.Mmap(int(file.Fd()), 0, len(data), unix.PROT_READ, unix.MAP_PRIVATE)
				if err != nil || sha256.Sum256(m) != want {
					wrong.Add(1)
				}
				unix.Munmap(m)
				done.Add(1)
			}
		})
	}
	var tids []int
	for range threads {
		tids = append(tids, <-ids)
	}
	go func() { // the runtime takes SIGURG for a request to preempt
		for done.Load() < int64(threads*rounds) {
			for _, tid := range tids {
				unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	work.Wait()
	if n := wrong.Load(); n > 0 {
		return fmt.Errorf("%d of %d sums are wrong", n, threads*rounds)
	}
	return nil
}

// Threads, page faults and signals keep the registers of the others. In real
// time the kernel's timer also takes the CPU away from a thread that computes.
func TestVectorRegisters(t *testing.T) {
	for _, kind := range []lab.Time{lab.Virtual, lab.Real} {
		t.Run(string(kind), func(t *testing.T) { inLabAt(t, kind, "sums", "200") })
	}
}
