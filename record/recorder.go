package record

import (
	"fmt"
	"slices"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// Flight is what became of a packet. Times are by one clock, from the start of
// the recording.
type Flight struct {
	Sent   time.Duration
	Delay  time.Duration // one way; of the first copy that arrived
	Bytes  int           // of the IP packet
	Lost   bool          // it did not arrive; there is no Delay then
	Copies int           // further arrivals
	Late   bool          // a packet that was sent later arrived before it (RFC 4737, section 3.3)
}

// Channel is a direction that is recorded.
type Channel struct {
	trace.LinkDir
	Base time.Duration // the smallest one-way delay: that of the path with an empty queue

	// Rate is what the tape says in place of the throughput, where the packets were
	// too few to say anything of the link; 0: the throughput.
	Rate trace.BitRate
}

// Labels of bins.
const (
	LabelQueued = "queued" // every packet waited
	LabelIdle   = "idle"   // nothing was sent and nothing arrived
	LabelOutage = "outage" // packets were sent or waiting, and none arrived
)

// Bin is what one direction did in one bin. Counts are of packets; what has no
// packet to be known by is −1.
type Bin struct {
	At             int64  `parquet:"t_ns"`
	Link           string `parquet:"link"`
	Dir            string `parquet:"dir"`
	Sent           int64  `parquet:"sent"` // delivered and lost
	Delivered      int64  `parquet:"delivered"`
	Lost           int64  `parquet:"lost"`
	Duplicates     int64  `parquet:"duplicates"`
	Reordered      int64  `parquet:"reordered"`
	DeliveredBytes int64  `parquet:"delivered_bytes"`
	LostBytes      int64  `parquet:"lost_bytes"`
	DelayMin       int64  `parquet:"delay_min_ns"`
	DelayMedian    int64  `parquet:"delay_median_ns"`
	DelayMax       int64  `parquet:"delay_max_ns"`
	Jitter         int64  `parquet:"jitter_ns"`
	Label          string `parquet:"label"`
}

// Stats sums up a direction.
type Stats struct {
	Link           string        `json:"link"`
	Dir            string        `json:"dir"`
	Sent           int64         `json:"sent"`
	Delivered      int64         `json:"delivered"`
	Lost           int64         `json:"lost"`
	Loss           float64       `json:"loss"`
	Duplicates     int64         `json:"duplicates"`
	Reordered      int64         `json:"reordered"`
	DeliveredBytes int64         `json:"delivered_bytes"`
	Throughput     float64       `json:"throughput_bit_s"` // over the whole recording
	QueuedRate     float64       `json:"queued_rate_bit_s"`
	Delay          Delays        `json:"delay"`
	Jitter         time.Duration `json:"jitter_ns"`
	Bursts         Bursts        `json:"bursts"`
	Bins           int64         `json:"bins"`
	Queued         int64         `json:"bins_queued"`
	Idle           int64         `json:"bins_idle"`
	Outage         int64         `json:"bins_outage"`
	Negative       int64         `json:"negative_delays"` // packets that arrived before they were sent, by the clocks
}

// bin collects.
type bin struct {
	Bin
	delays   []time.Duration
	diffs    int64         // differences in sum
	diffSum  time.Duration // of |delay − delay before|
	overlaps bool          // a packet that was sent in it or before departs later
}

type channel struct {
	Channel
	stats    Stats
	runs     runs
	hist     histogram
	diffs    int64
	diffSum  time.Duration
	last     time.Duration // delay of the last packet delivered
	seen     bool          // one was
	open     []*bin        // from the recorder's first open bin on
	fill     *fill.Filler
	due      fill.Amount
	rate     trace.BitRate // what the filler said
	held     int64         // bits of the last bin that delivered, for bins that hold its rate
	state    trace.State   // of the last bin
	queuedBy int64         // bytes delivered in queued bins
	marked   int64         // bins before it know what waited in them
}

// Recorder makes a tape of flights.
type Recorder struct {
	opts     Options
	bins     int64 // in all
	next     int64 // first bin that is not written
	channels []*channel
	free     []*bin
	steps    func([]trace.Step) error
	rows     func(*Bin) error
	coalesce trace.Coalescer
	batch    []trace.Step
}

// New returns a recorder of a time for channels in canonical order. It passes
// steps, which are valid until the function returns, and, where rows is not nil,
// each bin of each channel. Options are those that [Options.Defaults] returned.
func New(channels []Channel, duration time.Duration, opts Options, steps func([]trace.Step) error, rows func(*Bin) error) *Recorder {
	r := &Recorder{opts: opts, bins: Bins(duration, opts.Step), steps: steps, rows: rows}
	for _, c := range channels {
		ch := &channel{Channel: c}
		ch.fill = fill.New(func(_ time.Duration, rate trace.BitRate) bool {
			ch.rate = rate
			return true
		})
		ch.stats.Link, ch.stats.Dir = c.Link, c.Dir.String()
		ch.state = trace.State{Carrier: true, Delay: max(c.Base, 0)}
		ch.last = c.Base
		r.channels = append(r.channels, ch)
	}
	return r
}

// Bins is how many bins a time has; the last one may be shorter in time but is as
// long as the others on the tape.
func Bins(duration, step time.Duration) int64 { return int64((duration + step - 1) / step) }

// at returns the bin of an instant, which must not be written yet; instants
// outside count in the nearest bin.
func (r *Recorder) at(c *channel, t time.Duration) *bin {
	k := min(max(int64(t/r.opts.Step), r.next), r.bins-1)
	for int64(len(c.open)) <= k-r.next {
		var b *bin
		if n := len(r.free); n > 0 {
			b, r.free = r.free[n-1], r.free[:n-1]
			*b = bin{delays: b.delays[:0]}
		} else {
			b = new(bin)
		}
		c.open = append(c.open, b)
	}
	return c.open[k-r.next]
}

// Flight adds a packet of a channel, by its index. The packets of one channel
// come in the order sent, and none before an instant that is settled.
func (r *Recorder) Flight(i int, f Flight) {
	c := r.channels[i]
	c.runs.add(f.Lost)
	delay := f.Delay
	if f.Lost {
		delay = c.last
	}
	departed := max(f.Sent+delay-c.Base, f.Sent)
	b := r.at(c, departed)

	if f.Lost {
		b.Lost++
		b.LostBytes += int64(f.Bytes)
		return
	}
	b.Delivered++
	b.DeliveredBytes += int64(f.Bytes)
	b.Duplicates += int64(f.Copies)
	if f.Late {
		b.Reordered++
	}
	b.delays = append(b.delays, delay)
	if c.seen {
		b.diffs++
		b.diffSum += max(delay-c.last, c.last-delay)
	}
	c.seen, c.last = true, delay
	c.hist.add(delay)
	if delay < 0 {
		c.stats.Negative++
	}
	// Bins between its sending and its departure are not idle: it waited.
	end := min(int64(departed/r.opts.Step), r.bins)
	for k := max(int64(f.Sent/r.opts.Step), r.next, c.marked); k < end; k++ {
		r.at(c, time.Duration(k)*r.opts.Step).overlaps = true
	}
	c.marked = max(c.marked, end)
}

// Shorten ends the recording at an instant before the one that was planned, but not
// before what is written. It returns the length of the tape.
func (r *Recorder) Shorten(to time.Duration) time.Duration {
	r.bins = min(r.bins, max(Bins(max(to, 0), r.opts.Step), r.next, 1))
	for _, c := range r.channels {
		c.marked = min(c.marked, r.bins)
	}
	return time.Duration(r.bins) * r.opts.Step
}

// Settled says that every packet sent before an instant has been added, on every
// channel, and writes the bins that end by then.
func (r *Recorder) Settled(to time.Duration) error {
	for r.next < r.bins && time.Duration(r.next+1)*r.opts.Step <= to {
		if err := r.writeBin(); err != nil {
			return err
		}
	}
	return nil
}

// Finish writes what is left and sums up.
func (r *Recorder) Finish() ([]Stats, error) {
	for r.next < r.bins {
		if err := r.writeBin(); err != nil {
			return nil, err
		}
	}
	if err := r.flush(); err != nil {
		return nil, err
	}
	var out []Stats
	for _, c := range r.channels {
		s := &c.stats
		s.Bursts = c.runs.bursts()
		s.Sent = s.Delivered + s.Lost
		if s.Sent > 0 {
			s.Loss = float64(s.Lost) / float64(s.Sent)
		}
		s.Delay = c.hist.delays()
		s.Jitter = spread(c.diffSum, c.diffs)
		s.Bins = r.bins
		if r.bins > 0 {
			s.Throughput = float64(s.DeliveredBytes) * 8 / (float64(r.bins) * r.opts.Step.Seconds())
		}
		if s.Queued > 0 {
			s.QueuedRate = float64(c.queuedBy) * 8 / (float64(s.Queued) * r.opts.Step.Seconds())
		}
		out = append(out, *s)
	}
	return out, nil
}

// spread estimates the standard deviation of delays from the mean difference of
// neighbours, which a slow change of the delay does not touch: of independent
// normal delays E|x−y| = 2σ/√π, so that σ = 0.886227·E|x−y|.
func spread(sum time.Duration, n int64) time.Duration {
	if n == 0 {
		return 0
	}
	mean := int64(sum) / n
	return time.Duration(mean/1_000_000*886_227 + mean%1_000_000*886_227/1_000_000)
}

// bits of a bin, in bit·ns.
func volume(bytes int64) fill.Amount { return fill.Mul(uint64(bytes)*8, fill.BitNs) }

func (r *Recorder) writeBin() error {
	at := time.Duration(r.next) * r.opts.Step
	for _, c := range r.channels {
		b := r.at(c, at)
		c.close(b, at, r.opts)
		end := at + r.opts.Step
		if _, err := c.fill.To(end, c.due); err != nil {
			return fmt.Errorf("%v: %w", c.LinkDir, err)
		}
		c.state.Rate = c.rate
		if c.Rate > 0 {
			c.state.Rate = c.Rate
		}
		s := trace.Step{At: at, Link: c.Link, Dir: c.Dir, State: c.state}
		if r.coalesce.Keep(&s) {
			r.batch = append(r.batch, s)
		}
		if r.rows != nil {
			if err := r.rows(&b.Bin); err != nil {
				return err
			}
		}
		c.open = slices.Delete(c.open, 0, 1)
		r.free = append(r.free, b)
	}
	r.next++
	if len(r.batch) >= 4096 {
		return r.flush()
	}
	return nil
}

func (r *Recorder) flush() error {
	if len(r.batch) == 0 {
		return nil
	}
	err := r.steps(r.batch)
	r.batch = r.batch[:0]
	return err
}

// close works out a bin's figures and the channel's state and service.
func (c *channel) close(b *bin, at time.Duration, opts Options) {
	s := &c.stats
	b.At, b.Link, b.Dir = int64(at), c.Link, c.Dir.String()
	b.Sent = b.Delivered + b.Lost
	s.Delivered += b.Delivered
	s.Lost += b.Lost
	s.Duplicates += b.Duplicates
	s.Reordered += b.Reordered
	s.DeliveredBytes += b.DeliveredBytes
	c.diffs += b.diffs
	c.diffSum += b.diffSum
	b.DelayMin, b.DelayMedian, b.DelayMax, b.Jitter = -1, -1, -1, -1
	if len(b.delays) > 0 {
		slices.Sort(b.delays)
		n := len(b.delays)
		b.DelayMin, b.DelayMax = int64(b.delays[0]), int64(b.delays[n-1])
		b.DelayMedian = int64(b.delays[(n-1)/2])
		delay := b.DelayMin
		if opts.Delay == DelayMedian {
			delay = b.DelayMedian
		}
		c.state.Delay = min(max(time.Duration(delay), 0), trace.MaxDelay)
	}
	if b.diffs > 0 {
		b.Jitter = int64(spread(b.diffSum, b.diffs))
		c.state.Jitter = min(time.Duration(b.Jitter), trace.MaxDelay)
	}
	if b.Sent > 0 {
		c.state.Loss = 0
		if opts.Losses != LossesQueue {
			c.state.Loss = trace.Prob(float64(b.Lost) / float64(b.Sent))
		}
	}
	if b.Delivered > 0 {
		c.state.Duplicate = trace.Prob(min(float64(b.Duplicates)/float64(b.Delivered), 1))
	}

	served := b.DeliveredBytes
	if opts.Losses == LossesPath {
		served += b.LostBytes
	}
	c.state.Label = ""
	switch {
	case b.Delivered > 0:
		if time.Duration(b.DelayMin) >= c.Base+opts.Queued {
			c.state.Label = LabelQueued
			s.Queued++
			c.queuedBy += b.DeliveredBytes
		}
		c.held = served
	case b.Sent > 0 || b.overlaps:
		c.state.Label = LabelOutage
		s.Outage++
		if b.Sent > 0 && opts.Losses == LossesAsIs {
			served = c.held // the loss alone keeps packets away
		}
	default:
		c.state.Label = LabelIdle
		s.Idle++
		if opts.Idle == IdleHold {
			served = c.held
		}
	}
	b.Label = c.state.Label
	c.due = c.due.Add(volume(served))
}
