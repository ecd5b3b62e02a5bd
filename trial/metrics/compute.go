package metrics

import (
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"linktape/internal/rist"
	"linktape/trial/stack"
)

// bin is the length of the bins of series.
const bin = 100 * time.Millisecond

// link is what is known of a link.
type link struct {
	name  string
	index int

	outages  []outage
	capacity []float64 // bits allowed in each bin
	allowed  float64   // in the window
	fell     []int64   // of each bin the instant at which the capacity fell first; 0: it did not

	counters counterState
	queue    []float64 // ms, the highest of each bin; NaN: not read; Inf: nothing leaves
	stackRTT []float64 // ms

	// Of the captures, by bins.
	wire, got, effective, original []float64 // bits
	sent, lost                     []float64 // packets of the bond, by when they were sent
	delays                         [2][]float64
	delayed                        [2][]float64 // packets
	rtt                            []float64    // ms
	rttMedian                      float64
	delay                          sample // upwards, in the window

	sentTotal, gotTotal cumulative // packets of anything
	lostTotal           cumulative // packets of the bond, by when they were sent
	again               cumulative // retransmissions sent
	data, firsts        cumulative // media that arrived; of it what was sent as original
	recent              recently
}

// cumulative counts events by tenths of a second, from any instant on.
type cumulative struct {
	from   int64 // index of the first bin
	counts []float64
}

// mostBins is more than the bins of any trial: a week's.
const mostBins = 7 * 24 * 36000

func floorBin(at int64) int64 {
	i := at / int64(bin)
	if at%int64(bin) < 0 {
		i--
	}
	return i
}

func (c *cumulative) add(at int64) {
	i := floorBin(at)
	if len(c.counts) == 0 {
		c.from = i
	}
	i = max(i-c.from, 0) // what is a little before the first
	if i > mostBins {
		return // its time stamp is nonsense
	}
	for int64(len(c.counts)) <= i {
		c.counts = append(c.counts, 0)
	}
	c.counts[i]++
}

// upTo is how many came before an instant, to a part of a bin.
func (c *cumulative) upTo(at int64) float64 {
	sum := 0.0
	i := floorBin(at)
	for k, n := range c.counts {
		switch b := c.from + int64(k); {
		case b < i:
			sum += n
		case b == i:
			sum += float64(n * float64(at-b*int64(bin)) / float64(bin))
		}
	}
	return sum
}

// totals are packets of anything that were sent and received upwards from the
// epoch to an instant.
func (l *link) totals(to int64) (sent, got float64) {
	return l.sentTotal.upTo(to) - l.sentTotal.upTo(0), l.gotTotal.upTo(to) - l.gotTotal.upTo(0)
}

// analysis is a trial that is measured.
type analysis struct {
	dir      string
	info     *info
	from, to int64 // the window
	duration int64
	bins     int
	links    []*link
	byName   map[string]*link

	events    []*event // by their failure
	nextEvent int
	active    []*event

	said     map[statKey]said
	stackRTT map[string]*sample

	pass     *pass
	totals   flowCounts // of the whole trial
	again    cumulative
	bySize   bool
	deadline time.Duration

	output                       output
	sourceBits, outputBits, gaps []float64

	findings []Finding
}

// binOf is the bin of an instant; −1 outside of the trial.
func (a *analysis) binOf(at int64) int {
	if at < 0 || at >= a.duration {
		return -1
	}
	return int(at / int64(bin))
}

func (a *analysis) in(at int64) bool { return at >= a.from && at < a.to }

func (a *analysis) addTo(bins []float64, at int64, v float64) {
	if i := a.binOf(at); i >= 0 {
		bins[i] += v
	}
}

// Compute measures the trial in a folder. What of it is missing and can be done
// without, such as the stack's statistics, is said by findings or by metrics
// without a value.
func Compute(dir string) (*Result, error) {
	t, err := readInfo(dir)
	if err != nil {
		return nil, err
	}
	a := newAnalysis(dir, t)
	if err := a.readApplied(); err != nil {
		return nil, err
	}
	a.planEvents()
	if err := a.readCounters(); err != nil {
		return nil, err
	}
	if err := a.readStack(); err != nil {
		return nil, err
	}
	if err := a.readCaptures(); err != nil {
		return nil, err
	}
	a.trips()
	a.deadline = t.Buffer + slack
	longest := int64(0)
	for _, p := range a.pass.links {
		longest = max(longest, p.base)
	}
	a.deadline += time.Duration(longest)
	if err := a.readOutput(); err != nil {
		return nil, err
	}
	a.compareAll()
	return a.result(), nil
}

func newAnalysis(dir string, t *info) *analysis {
	a := &analysis{
		dir: dir, info: t, duration: int64(t.Duration), from: int64(t.WarmUp), to: int64(t.Duration - t.CoolDown),
		bins: int((t.Duration + bin - 1) / bin), byName: make(map[string]*link),
	}
	zeros := func() []float64 { return make([]float64, a.bins) }
	none := func() []float64 {
		c := zeros()
		for i := range c {
			c[i] = math.NaN()
		}
		return c
	}
	for i, x := range t.Links {
		l := &link{name: x.Name, index: i, fell: make([]int64, a.bins), rttMedian: math.NaN()}
		for _, c := range []*[]float64{&l.capacity, &l.wire, &l.got, &l.effective, &l.original, &l.sent, &l.lost, &l.delays[0], &l.delays[1], &l.delayed[0], &l.delayed[1]} {
			*c = zeros()
		}
		l.queue, l.stackRTT, l.rtt = none(), none(), none()
		a.links = append(a.links, l)
		a.byName[l.name] = l
	}
	a.sourceBits, a.outputBits, a.gaps = zeros(), zeros(), zeros()
	return a
}

// large is the size in bytes from which on what cannot be read is media, where the
// source's datagrams are not known: less than seven packets of a transport stream
// are, and more than reports and keep-alives.
const large = 1000

// readCaptures reads what passed both ends of every link.
func (a *analysis) readCaptures() (err error) {
	var pairs []capturePair
	for _, l := range a.info.Links {
		file := func(end string) string { return filepath.Join(a.dir, captureDir, l.Name+"."+end+".pcap") }
		p := capturePair{name: l.Name, snd: file("snd"), rcv: file("rcv"), ports: l.Ports}
		p.sender, _ = netip.ParseAddr(l.SenderAddr) // checked by readInfo
		p.receiver, _ = netip.ParseAddr(l.ReceiverAddr)
		pairs = append(pairs, p)
	}
	size := a.info.Datagram
	if size == 0 { // the devices under test have a source of their own
		size = large
	}
	if a.pass, err = newPass(pairs, a.info.Epoch, a.info.Buffer, size, a.in, a); err != nil {
		return err
	}
	defer a.pass.close()
	a.pass.flow.all, a.pass.flow.unsent = &a.totals, a.originalUnsent
	if err := a.pass.read(); err != nil {
		return err
	}
	for a.nextEvent < len(a.events) { // those after the last original
		a.beginEvent(a.events[a.nextEvent])
		a.nextEvent++
	}
	a.endEvents()
	a.checkCaptures()
	return nil
}

func (a *analysis) packetSent(i int, p *packet) {
	l := a.links[i]
	a.addTo(l.wire, p.at, float64(8*p.bytes))
	l.sentTotal.add(p.at)
	if p.flow && p.rist.Kind == rist.Retransmission {
		l.again.add(p.at)
		a.again.add(p.at)
	}
}

func (a *analysis) packetReceived(i int, p *packet) {
	l := a.links[i]
	a.addTo(l.got, p.at, float64(8*p.bytes))
	l.gotTotal.add(p.at)
	if p.flow && isMedia(p) {
		l.data.add(p.at)
		if p.rist.Kind == rist.Media {
			l.firsts.add(p.at)
		}
	}
}

func (a *analysis) originalPassed(i int, p *packet) {
	l := a.links[i]
	a.addTo(l.original, p.at, float64(8*p.rist.MediaBytes))
	a.originalSent(l, p.at, p.rist.MediaBytes)
}

func (a *analysis) firstCopy(i int, p *packet) {
	a.addTo(a.links[i].effective, p.at, float64(8*p.rist.MediaBytes))
}

func (a *analysis) delayed(i int, s *sent, at int64) {
	l, way := a.links[i], 1
	d := max(at-s.at, 0)
	if s.packet.up {
		way = 0
		if a.in(s.at) {
			l.delay.add(time.Duration(d))
		}
	}
	a.addTo(l.delays[way], s.at, float64(d))
	a.addTo(l.delayed[way], s.at, 1)
}

func (a *analysis) settled(i int, s *sent) {
	if !s.packet.up {
		return
	}
	l := a.links[i]
	a.addTo(l.sent, s.at, 1)
	if !s.arrived {
		a.addTo(l.lost, s.at, 1)
		l.lostTotal.add(s.at)
	}
}

// trips makes round trips of the times of both ways.
func (a *analysis) trips() {
	for _, l := range a.links {
		var s sample
		for i := range l.rtt {
			if l.delayed[0][i] > 0 && l.delayed[1][i] > 0 {
				l.rtt[i] = ms(l.delays[0][i]/l.delayed[0][i] + l.delays[1][i]/l.delayed[1][i])
				if a.in(int64(i) * int64(bin)) {
					s.add(time.Duration(l.rtt[i] * 1e6))
				}
			}
		}
		l.rttMedian = ms(s.quantile(0.5))
	}
}

// result puts all together.
func (a *analysis) result() *Result {
	t := a.info
	r := &Result{
		Format: 1, Scenario: t.Scenario, Seed: t.Seed, SHA256: t.SHA256, Stack: t.Stack,
		Duration: t.Duration, From: time.Duration(a.from), To: time.Duration(a.to), Bin: bin, BySize: a.bySize,
		Events: []Event{}, Reactions: []Reaction{}, Definitions: Definitions(),
	}
	if a.output.sink {
		r.Deadline = a.deadline
	}
	seconds := float64(a.to-a.from) / 1e9
	a.linkMetrics(r, seconds)
	a.eventMetrics(r, seconds)
	a.bondMetrics(r, seconds)
	r.sort()
	for i, l := range a.links {
		r.Links = append(r.Links, l.name)
		r.Losses = append(r.Losses, a.pass.links[i].losses()...)
		r.Series.Links = append(r.Series.Links, a.series(l))
	}
	o := &a.output
	gap := Column(a.gaps)
	if !o.sink {
		gap = a.rates(a.gaps, false)
	}
	r.Series.Output = OutputSeries{Source: a.rates(a.sourceBits, o.source && t.Datagram > 0), Output: a.rates(a.outputBits, o.sink && t.Datagram > 0), Gap: gap}
	r.Findings = a.findings
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	return r
}

// length is that of a bin in seconds: the last one may be shorter.
func (a *analysis) length(i int) float64 {
	return float64(min(int64(i+1)*int64(bin), a.duration)-int64(i)*int64(bin)) / 1e9
}

// rates are the bits of bins per second; NaN where there is nothing that tells.
func (a *analysis) rates(bits []float64, there bool) Column {
	out := make(Column, len(bits))
	for i, v := range bits {
		out[i] = math.NaN()
		if there {
			out[i] = v / a.length(i)
		}
	}
	return out
}

func (a *analysis) series(l *link) LinkSeries {
	s := LinkSeries{
		Link: l.name, Capacity: a.rates(l.capacity, true), Sent: a.rates(l.wire, true), Throughput: a.rates(l.got, true),
		Effective: a.rates(l.effective, !a.bySize), RTT: l.rtt, StackRTT: l.stackRTT, QueueDelay: l.queue,
	}
	s.Loss = make(Column, a.bins)
	for i := range s.Loss {
		s.Loss[i] = l.lost[i] / l.sent[i] // NaN where nothing was sent
	}
	return s
}

func (a *analysis) linkMetrics(r *Result, seconds float64) {
	var shares, capacities float64
	for i, l := range a.links {
		shares += float64(a.pass.links[i].window.originalBytes)
		capacities += l.allowed
	}
	scale := a.bySizeScale()
	for i, l := range a.links {
		p := a.pass.links[i]
		w := &p.window
		set := func(name string, v float64) { r.set(name, l.name, v) }
		set("throughput_bit_s", float64(8*w.receivedBytes)/seconds)
		out := float64(8 * w.receivedBytes)
		c := &l.counters
		if c.there {
			out = 8 * c.window().bytes
			set("throughput_counters_bit_s", out/seconds)
		} else {
			set("throughput_counters_bit_s", math.NaN())
		}
		if a.bySize {
			r.setFrom("effective_throughput_bit_s", l.name, float64(8*w.receivedData)*float64(a.info.Datagram)*scale/seconds, bySizes+", with the sink's datagrams")
		} else {
			set("effective_throughput_bit_s", float64(8*w.effectiveBytes)/seconds)
		}
		set("capacity_bit_s", l.allowed/seconds)
		set("capacity_use", out/l.allowed)
		set("sent_packets", float64(w.sent))
		set("received_packets", float64(w.received))
		set("lost_packets", float64(w.lost))
		loss := float64(w.lost) / float64(w.sent)
		set("loss", loss)
		path, queue, outage := l.causes(loss)
		set("loss_path", path)
		set("loss_queue", queue)
		set("loss_outage", outage)
		media := byCaptures
		if a.bySize {
			media = bySizes
		}
		r.setFrom("originals_packets", l.name, float64(w.originals), media)
		if a.bySize {
			set("retransmissions_packets", math.NaN())
		} else {
			set("retransmissions_packets", float64(w.again))
		}
		r.setFrom("share", l.name, float64(w.originalBytes)/shares, media)
		set("capacity_share", l.allowed/capacities)
		var trips sample
		for k, v := range l.rtt {
			if !math.IsNaN(v) && a.in(int64(k)*int64(bin)) {
				trips.add(time.Duration(v * 1e6))
			}
		}
		set("rtt_base_ms", ms(trips.quantile(0.05)))
		set("rtt_p50_ms", ms(trips.quantile(0.5)))
		set("rtt_p95_ms", ms(trips.quantile(0.95)))
		set("rtt_p99_ms", ms(trips.quantile(0.99)))
		if s := a.stackRTT[l.name]; s != nil {
			set("stack_rtt_p50_ms", ms(s.quantile(0.5)))
		} else {
			set("stack_rtt_p50_ms", math.NaN())
		}
		set("delay_p50_ms", ms(l.delay.quantile(0.5)))
		set("delay_p99_ms", ms(l.delay.quantile(0.99)))
		set("queue_delay_p50_ms", ms(c.delay.quantile(0.5)))
		set("queue_delay_p95_ms", ms(c.delay.quantile(0.95)))
		set("queue_delay_p99_ms", ms(c.delay.quantile(0.99)))
		set("queue_delay_max_ms", ms(c.delay.quantile(1)))
		set("queue_stuck", float64(c.stuck)/float64(c.readings))
		set("stack_retransmissions_packets", a.told(string(stack.Sender), l.name, stack.SumRetransmitted))
		set("stack_received_packets", a.told(string(stack.Receiver), l.name, stack.SumReceived))
	}
}

// told is the last value of a sum that the stack told; NaN: none.
func (a *analysis) told(side, link, name string) float64 {
	if s := a.said[statKey{side, link, name}]; s.there {
		return s.value
	}
	return math.NaN()
}

// causes divides a link's loss as its counters do. Without counters, or where these
// do not know of any loss, the parts are not known.
func (l *link) causes(loss float64) (path, queue, outage float64) {
	if loss == 0 {
		return 0, 0, 0
	}
	c := l.counters.window()
	all := c.path + c.queue + c.outage
	if !l.counters.there || all <= 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	return float64(loss * c.path / all), float64(loss * c.queue / all), float64(loss * c.outage / all)
}

// bySizeScale is the share of the packets that arrived, as large as media, that
// were first copies: as many as datagrams came out.
func (a *analysis) bySizeScale() float64 {
	var all int64
	for _, p := range a.pass.links {
		all += p.window.receivedData
	}
	if !a.output.sink {
		return math.NaN()
	}
	return min(float64(a.output.arrivals)/float64(all), 1)
}

func (a *analysis) bondMetrics(r *Result, seconds float64) {
	set := func(name string, v float64) { r.set(name, "", v) }
	none := math.NaN()
	var total linkCounts
	effective, shares, capacities := 0.0, 0.0, 0.0
	for i, l := range a.links {
		w := &a.pass.links[i].window
		total.receivedBytes += w.receivedBytes
		total.sentBytes += w.sentBytes
		total.backBytes += w.backBytes
		total.originals += w.originals
		total.again += w.again
		effective += r.Get("effective_throughput_bit_s", l.name)
		shares += float64(w.originalBytes)
		capacities += l.allowed
	}
	o, f := &a.output, &a.pass.flow.counts
	set("throughput_bit_s", float64(8*total.receivedBytes)/seconds)
	datagram := float64(8 * a.info.Datagram)
	if a.info.Datagram == 0 {
		datagram = none
	}
	sourceRate, outputRate := none, none
	if o.source {
		sourceRate = float64(o.sent) * datagram / seconds
	}
	if o.sink {
		outputRate = float64(o.arrivals) * datagram / seconds
	}
	set("source_bit_s", sourceRate)
	set("output_bit_s", outputRate)
	set("feedback_bit_s", float64(8*total.backBytes)/seconds)
	if a.bySize {
		a.bondBySize(r, &total, effective)
	} else {
		set("effective_throughput_bit_s", effective)
		set("sequences_packets", float64(f.sequences))
		set("unsent_packets", float64(f.unsent))
		set("originals_packets", float64(f.copies))
		set("retransmissions_packets", float64(f.again))
		n := float64(f.sequences)
		set("retransmission_rate", float64(f.again)/n)
		set("retransmission_rate_necessary", float64(f.necessary)/n)
		set("retransmission_rate_spurious", float64(f.spurious)/n)
		set("retransmission_rate_lost", float64(f.lost)/n)
		set("undelivered_packets", float64(f.undelivered))
		set("overhead", float64(total.sentBytes)/float64(f.media))
		repair := &a.pass.flow.repair
		set("repair_delay_p50_ms", ms(repair.quantile(0.5)))
		set("repair_delay_p95_ms", ms(repair.quantile(0.95)))
		set("repair_delay_p99_ms", ms(repair.quantile(0.99)))
	}

	if o.source && o.sink {
		set("sent_datagrams", float64(o.sent))
		set("unrecovered_datagrams", float64(o.lost+o.late))
		set("unrecovered", float64(o.lost+o.late)/float64(o.sent))
		set("lost_datagrams", float64(o.lost))
		set("late_datagrams", float64(o.late))
		set("duplicate_datagrams", float64(o.copies))
		set("start_up_loss_datagrams", float64(o.early))
		start := none
		if o.start >= 0 {
			start = ms(float64(max(o.start-o.firstSent, 0)))
		}
		set("start_up_time_ms", start)
		gap := ms(float64(o.gap))
		if o.allArrived == 0 {
			gap = none
		}
		set("output_gap_max_ms", gap)
	} else {
		for _, name := range []string{"sent_datagrams", "unrecovered_datagrams", "unrecovered", "lost_datagrams", "late_datagrams", "duplicate_datagrams", "start_up_loss_datagrams", "start_up_time_ms", "output_gap_max_ms"} {
			set(name, none)
		}
		a.find("there is no source or no sink: what the application got is not known")
	}
	set("latency_p50_ms", ms(o.latency.quantile(0.5)))
	set("latency_p95_ms", ms(o.latency.quantile(0.95)))
	set("latency_p99_ms", ms(o.latency.quantile(0.99)))
	set("jitter_p50_ms", ms(o.jitter.quantile(0.5)))
	set("jitter_p95_ms", ms(o.jitter.quantile(0.95)))
	set("jitter_p99_ms", ms(o.jitter.quantile(0.99)))

	fairness := 0.0
	for i, l := range a.links {
		fairness += math.Abs(float64(a.pass.links[i].window.originalBytes)/shares - l.allowed/capacities)
	}
	set("fairness_error", fairness/2)

	sum := func(side, name string) float64 {
		if v := a.told(side, "", name); !math.IsNaN(v) {
			return v
		}
		v := 0.0
		for _, l := range a.links {
			v += a.told(side, l.name, name) // NaN where one is missing
		}
		return v
	}
	set("stack_retransmissions_packets", sum(string(stack.Sender), stack.SumRetransmitted))
	set("stack_lost_packets", a.told(string(stack.Receiver), "", stack.SumLost))
}

// bondBySize estimates what can be without sequence numbers.
func (a *analysis) bondBySize(r *Result, total *linkCounts, effective float64) {
	const source = bySizes + ", with source and sink"
	o := &a.output
	none := math.NaN()
	sequences := none
	if o.source {
		sequences = float64(o.sent)
	}
	again := max(float64(total.originals)-sequences, 0)
	set := func(name string, v float64) { r.setFrom(name, "", v, source) }
	set("effective_throughput_bit_s", effective)
	set("sequences_packets", sequences)
	set("originals_packets", none)
	set("retransmissions_packets", again)
	set("retransmission_rate", again/sequences)
	for _, name := range []string{"unsent_packets", "retransmission_rate_necessary", "retransmission_rate_spurious", "retransmission_rate_lost", "undelivered_packets",
		"repair_delay_p50_ms", "repair_delay_p95_ms", "repair_delay_p99_ms"} {
		set(name, none)
	}
	set("overhead", float64(total.sentBytes)/(sequences*float64(a.info.Datagram)))
}

func (a *analysis) eventMetrics(r *Result, seconds float64) {
	o := &a.output
	set := func(name string, v float64) { r.set(name, "", v) }
	need := math.NaN()
	if o.source && o.sent > 0 {
		need = float64(o.sent) / seconds * float64(window) / 1e9
	}
	for _, e := range a.events {
		r.Events = append(r.Events, e.report(need, o.lastSent, o.sink && o.source && o.sent > 0))
	}
	unfinished := 0
	for i := range r.Events {
		if e := &r.Events[i]; e.OutputGap != nil && !e.OutputBack {
			unfinished++
		}
	}
	set("events", float64(len(r.Events)))
	for _, x := range []struct {
		name string
		get  func(*Event) *time.Duration
		only bool // the longest
	}{
		{"detection_time", func(e *Event) *time.Duration { return e.Detection }, false},
		{"failover_time", func(e *Event) *time.Duration { return e.Failover }, false},
		{"output_gap_event", func(e *Event) *time.Duration { return e.OutputGap }, true},
		{"recovery_first", func(e *Event) *time.Duration { return e.FirstOriginal }, false},
		{"recovery_share", func(e *Event) *time.Duration { return e.ShareBack }, false},
	} {
		all := durations(r.Events, x.get)
		if !x.only {
			set(x.name+"_median_ms", ms(median(all)))
		}
		set(x.name+"_max_ms", ms(largest(all)))
	}
	if o.sink && o.source {
		set("failover_unfinished", float64(unfinished))
	} else {
		set("failover_unfinished", math.NaN())
	}

	for _, l := range a.links {
		r.Reactions = append(r.Reactions, reactions(l.name, l.rtt, l.capacity, l.wire, l.original, l.fell, func(i int) bool {
			at := int64(i) * int64(bin)
			if !a.in(at) {
				return true
			}
			for _, e := range a.events {
				// What was held back still arrives, late, some time after.
				if e.link == l && at >= e.failure-int64(bin) && at < e.restore+int64(time.Second) {
					return true
				}
			}
			return false
		})...)
	}
	var took []float64
	missing := 0
	for i := range r.Reactions {
		if d := r.Reactions[i].After; d != nil {
			took = append(took, float64(*d))
		} else {
			missing++
		}
	}
	slices.Sort(took)
	set("reactions", float64(len(r.Reactions)))
	set("reaction_time_median_ms", ms(median(took)))
	set("reaction_time_max_ms", ms(largest(took)))
	set("reactions_missing", float64(missing))
}
