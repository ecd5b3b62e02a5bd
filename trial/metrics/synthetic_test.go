package metrics_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"linktape/internal/table"
	"linktape/record/capture/capturetest"
	"linktape/replay"
	"linktape/trial/media"
	"linktape/trial/metrics"
	"linktape/trial/stack"
)

// What synthetic trials are made of.
const (
	epoch    = 1_767_225_600_000_000_000
	datagram = media.DatagramBytes    // bytes of a datagram
	ipMedia  = datagram + 12 + 8 + 20 // of the IP packet that carries it
	second   = int64(time.Second)
	milli    = int64(time.Millisecond)
	never    = int64(-1)
	flowSSRC = 0xa5ea179a
)

// trial is a trial made by hand.
type trial struct {
	links    []string
	fields   map[string]any
	records  map[string][]capturetest.Record // by file
	log      []replay.LogRow
	counters []replay.CounterRow
	source   []media.SourceRow
	sink     []media.SinkRow
	stack    []stack.Row
	id       uint16
	without  []string // files that are not written
	wrap     func(payload []byte) []byte
}

// newTrial has links of 6 Mbit/s.
func newTrial(duration time.Duration, links ...string) *trial {
	t := &trial{links: links, records: map[string][]capturetest.Record{}, fields: map[string]any{
		"scenario": "made-up", "seed": 1, "stack": "exec", "duration_ns": duration, "rate_bit_s": 1_052_800, "datagram_bytes": datagram,
		"buffer_ns": time.Second, "epoch_wall_ns": int64(epoch), "warm_up_ns": 2 * time.Second, "cool_down_ns": time.Second,
	}}
	var all []map[string]any
	for i, l := range links {
		all = append(all, map[string]any{"name": l, "sender_addr": sender(i).Addr(), "receiver_addr": receiver(i).Addr(), "receiver_ports": []int{8000, 8001}})
		for _, dir := range []string{"up", "down"} {
			t.state(0, l, dir, 6e6, func(*replay.LogRow) {})
		}
	}
	t.fields["links"] = all
	return t
}

func sender(link int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(link), 1}), 40000)
}

func receiver(link int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(link), 6}), 8000)
}

// state adds a step to the applied log, acknowledged when it was due.
func (t *trial) state(at int64, link, dir string, rate int64, change func(*replay.LogRow)) {
	row := replay.LogRow{Due: at, Sent: at, Acked: at, Link: link, Dir: dir, Rate: rate, Carrier: true}
	change(&row)
	t.log = append(t.log, row)
}

// udp puts a datagram on a link, upwards or back; it arrives at an instant, or
// never, or several times.
func (t *trial) udp(link int, up bool, at int64, payload []byte, arrivals ...int64) {
	if t.wrap != nil {
		payload = t.wrap(payload)
	}
	t.id++
	u := capturetest.UDP{Src: sender(link), Dst: receiver(link), ID: t.id, Payload: payload}
	from, to := "snd", "rcv"
	if !up {
		u.Src, u.Dst = u.Dst, u.Src
		from, to = to, from
	}
	frame := capturetest.Frame(layers.LinkTypeEthernet, 0, u.IP())
	add := func(end string, at int64) {
		file := t.links[link] + "." + end
		t.records[file] = append(t.records[file], capturetest.Record{At: epoch + at, Frame: frame})
	}
	add(from, at)
	for _, a := range arrivals {
		if a != never {
			add(to, a)
		}
	}
}

// rtp makes a packet of media.
func rtp(seq uint16, again bool) []byte {
	b := make([]byte, 12+datagram)
	b[0], b[1] = 0x80, 33
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], uint32(seq)*90)
	ssrc := uint32(flowSSRC)
	if again {
		ssrc |= 1
	}
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

func (t *trial) original(link int, at int64, seq int, arrivals ...int64) {
	t.udp(link, true, at, rtp(uint16(seq), false), arrivals...)
}

func (t *trial) again(link int, at int64, seq int, arrivals ...int64) {
	t.udp(link, true, at, rtp(uint16(seq), true), arrivals...)
}

// report is a receiver's report of 32 bytes, 60 of IP.
func (t *trial) report(link int, at int64, arrivals ...int64) {
	b := make([]byte, 32)
	b[0], b[1], b[3] = 0x81, 201, 7
	binary.BigEndian.PutUint64(b[8:], uint64(at)) // each is another
	t.udp(link, false, at, b, arrivals...)
}

// sourced is a datagram of the source; it arrives at the sink at instants.
func (t *trial) sourced(seq, at int64, arrivals ...int64) {
	t.source = append(t.source, media.SourceRow{Seq: seq, Sent: at})
	for _, a := range arrivals {
		if a != never {
			t.sink = append(t.sink, media.SinkRow{Seq: seq, Sent: at, Arrived: a})
		}
	}
}

// write writes the trial's folder; packets are captured in the order of time.
func (t *trial) write(tb testing.TB) string {
	for _, records := range t.records {
		slices.SortStableFunc(records, func(a, b capturetest.Record) int { return cmp.Compare(a.At, b.At) })
	}
	return t.writeUnsorted(tb)
}

func (t *trial) writeUnsorted(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	must := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	for _, sub := range []string{"capture", "replay"} {
		must(os.Mkdir(filepath.Join(dir, sub), 0o777))
	}
	text, err := json.Marshal(t.fields)
	must(err)
	must(os.WriteFile(filepath.Join(dir, "trial.json"), text, 0o666))
	for _, l := range t.links {
		for _, end := range []string{"snd", "rcv"} {
			records := t.records[l+"."+end]
			var b bytes.Buffer
			must(capturetest.Pcap(&b, layers.LinkTypeEthernet, 128, records))
			must(os.WriteFile(filepath.Join(dir, "capture", l+"."+end+".pcap"), b.Bytes(), 0o666))
		}
	}
	slices.SortStableFunc(t.log, func(a, b replay.LogRow) int { return cmp.Compare(a.Due, b.Due) })
	slices.SortStableFunc(t.sink, func(a, b media.SinkRow) int { return cmp.Compare(a.Arrived, b.Arrived) })
	must(writeRows(filepath.Join(dir, "replay", replay.LogFile), t.log))
	must(writeRows(filepath.Join(dir, "replay", replay.CountersFile), t.counters))
	must(writeRows(filepath.Join(dir, "source.parquet"), t.source))
	must(writeRows(filepath.Join(dir, "sink.parquet"), t.sink))
	must(writeRows(filepath.Join(dir, "stack.parquet"), t.stack))
	for _, name := range t.without {
		must(os.Remove(filepath.Join(dir, name)))
	}
	return dir
}

func writeRows[T any](name string, rows []T) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := table.NewWriter[T](f)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := w.Write(&rows[i]); err != nil {
			return err
		}
	}
	return w.Close()
}

// compute measures it.
func (t *trial) compute(tb testing.TB) *metrics.Result {
	tb.Helper()
	r, err := metrics.Compute(t.write(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// expect compares metrics, named link/name or name, exactly but for rounding.
func expect(tb testing.TB, r *metrics.Result, want map[string]float64) {
	tb.Helper()
	for name, want := range want {
		link, metric := "", name
		if l, m, ok := cut(name); ok {
			link, metric = l, m
		}
		got := r.Get(metric, link)
		if d := got - want; !(d < 1e-9*max(want, 1) && -d < 1e-9*max(want, 1)) {
			tb.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func cut(name string) (link, metric string, ok bool) {
	for i := range name {
		if name[i] == '/' {
			return name[:i], name[i+1:], true
		}
	}
	return "", name, false
}

// findings are their texts.
func findings(r *metrics.Result) (out []string) {
	for _, f := range r.Findings {
		out = append(out, f.Text)
	}
	return out
}

// steady makes a trial of 10 s: a datagram every 10 ms, over links in turns, whose
// delays are 10 ms, 20 ms and so on both ways; a report on each link every 100 ms.
// The sink has each datagram 500 ms after it was sent. edit may change what becomes
// of a datagram, or deal with it itself and return false.
func steady(edit func(t *trial, n, link int, at int64) bool, links ...string) *trial {
	t := newTrial(10*time.Second, links...)
	for n := 0; n < 1000; n++ {
		at := int64(n) * 10 * milli
		link := n % len(links)
		if edit != nil && !edit(t, n, link, at) {
			continue
		}
		t.original(link, at, n, at+int64(link+1)*10*milli)
		t.sourced(int64(n), at, at+500*milli)
	}
	t.reports()
	t.count()
	return t
}

// reports are sent back every 100 ms.
func (t *trial) reports() {
	for i := range t.links {
		for at := 5 * milli; at < 10*second; at += 100 * milli {
			t.report(i, at, at+int64(i+1)*10*milli)
		}
	}
}

// count makes the counters of the captures, every 100 ms: what was sent left the
// bottleneck at once; what did not arrive was lost on the path.
func (t *trial) count() {
	sums := map[string]*replay.CounterRow{}
	for at := 100 * milli; at <= 10*second; at += 100 * milli {
		for i, l := range t.links {
			row := sums[l]
			if row == nil {
				row = &replay.CounterRow{Link: l, Dir: "up", Rate: 6e6}
				sums[l] = row
			}
			row.At, row.Bytes, row.Packets, row.PathDrops = at, 0, 0, 0
			for k, end := range []string{"snd", "rcv"} {
				for _, r := range t.records[l+"."+end] {
					src := netip.AddrFrom4([4]byte(r.Frame[14+12:]))
					if src != sender(i).Addr() || r.At-epoch >= at {
						continue
					}
					if k == 0 {
						row.Bytes += int64(len(r.Frame) - 14)
						row.Packets++
						row.PathDrops++
					} else {
						row.PathDrops--
					}
				}
			}
			// What is under way has not been lost.
			for _, r := range t.records[l+".rcv"] {
				src := netip.AddrFrom4([4]byte(r.Frame[14+12:]))
				if src == sender(i).Addr() && r.At-epoch >= at && r.At-epoch < at+int64(i+1)*10*milli {
					row.PathDrops--
				}
			}
			row.PathDrops = max(row.PathDrops, 0)
			t.counters = append(t.counters, *row)
		}
	}
}
