package probe

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"linktape/record"
	"linktape/record/stamp"
	"linktape/trace"
)

// Generator is what the metadata says made the tape.
const Generator = "record probe 1"

// Options say how to probe.
type Options struct {
	Links    []LinkSpec // ordered by name
	Duration time.Duration
	Record   record.Options // with its defaults
	Sparse   bool           // no load: echoes only
	Load     trace.BitRate  // of each link; 0: adaptive
	Unknown  trace.BitRate  // the tape's rate of directions without load
	Max      trace.BitRate  // of an adaptive load
	Bytes    int            // of a probe's IP packet
	Echo     time.Duration  // from one echo to the next
	Timeout  time.Duration  // a probe that took longer was lost
	Offset   *time.Duration // the server's clock is ahead by this; nil: estimated
}

// Result is what was found.
type Result struct {
	Length time.Duration  `json:"duration_ns"`
	Stats  []record.Stats `json:"directions"`
	Offset time.Duration  `json:"clock_offset_ns"`
	How    string         `json:"clock_offset_how"`
	Bound  time.Duration  `json:"clock_offset_error_ns"` // at most, by the quickest round trip
	Drift  float64        `json:"clock_drift_ppm"`       // of the server's clock, by the times without load
	Unsent int64          `json:"refused"`               // probes that a link's socket did not take
	Start  time.Time      `json:"start"`
}

// Sinks take what is recorded. Begin is called once, when the offset is known.
type Sinks struct {
	Begin    func(r *Result, base map[trace.LinkDir]time.Duration) error
	Steps    func([]trace.Step) error
	Bins     func(*record.Bin) error // may be nil
	Progress func(float64)           // likewise
}

// calm is the time without load before and after a recording.
const calm = time.Second

// MinBytes is the smallest probe, an IP packet.
const MinBytes = headerBytes + 48

type client struct {
	opts    Options
	links   []*link
	session uint64
	control net.Conn
	beat    atomic.Int64 // the server's time up to which everything is reported
	failed  chan error
	loaded  atomic.Bool
	unsent  atomic.Int64
	stop    chan struct{}
	wait    sync.WaitGroup
}

// Run probes links until the time is over or the context ends.
func Run(ctx context.Context, opts Options, sinks Sinks) (_ *Result, err error) {
	c := &client{opts: opts, session: rand.Uint64(), failed: make(chan error, 1), stop: make(chan struct{})}
	defer func() {
		close(c.stop)
		if c.control != nil {
			c.control.Close()
		}
		for _, l := range c.links {
			l.conn.Close()
		}
		c.wait.Wait()
	}()
	for _, s := range opts.Links {
		conn, err := s.dial()
		if err != nil {
			return nil, err
		}
		c.links = append(c.links, &link{LinkSpec: s, conn: conn, answers: map[uint64]int64{}, buckets: map[int64]int64{}, load: Load{Max: opts.Max}})
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	for i := range c.links {
		c.wait.Go(func() { c.read(i) })
		c.wait.Go(func() { c.send(i) })
	}
	return c.run(ctx, sinks)
}

// connect opens the connection for reports, by the first link that reaches the
// server.
func (c *client) connect(ctx context.Context) error {
	var faults []error
	for _, l := range c.links {
		d := net.Dialer{Timeout: 5 * time.Second}
		if l.Source.IsValid() {
			d.LocalAddr = &net.TCPAddr{IP: l.Source.AsSlice()}
		}
		conn, err := d.DialContext(ctx, "tcp", l.Server.String())
		if err != nil {
			faults = append(faults, fmt.Errorf("link %s: %w", l.Name, err))
			continue
		}
		var hello [helloBytes]byte
		binary.BigEndian.PutUint32(hello[:], magic)
		binary.BigEndian.PutUint64(hello[4:], c.session)
		if _, err := conn.Write(hello[:]); err != nil {
			conn.Close()
			return err
		}
		c.control = conn
		c.wait.Go(c.reports)
		return nil
	}
	return fmt.Errorf("no link reaches the server; run record probe serve there:\n%w", errors.Join(faults...))
}

// reports reads what the server says.
func (c *client) reports() {
	in := bufio.NewReaderSize(c.control, 256<<10)
	var b [reportBytes]byte
	for {
		_, err := io.ReadFull(in, b[:])
		var r report
		if err == nil {
			err = r.parse(b[:])
		}
		if err != nil {
			c.failed <- fmt.Errorf("the server's reports end: %w", err)
			return
		}
		switch {
		case r.kind == kindBeat:
			c.beat.Store(r.received)
		case int(r.link) < len(c.links):
			c.links[r.link].reported(&r)
		}
	}
}

// read reads echoes.
func (c *client) read(i int) {
	l := c.links[i]
	buf, control := make([]byte, 2048), make([]byte, stamp.Room)
	for {
		n, k, _, _, err := l.conn.ReadMsgUDPAddrPort(buf, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		var m message
		if err != nil || m.parse(buf[:n]) != nil || m.kind != kindEcho || m.session != c.session || int(m.link) != i {
			continue
		}
		at := time.Now().UnixNano()
		if v, ok := stamp.Of(control[:k]); ok {
			at = v
		}
		l.answered(&m, at)
	}
}

// send sends probes: small ones that want an echo at their interval, and the load
// between them.
func (c *client) send(i int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := c.links[i]
	buf := make([]byte, c.opts.Bytes)
	header := 28
	if l.Server.Addr().Is6() {
		header = 48
	}
	shoot := func(size int, echo bool) {
		now := time.Now().UnixNano()
		m := message{kind: kindProbe, link: byte(i), echo: echo, session: c.session, sent: now, number: l.next(now, size)}
		m.put(buf)
		if _, err := l.conn.WriteToUDPAddrPort(buf[:size-header], l.Server); err != nil {
			c.unsent.Add(1)
		}
	}
	start := time.Now()
	nextEcho, nextLoad := start, start
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-timer.C:
		}
		now := time.Now()
		for !nextEcho.After(now) {
			nextEcho = nextEcho.Add(c.opts.Echo)
			if nextEcho.After(now.Add(-10 * time.Millisecond)) {
				shoot(headerBytes+header, true)
			}
		}
		next := nextEcho
		if c.loaded.Load() && !c.opts.Sparse {
			rate := c.opts.Load
			if rate == 0 {
				l.mu.Lock()
				rate = l.load.Rate()
				l.mu.Unlock()
			}
			if nextLoad.Before(now.Add(-5 * time.Millisecond)) {
				nextLoad = now.Add(-5 * time.Millisecond) // what was missed is not made up for
			}
			gap := time.Duration(int64(c.opts.Bytes) * 8 * int64(time.Second) / int64(rate))
			for !nextLoad.After(now) {
				shoot(c.opts.Bytes, false)
				nextLoad = nextLoad.Add(gap)
			}
			if nextLoad.Before(next) {
				next = nextLoad
			}
		} else {
			nextLoad = now
			if wake := now.Add(20 * time.Millisecond); wake.Before(next) {
				next = wake
			}
		}
		timer.Reset(time.Until(next))
	}
}

// quickest returns the quickest exchange of all links since it was called last.
func (c *client) quickest() (best exchange, name string, ok bool) {
	for _, l := range c.links {
		l.mu.Lock()
		if l.any && (!ok || l.best.up+l.best.down < best.up+best.down) {
			best, name, ok = l.best, l.Name, true
		}
		l.mu.Unlock()
	}
	return best, name, ok
}

func (c *client) sleep(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-c.failed:
		return err
	case <-timer.C:
		return nil
	}
}

func (c *client) run(ctx context.Context, sinks Sinks) (*Result, error) {
	if err := c.sleep(ctx, time.Now().Add(calm)); err != nil {
		return nil, err
	}
	best, name, ok := c.quickest()
	if !ok {
		var all []string
		for _, l := range c.links {
			all = append(all, l.Name)
		}
		return nil, fmt.Errorf("no probe was answered on %s: does the server run, and does UDP to it pass?", strings.Join(all, ", "))
	}
	res := &Result{Offset: time.Duration((best.up - best.down) / 2), Bound: time.Duration((best.up + best.down) / 2)}
	res.How = fmt.Sprintf("estimated from the quickest exchange, on %s, taken to be equally quick both ways", name)
	if c.opts.Offset != nil {
		res.Offset, res.How, res.Bound = *c.opts.Offset, "given", 0
	}
	offset := int64(res.Offset)
	base := map[trace.LinkDir]time.Duration{}
	var channels []record.Channel
	for _, l := range c.links {
		l.mu.Lock()
		l.base = time.Duration(l.best.up) // as raw as the delays that are compared with it
		up, down := time.Duration(l.best.up-offset), time.Duration(l.best.down+offset)
		l.mu.Unlock()
		for _, ch := range []record.Channel{
			{LinkDir: trace.LinkDir{Link: l.Name, Dir: trace.Down}, Base: down, Rate: c.opts.Unknown},
			{LinkDir: trace.LinkDir{Link: l.Name, Dir: trace.Up}, Base: up},
		} {
			if ch.Dir == trace.Up && c.opts.Sparse {
				ch.Rate = c.opts.Unknown
			}
			channels = append(channels, ch)
			base[ch.LinkDir] = ch.Base
		}
	}
	startAt := time.Now()
	start := startAt.UnixNano()
	res.Start = startAt
	if err := sinks.Begin(res, base); err != nil {
		return nil, err
	}
	rec := record.New(channels, c.opts.Duration, c.opts.Record, sinks.Steps, sinks.Bins)
	c.loaded.Store(true)
	settle := func(before int64) error {
		for i, l := range c.links {
			l.settle(before, start, offset,
				func(f record.Flight) { rec.Flight(2*i+1, f) }, func(f record.Flight) { rec.Flight(2*i, f) })
		}
		return rec.Settled(time.Duration(before - start))
	}
	length := time.Duration(record.Bins(c.opts.Duration, c.opts.Record.Step)) * c.opts.Record.Step
	var failure error
	const every = 50 * time.Millisecond
	for next := startAt.Add(every); next.Sub(startAt) <= length; next = next.Add(every) {
		if failure = c.sleep(ctx, next); failure != nil {
			length = rec.Shorten(time.Since(startAt))
			break
		}
		beat := c.beat.Load()
		for _, l := range c.links {
			l.mu.Lock()
			l.load.Adapt(l.delivered(beat), l.wait)
			l.mu.Unlock()
		}
		if before := min(time.Now().UnixNano(), beat-offset) - int64(c.opts.Timeout); before > start {
			if err := settle(before); err != nil {
				return nil, err
			}
		}
		if sinks.Progress != nil {
			sinks.Progress(float64(time.Since(startAt)) / float64(length))
		}
	}
	c.loaded.Store(false)
	end := start + int64(length)
	for _, l := range c.links { // for the drift
		l.mu.Lock()
		l.any = false
		l.mu.Unlock()
	}
	interrupted := failure != nil && ctx.Err() != nil
	if failure != nil && !interrupted {
		return nil, failure
	}
	// Until every probe has had its time, and the queues are empty again.
	bg := context.WithoutCancel(ctx)
	deadline := time.Now().Add(c.opts.Timeout + 10*time.Second)
	for c.beat.Load()-offset < end+int64(c.opts.Timeout) {
		if time.Now().After(deadline) {
			return nil, errors.New("the server's reports do not arrive any more")
		}
		if err := c.sleep(bg, time.Now().Add(every)); err != nil {
			return nil, err
		}
	}
	if last, _, ok := c.quickest(); ok {
		// The times between which the two offsets were taken.
		span := time.Since(startAt).Seconds()
		res.Drift = (float64(last.up-last.down)/2 - float64(best.up-best.down)/2) / span / 1000
	}
	if err := settle(end); err != nil {
		return nil, err
	}
	res.Length = length
	res.Unsent = c.unsent.Load()
	stats, err := rec.Finish()
	res.Stats = stats
	return res, err
}

// Meta is the metadata of the tape, but for its duration.
func (o *Options) Meta(r *Result, base map[trace.LinkDir]time.Duration) trace.Meta {
	m := trace.Meta{Generator: Generator}
	load := "adapted to just more than the link carries, at most " + o.Max.String()
	if o.Load > 0 {
		load = o.Load.String()
	}
	for _, l := range o.Links {
		m.Links = append(m.Links, trace.Link{Name: l.Name, Up: true, Down: true})
		for _, d := range []trace.Direction{trace.Down, trace.Up} {
			choices := o.Record.Choices()
			choices["server"] = l.Server.String()
			choices["device"] = l.Device
			if l.Source.IsValid() {
				choices["source"] = l.Source.String()
			}
			choices["load"] = load
			if d == trace.Down || o.Sparse {
				choices["rate"] = "not measured: " + o.Unknown.String() + " stands in"
				choices["load"] = "echoes each " + o.Echo.String() + " only"
			}
			choices["clock_offset"] = fmt.Sprintf("%v, %s", r.Offset, r.How)
			choices["base_delay"] = base[trace.LinkDir{Link: l.Name, Dir: d}].String()
			choices["timeout"] = o.Timeout.String()
			choices["start"] = r.Start.UTC().Format(time.RFC3339Nano)
			m.Sources = append(m.Sources, trace.Source{Link: l.Name, Dir: d.String(), Format: "probe", Choices: choices})
		}
	}
	return m
}

// Check says what is wrong with the options.
func (o *Options) Check() error {
	var faults []error
	if n := len(o.Links); n == 0 || n > maxLinks {
		faults = append(faults, fmt.Errorf("%d links: give 1 to %d", n, maxLinks))
	}
	if !slices.IsSortedFunc(o.Links, func(a, b LinkSpec) int { return strings.Compare(a.Name, b.Name) }) {
		faults = append(faults, errors.New("links are not in the order of their names"))
	}
	if o.Bytes < MinBytes || o.Bytes > 9000 {
		faults = append(faults, fmt.Errorf("%d bytes: write %d to 9000", o.Bytes, MinBytes))
	}
	if o.Echo < time.Millisecond || o.Echo > time.Second {
		faults = append(faults, fmt.Errorf("echo %v: write 1ms to 1s", o.Echo))
	}
	if o.Timeout < 10*time.Millisecond || o.Timeout > time.Minute {
		faults = append(faults, fmt.Errorf("timeout %v: write 10ms to 1m", o.Timeout))
	}
	if o.Duration < o.Record.Step {
		faults = append(faults, fmt.Errorf("duration %v: write at least a step, %v", o.Duration, o.Record.Step))
	}
	if o.Unknown <= 0 {
		faults = append(faults, errors.New("no rate for directions without load"))
	}
	if o.Load == 0 && !o.Sparse && o.Max < leastLoad {
		faults = append(faults, fmt.Errorf("max %v: write at least %v", o.Max, leastLoad))
	}
	return errors.Join(faults...)
}
