package netsetup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func recordFile(run string) string    { return filepath.Join(StateDir, run+".json") }
func newRecordFile(run string) string { return filepath.Join(StateDir, run+".new") }
func lockFile(run string) string      { return filepath.Join(StateDir, run+".lock") }

// errInUse marks the error of a run that another process has locked.
var errInUse = errors.New("is in use")

// lockRun takes the lock of a run, which ends with the process if nothing else
// ends it. Two commands on one run at once would undo each other's work.
func lockRun(run string) (unlock func(), err error) {
	if err := os.MkdirAll(StateDir, 0o755); err != nil {
		return nil, fmt.Errorf("lock run %s: %w: run as root", run, err)
	}
	file := lockFile(run)
	for {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, os.ErrNotExist) { // the last run has just gone, and the folder with it
			if err := os.MkdirAll(StateDir, 0o755); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("lock run %s: %w: run as root", run, err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			return nil, fmt.Errorf("run %s %w by another linkup or replay: wait for it to end", run, errInUse)
		}
		// The one that held it may have removed the file meanwhile.
		mine, err1 := f.Stat()
		now, err2 := os.Stat(file)
		if err1 == nil && err2 == nil && os.SameFile(mine, now) {
			return func() {
				os.Remove(file)
				f.Close()
				os.Remove(StateDir) // succeeds when the last run is gone
			}, nil
		}
		f.Close()
	}
}

func writeRecord(r *record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	// The run is locked, so that the new file has one writer; a process that
	// was killed here left one that is written over or goes with the run.
	file := newRecordFile(r.Run)
	err = writeSynced(file, append(data, '\n'))
	if err == nil {
		err = os.Rename(file, recordFile(r.Run))
	}
	if err != nil {
		os.Remove(file)
		return fmt.Errorf("record run %s: %w", r.Run, err)
	}
	return syncDir(StateDir)
}

// writeSynced writes a file that is whole on the disk when its new name is,
// where /run is on one.
func writeSynced(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir waits until the names in a folder are on the disk.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("write %s to disk: %w", dir, err)
	}
	return nil
}

// errNoRun marks the error of a run that is not recorded.
var errNoRun = errors.New("there is no run")

func readRecord(run string) (*record, error) {
	if err := checkRunName(run); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(recordFile(run))
	if errors.Is(err, os.ErrNotExist) {
		runs, _ := Runs()
		if len(runs) == 0 {
			return nil, fmt.Errorf("%w %s, nor any other: build one with linkup up", errNoRun, run)
		}
		return nil, fmt.Errorf("%w %s: there are %s", errNoRun, run, strings.Join(runs, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	r := new(record)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read run %s: %s: %w: remove its namespaces (ip netns list: %s) with ip netns del, and the file", run, recordFile(run), err, Namespace(run, "*"))
	}
	if r.Format != runFormat || r.Run != run || r.Topology == nil {
		return nil, fmt.Errorf("read run %s: %s: not made by this version of linkup (format %d, run %q): use the one that made it", run, recordFile(run), r.Format, r.Run)
	}
	for i := range r.Topology.Links { // a record from before there were trees
		if l := &r.Topology.Links[i]; l.Tree == "" {
			l.Tree = TreeSeparated
		}
	}
	return r, nil
}

// Runs lists the recorded runs.
func Runs() ([]string, error) {
	files, err := filepath.Glob(recordFile("*"))
	var runs []string
	for _, f := range files {
		runs = append(runs, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return runs, err
}

// Up carries a plan out: all of it, or nothing where a step fails or ctx ends.
// It refuses a run that exists and never touches what it did not make.
func Up(ctx context.Context, p *Plan, progress func(fraction float64)) error {
	unlock, err := lockRun(p.Run)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(recordFile(p.Run)); err == nil {
		return fmt.Errorf("run %s exists: remove it with linkup down %s, or choose another --name", p.Run, p.Run)
	}
	r, err := newRecord(p)
	if err != nil {
		return err
	}
	for _, ns := range p.Namespaces() {
		if namespaceExists(ns) {
			return fmt.Errorf("namespace %s exists and is not of any run: remove it with ip netns del %s, or choose another --name", ns, ns)
		}
	}
	found, err := survey(p)
	if err != nil {
		return fmt.Errorf("build run %s: %w", p.Run, err)
	}
	p = p.with(found)
	r.Found = found
	// From here on whatever exists under the plan's names is this run's, also
	// if the process is killed.
	if err := writeRecord(r); err != nil {
		return err
	}
	err = carryOut(ctx, p, progress)
	if err == nil {
		r.Complete = true
		err = writeRecord(r)
	}
	if err == nil {
		return nil
	}
	if left := undo(p); left != nil {
		return fmt.Errorf("build run %s: %w; then undo it: %w: remove the rest with linkup down %s", p.Run, err, left, p.Run)
	}
	return fmt.Errorf("build run %s: %w; nothing is left of it", p.Run, err)
}

func carryOut(ctx context.Context, p *Plan, progress func(float64)) error {
	k := newKernel()
	k.found = p.Found
	defer k.Close()
	for i, op := range p.Ops {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("stopped after %d of %d steps: %w", i, len(p.Ops), err)
		}
		if err := k.do(op); err != nil {
			return fmt.Errorf("step %d of %d: %s: %w", i+1, len(p.Ops), oneLine(op), err)
		}
		if progress != nil {
			progress(float64(i+1) / float64(len(p.Ops)))
		}
	}
	return nil
}

// oneLine is a step's commands in one line.
func oneLine(op Op) string { return strings.ReplaceAll(op.String(), "\n", "; ") }

// undo takes back every step of a plan, in reverse, and forgets the run. It
// goes on after an error, and keeps the record then.
func undo(p *Plan) error {
	if err := p.takeBack(); err != nil {
		return err
	}
	return forget(p.Run)
}

// forget removes the record of a run.
func forget(run string) error {
	for _, file := range []string{newRecordFile(run), recordFile(run)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forget run %s: %w%s", run, err, asRoot(err))
		}
	}
	return nil
}

// Down removes what a run made, also when [Up] did not get to its end. A
// process inside would keep its namespace alive, so it is an error, unless
// kill is set: then every process inside is killed. A namespace that has a name
// of the run but was not made by it stays, and is an error.
func Down(run string, kill bool) error {
	if err := checkRunName(run); err != nil {
		return err
	}
	if _, err := readRecord(run); err != nil {
		if errors.Is(err, errNoRun) {
			err = errors.Join(err, tidy(run))
		}
		return err
	}
	unlock, err := lockRun(run)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := readRecord(run)
	if err != nil {
		return err
	}
	return r.takeDown(kill)
}

// takeDown removes a run that is locked.
func (r *record) takeDown(kill bool) error {
	p, err := r.plan()
	if err != nil {
		return err
	}
	if here, err := r.ofThisBoot(); err != nil {
		return err
	} else if !here {
		return forgetBoot(p)
	}
	if err := evict(p, kill); err != nil {
		return err
	}
	return undo(p)
}

// forgetBoot forgets a run of a former boot. Where /run outlives a boot the
// names of its namespaces are left, as empty files; whatever else has these
// names was made since.
func forgetBoot(p *Plan) error {
	for _, ns := range p.Namespaces() {
		kind, err := inspectNamespace(ns)
		if err == nil && kind == emptyName {
			err = removeNamespace(ns)
		}
		if err != nil {
			return err
		}
	}
	return forget(p.Run)
}

// DownAll removes every run; see [Down]. It goes on after an error and returns
// all of them.
func DownAll(kill bool) error {
	runs, err := Runs()
	if err != nil {
		return err
	}
	var errs []error
	for _, run := range runs {
		if err := Down(run, kill); err != nil && !errors.Is(err, errNoRun) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// evict makes sure that no process is left in a plan's namespaces.
func evict(p *Plan, kill bool) error {
	const patience = 2 * time.Second
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		inside, err := processesIn(p.Namespaces())
		if err != nil || len(inside) == 0 {
			return err
		}
		if !kill || time.Now().After(end) {
			var names []string
			for _, x := range inside {
				names = append(names, fmt.Sprintf("%s (process %d)", x.Command, x.PID))
			}
			return fmt.Errorf("run %s is in use by %s: stop it first, or use --kill", p.Run, strings.Join(names, ", "))
		}
		for _, x := range inside {
			if x.PID == os.Getpid() {
				return fmt.Errorf("run %s is in use by this command itself: call it from outside", p.Run)
			}
			if err := unix.Kill(x.PID, unix.SIGKILL); err != nil && err != unix.ESRCH {
				return fmt.Errorf("kill %s (process %d): %w", x.Command, x.PID, err)
			}
		}
	}
}
