package netsetup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// newRecord is the record of a plan that is about to be carried out.
func newRecord(p *Plan) (*record, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	r := &record{
		Format: runFormat, Run: p.Run, Created: time.Now().UTC(), Boot: boot,
		Features: p.Features, Topology: p.Topology,
	}
	if r.Builder, err = identifyProcess(os.Getpid()); err != nil {
		return nil, fmt.Errorf("record the builder of run %s: %w", p.Run, err)
	}
	if p.Owner != 0 {
		owner, err := identifyProcess(p.Owner)
		if err != nil {
			return nil, fmt.Errorf("record the owner of run %s: %w", p.Run, err)
		}
		r.Owner = &owner
	}
	return r, nil
}

// bootID names the kernel's boot (drivers/char/random.c: proc_do_uuid).
func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("tell this boot from others: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// ofThisBoot reports whether the run can have anything in the kernel.
func (r *record) ofThisBoot() (bool, error) {
	boot, err := bootID()
	return r.Boot == boot, err
}

// identifyProcess says which process has a number now.
func identifyProcess(pid int) (processID, error) {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return processID{}, err
	}
	start, err := startOf(pid)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("there is no process %d", pid)
	}
	return processID{pid, start, ns}, err
}

// startOf is when a process started, in clock ticks after boot (fs/proc/array.c:
// do_task_stat, the 22nd field). The second field, the command in parentheses,
// may hold anything.
func startOf(pid int) (uint64, error) {
	file := "/proc/" + strconv.Itoa(pid) + "/stat"
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("%s: %d fields", file, len(fields)+2)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// ended reports whether the process is gone. One whose number counts in another
// PID namespace cannot be seen from here and is taken for alive.
func (p processID) ended() bool {
	if ns, err := os.Readlink("/proc/self/ns/pid"); err != nil || ns != p.Namespace {
		return false
	}
	start, err := startOf(p.PID)
	return errors.Is(err, os.ErrNotExist) || err == nil && start != p.Start
}

// GC takes down the runs that nobody else will: those that [Up] did not
// complete, whose process is gone; those with an owner ([Plan.Owner]) that has
// ended; and those of a former boot, of which only the record is left. A
// complete run without an owner stays: it is meant to outlive the process that
// built it. kill is as for [Down]. With dry set, GC only says what it would do.
//
// A builder is known to be gone by the run's lock, which the kernel releases
// with the process, in whichever PID namespace.
func GC(kill, dry bool) ([]Garbage, error) {
	files, err := filepath.Glob(filepath.Join(StateDir, "*"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		name, ext := strings.TrimSuffix(filepath.Base(f), filepath.Ext(f)), filepath.Ext(f)
		if slices.Contains([]string{".json", ".new", ".lock"}, ext) && checkRunName(name) == nil {
			names = append(names, name)
		}
	}
	var out []Garbage
	for _, name := range slices.Compact(names) { // sorted by Glob
		g, err := collect(name, kill, dry)
		if err != nil {
			return out, err
		}
		if g != nil {
			out = append(out, *g)
		}
	}
	if !dry {
		os.Remove(StateDir) // succeeds when nothing is in it
	}
	return out, nil
}

// collect takes one run down if it is garbage.
func collect(run string, kill, dry bool) (*Garbage, error) {
	if _, err := os.Stat(StateDir); err != nil {
		return nil, nil // the last run has just gone
	}
	unlock, err := lockRun(run)
	if errors.Is(err, errInUse) {
		return nil, nil // its builder, or a replay, is alive
	}
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := readRecord(run)
	if errors.Is(err, errNoRun) {
		if _, err := os.Stat(newRecordFile(run)); err != nil {
			return nil, nil // at most a lock, which goes by being unlocked
		}
		g := &Garbage{Run: run, Why: "it was not even begun"}
		if dry {
			return g, nil
		}
		return g, forget(run)
	}
	if err != nil {
		return &Garbage{Run: run, Why: "its record is of no use", Left: err.Error()}, nil
	}
	g := &Garbage{Run: run}
	here, err := r.ofThisBoot()
	switch {
	case err != nil:
		return nil, err
	case !here:
		g.Why = "the computer was started again since it was built"
	case !r.Complete:
		g.Why = fmt.Sprintf("it was left half-built by process %d", r.Builder.PID)
	case r.Owner != nil && r.Owner.ended():
		g.Why = fmt.Sprintf("its owner, process %d, has ended", r.Owner.PID)
	default:
		return nil, nil
	}
	if dry {
		return g, nil
	}
	if err := r.takeDown(kill); err != nil {
		g.Left = err.Error()
	}
	return g, nil
}

// tidy removes what a process that was killed around the first or last moment
// of a run left of it: the lock, and a record that did not get its name.
func tidy(run string) error {
	found := false
	for _, file := range []string{newRecordFile(run), lockFile(run)} {
		_, err := os.Stat(file)
		found = found || err == nil
	}
	if !found {
		os.Remove(StateDir) // succeeds when nothing else is in it
		return nil
	}
	unlock, err := lockRun(run)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(recordFile(run)); err == nil {
		return nil // made meanwhile
	}
	return forget(run)
}
