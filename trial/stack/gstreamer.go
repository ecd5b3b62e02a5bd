package stack

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// GStreamer runs two pipelines with ristsink and ristsrc.
//
// Of their statistics (1.22), structures on standard output with counts from the
// start, the round trip is that of the first session alone, what a session dropped
// says nothing in round-robin, recovered counts too many and duplicates too few,
// and all fall to 0 when the other side says goodbye: the highest is kept.
//
// ristsink's udpsinks wait for the clock with the lock held that a retransmission
// needs: they render each packet 20 ms (processing-deadline) after its time, and
// behind a steady stream retransmissions wait for seconds, all of them in virtual
// time. With sender-sync=no, the default here and not theirs, they do not wait.
type GStreamer struct {
	sync                          string
	method                        string
	reorder, every                int64 // ms; −1: as GStreamer does
	senderBuffer, receiverBuffer  int64
	retries                       string
	senderElement, receiverElemnt string
	used                          map[string]string
}

func newGStreamer(o *options) *GStreamer {
	return &GStreamer{
		method:  o.oneOf("method", "round-robin", "broadcast"),
		reorder: o.millis("reorder-section", ""), every: o.millis("stats", "200ms"),
		senderBuffer: o.millis("sender-buffer", ""), receiverBuffer: o.millis("receiver-buffer", ""),
		sync:          o.oneOf("sender-sync", "no", "yes"),
		retries:       o.number("max-rtx-retries", "", 0, 1000),
		senderElement: o.text("sender-properties", ""), receiverElemnt: o.text("receiver-properties", ""),
		used: o.used,
	}
}

// Name is gstreamer.
func (g *GStreamer) Name() string { return "gstreamer" }

// Settings are the options.
func (g *GStreamer) Settings() map[string]string { return g.used }

// Needs are gst-launch-1.0 and the elements of the pipelines.
func (g *GStreamer) Needs() []Need {
	needs := []Need{{Program: "gst-launch-1.0", Package: "gstreamer1.0-tools"}, {Program: inspect, Package: "gstreamer1.0-tools"}}
	for _, e := range []struct{ element, in string }{
		{"udpsrc", "good"}, {"rtpmp2tpay", "good"}, {"ristsink", "bad"}, {"ristsrc", "bad"}, {"rtpmp2tdepay", "good"}, {"udpsink", "good"},
	} {
		needs = append(needs, Need{Program: inspect, Element: e.element, Package: "gstreamer1.0-plugins-" + e.in})
	}
	return needs
}

// Programs is gst-launch-1.0.
func (g *GStreamer) Programs() map[string][]string {
	return map[string][]string{"gst-launch-1.0": {"--version"}}
}

// Ports are an even one for RTP and the next for RTCP.
func (g *GStreamer) Ports(first int) []int { return []int{first, first + 1} }

// Commands says what to run.
func (g *GStreamer) Commands(s *Setup) (sender, receiver Command, err error) {
	var at []string
	for _, k := range s.Links {
		at = append(at, netip.AddrPortFrom(k.Receiver, uint16(k.Port)).String())
	}
	bonding := "bonding-addresses=" + strings.Join(at, ",")
	ms := func(name string, own, otherwise int64) string {
		if own < 0 {
			own = otherwise
		}
		return name + "=" + strconv.FormatInt(own, 10)
	}
	every := ms("stats-update-interval", g.every, 0)
	// ristsink keeps packets for a while longer than ristsrc waits for them, as its
	// own defaults (1200 and 1000 ms) do.
	const longer = 200
	sink := []string{"ristsink", "name=sender", bonding, "bonding-method=" + g.method, every,
		ms("sender-buffer", g.senderBuffer, s.Buffer.Milliseconds()+longer)}
	if g.sync == "no" {
		for i := range s.Links {
			sink = append(sink, "rist_rtp_udpsink"+strconv.Itoa(i)+"::sync=false")
		}
	}
	if s.oneReceiver() {
		for i, k := range s.Links {
			sink = append(sink, "rist_rtp_udpsink"+strconv.Itoa(i)+"::bind-address="+k.Sender.String())
		}
	}
	src := []string{"ristsrc", "name=receiver", bonding, every, ms("receiver-buffer", g.receiverBuffer, s.Buffer.Milliseconds())}
	if g.reorder >= 0 {
		src = append(src, ms("reorder-section", g.reorder, 0))
	}
	if g.retries != "" {
		src = append(src, "max-rtx-retries="+g.retries)
	}
	sender.Argv = join([]string{"gst-launch-1.0", "udpsrc", "address=" + s.In.Addr().String(), "port=" + strconv.Itoa(int(s.In.Port())),
		"caps=video/mpegts,systemstream=(boolean)true,packetsize=(int)188", "!", "rtpmp2tpay", "!"}, sink, words(g.senderElement))
	receiver.Argv = join([]string{"gst-launch-1.0"}, src, words(g.receiverElemnt),
		[]string{"!", "rtpmp2tdepay", "!", "udpsink", "host=" + s.Out.Addr().String(), "port=" + strconv.Itoa(int(s.Out.Port())), "sync=false"})
	return sender, receiver, nil
}

func join(lists ...[]string) (out []string) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// Warnings: RTP is bound to each link's address, RTCP to none.
func (g *GStreamer) Warnings(s *Setup) []string {
	if !s.oneReceiver() {
		return nil
	}
	return []string{"the receiver has one address, and ristsink's RTCP is bound to none of the sender's: it goes over the first link"}
}

// Parser reads the statistics of a side.
func (g *GStreamer) Parser(s *Setup, side Side) Parser {
	p := &gstParser{side: side, sums: newSums()}
	for _, k := range s.Links {
		p.links = append(p.links, k.Name)
	}
	return p
}

type gstParser struct {
	side  Side
	links []string // sessions have their order
	sums  *sums
}

// Line reads a line that holds a structure.
func (p *gstParser) Line(stream Stream, line []byte, emit func(Sample)) {
	if stream != Stdout {
		return
	}
	kind := map[Side]string{Sender: "rist/x-sender-stats", Receiver: "rist/x-receiver-stats"}[p.side]
	at := bytes.Index(line, []byte(kind))
	if at < 0 || len(line) > maxStructure {
		return
	}
	// What is nested is escaped once.
	flow, nested, _ := strings.Cut(string(line[at:]), "session-stats=")
	p.structure("", flow, emit)
	for _, text := range strings.Split(nested, "session-stats")[1:] {
		p.session(strings.ReplaceAll(text, `\`, ""), emit)
	}
}

// maxStructure bounds a line, in bytes: 256 sessions fit.
const maxStructure = 256 << 10

// numbers reads the numbers of a structure: name=(type)value, separated by commas.
func numbers(text string, f func(name string, v float64)) {
	for _, field := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=(")
		kind, value, ok2 := strings.Cut(value, ")")
		if !ok || !ok2 || kind != "guint64" && kind != "uint" && kind != "int" {
			continue
		}
		value, _, _ = strings.Cut(value, ";")
		if v, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64); err == nil {
			f(name, float64(v))
		}
	}
}

func (p *gstParser) session(text string, emit func(Sample)) {
	id := -1
	numbers(text, func(name string, v float64) {
		if name == "session-id" {
			id = int(v)
		}
	})
	if id >= 0 && id < len(p.links) {
		p.structure(p.links[id], text, emit)
	}
}

// structure tells the figures of a flow or a session.
func (p *gstParser) structure(link, text string, emit func(Sample)) {
	send := func(name string, v float64) { emit(Sample{p.side, link, name, v}) }
	var sent, sum float64
	numbers(text, func(name string, v float64) {
		switch name {
		case "session-id":
			return
		case "round-trip-time", "rtx-roundtrip-time": // ns
			if v > 0 {
				send(name, v)
				if name == "round-trip-time" {
					send(RTT, v/1e6)
				}
			}
			return
		case "dropped":
			if link != "" {
				return
			}
		}
		v = p.sums.highest(link, name, v)
		send(name, v)
		switch name {
		case "sent-original-packets":
			sent = v
		case "sent-retransmitted-packets":
			send(SumRetransmitted, v)
			sum = v
		case "received":
			send(SumReceived, v)
		case "permanently-lost":
			send(SumLost, v)
		case "retransmission-requests-sent":
			send(SumRequests, v)
		}
	})
	if p.side == Sender {
		send(SumSent, sent+sum)
	}
}
