package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Librist runs ristsender and ristreceiver (Debian: rist-tools).
//
// Of its statistics (0.2.7), JSON on standard error with counts for each interval,
// lost wraps at 16 bits and is left out where it has, and the bitrate of a dead or
// silent peer, which stands still at its last value, is taken as 0.
type Librist struct {
	profile                string // 0 simple, 1 main
	mode                   string
	reorder, rttMin        int64 // ms; −1: as librist does
	rttMax                 int64
	every                  int64 // ms between statistics
	senderBuffer           int64
	receiverBuffer         int64
	url                    string
	senderArgs, receiverAr []string
	used                   map[string]string
}

func newLibrist(o *options) *Librist {
	return &Librist{
		profile: map[string]string{"main": "1", "simple": "0"}[o.oneOf("profile", "main", "simple")],
		mode:    o.oneOf("mode", "share", "duplicate"),
		reorder: o.millis("reorder-buffer", ""), rttMin: o.millis("rtt-min", ""), rttMax: o.millis("rtt-max", ""),
		every:        o.millis("stats", "200ms"),
		senderBuffer: o.millis("sender-buffer", ""), receiverBuffer: o.millis("receiver-buffer", ""),
		url:        o.text("url", ""),
		senderArgs: words(o.text("sender-args", "")), receiverAr: words(o.text("receiver-args", "")),
		used: o.used,
	}
}

// Name is librist.
func (l *Librist) Name() string { return "librist" }

// Settings are the options.
func (l *Librist) Settings() map[string]string { return l.used }

// Needs are the two programs.
func (l *Librist) Needs() []Need {
	return []Need{{Program: "ristsender", Package: "rist-tools"}, {Program: "ristreceiver", Package: "rist-tools"}}
}

// Programs print their version before they complain.
func (l *Librist) Programs() map[string][]string {
	return map[string][]string{"ristsender": {"--help"}, "ristreceiver": {"--help"}}
}

// Ports are one in the main profile, for RTP and RTCP, and two in the simple one.
func (l *Librist) Ports(first int) []int {
	if l.profile == "0" {
		return []int{first, first + 1}
	}
	return []int{first}
}

// weight is each link's in load sharing; librist sends over links by their weights.
const weight = "5"

// peer is the URL of a link.
func (l *Librist) peer(at netip.AddrPort, listen bool, cname string, buffer int64) string {
	q := "cname=" + url.QueryEscape(cname) + "&buffer=" + strconv.FormatInt(buffer, 10)
	for _, p := range []struct {
		key string
		ms  int64
	}{{"reorder-buffer", l.reorder}, {"rtt-min", l.rttMin}, {"rtt-max", l.rttMax}} {
		if p.ms >= 0 {
			q += "&" + p.key + "=" + strconv.FormatInt(p.ms, 10)
		}
	}
	if !listen && l.profile == "1" {
		w := weight
		if l.mode == "duplicate" {
			w = "0"
		}
		q += "&weight=" + w
	}
	if l.url != "" {
		q += "&" + l.url
	}
	at2 := at.String()
	if listen {
		at2 = "@" + at2
	}
	return "rist://" + at2 + "?" + q
}

// Commands says what to run.
func (l *Librist) Commands(s *Setup) (sender, receiver Command, err error) {
	if l.profile == "0" && len(s.Links) > 1 {
		return sender, receiver, fmt.Errorf("librist bonds in the main profile only: leave profile=simple out, or use one link")
	}
	buffer := func(own int64) int64 {
		if own >= 0 {
			return own
		}
		return s.Buffer.Milliseconds()
	}
	var to, from []string
	for _, k := range s.Links {
		at := netip.AddrPortFrom(k.Receiver, uint16(k.Port))
		to = append(to, l.peer(at, false, k.Name, buffer(l.senderBuffer)))
		from = append(from, l.peer(at, true, "receiver", buffer(l.receiverBuffer)))
	}
	args := func(program string, buffer int64, rest []string, more ...string) []string {
		return append(append([]string{program, "-p", l.profile, "-S", strconv.FormatInt(l.every, 10), "-b", strconv.FormatInt(buffer, 10)}, more...), rest...)
	}
	sender.Argv = args("ristsender", buffer(l.senderBuffer), l.senderArgs, "-i", "udp://@"+s.In.String(), "-o", strings.Join(to, ","))
	receiver.Argv = args("ristreceiver", buffer(l.receiverBuffer), l.receiverAr, "-i", strings.Join(from, ","), "-o", "udp://"+s.Out.String())
	return sender, receiver, nil
}

// Warnings: its sockets are bound to no address.
func (l *Librist) Warnings(s *Setup) []string {
	if !s.oneReceiver() {
		return nil
	}
	return []string{"the receiver has one address, and librist binds to none of the sender's: all its peers go over the first link"}
}

// Parser reads the statistics of a side.
func (l *Librist) Parser(s *Setup, side Side) Parser {
	p := &libristParser{side: side, peers: make(map[int]string), sums: newSums()}
	if side == Sender { // its peers have the numbers of their URLs
		for i, k := range s.Links {
			p.peers[i+1] = k.Name
		}
	}
	for _, k := range s.Links {
		p.links = append(p.links, k.Name)
	}
	return p
}

type libristParser struct {
	side  Side
	links []string
	peers map[int]string // links by the numbers of peers
	sums  *sums
}

// libristStats is one line of statistics. What is not needed by name is kept as it
// comes.
type libristStats struct {
	Sender *struct {
		Peer struct {
			ID    int                `json:"id"`
			Stats map[string]float64 `json:"stats"`
		} `json:"peer"`
	} `json:"sender-stats"`
	Receiver *struct {
		Flow struct {
			Stats map[string]float64 `json:"stats"`
			Peers []struct {
				ID    int                `json:"id"`
				Dead  int                `json:"dead"`
				Stats map[string]float64 `json:"stats"`
			} `json:"peers"`
		} `json:"flowinstant"`
	} `json:"receiver-stats"`
}

// implausible is from when on a count for an interval has wrapped: half the range
// of 16 bits. Spacings of 2⁶⁴−1 mean none.
const implausible = 1 << 15

// Line reads a line of the log.
func (p *libristParser) Line(stream Stream, line []byte, emit func(Sample)) {
	if stream != Stderr {
		return
	}
	at := bytes.IndexByte(line, '{')
	if at < 0 {
		p.name(line)
		return
	}
	var s libristStats
	if json.Unmarshal(line[at:], &s) != nil {
		return // some other line with a brace
	}
	send := func(link, name string, v float64) { emit(Sample{p.side, link, name, v}) }
	sum := func(link, name string, v float64) { send(link, name, p.sums.add(link, name, v)) }
	switch {
	case s.Sender != nil && p.side == Sender:
		link, ok := p.peers[s.Sender.Peer.ID]
		if !ok {
			return
		}
		st := s.Sender.Peer.Stats
		each(st, func(name string, v float64) { send(link, name, v) })
		sum(link, SumSent, st["sent"])
		sum(link, SumRetransmitted, st["retransmitted"])
		rtt(st, func(v float64) { send(link, RTT, v) })
	case s.Receiver != nil && p.side == Receiver:
		st := s.Receiver.Flow.Stats
		if st["lost"] >= implausible {
			delete(st, "lost")
		}
		each(st, func(name string, v float64) { send("", name, v) })
		sum("", SumReceived, st["received"])
		sum("", SumRecovered, st["recovered_total"])
		sum("", SumLost, st["lost"]+st["dropped_late"]+st["dropped_full"])
		sum("", SumDuplicates, st["duplicates"])
		sum("", SumRequests, st["retries"])
		for _, peer := range s.Receiver.Flow.Peers {
			link, ok := p.peers[peer.ID]
			if !ok {
				continue
			}
			if peer.Dead != 0 || peer.Stats["received_data"] == 0 {
				peer.Stats["bitrate"] = 0
			}
			each(peer.Stats, func(name string, v float64) { send(link, name, v) })
			send(link, "dead", float64(peer.Dead))
			sum(link, SumReceived, peer.Stats["received_data"])
			rtt(peer.Stats, func(v float64) { send(link, RTT, v) })
		}
	}
}

// rtt passes on a round trip that was measured, in ms.
func rtt(st map[string]float64, f func(float64)) {
	if v, ok := st["rtt"]; ok && v > 0 {
		f(v)
	}
}

// name learns which link a peer of the receiver is: the sender says a link's name
// as its own.
func (p *libristParser) name(line []byte) {
	const said = " receiver name is now: "
	before, link, ok := bytes.Cut(line, []byte(said))
	if !ok || p.side != Receiver {
		return
	}
	_, number, ok := bytes.Cut(before, []byte("Peer "))
	id, err := strconv.Atoi(string(number))
	if !ok || err != nil {
		return
	}
	for _, l := range p.links {
		if l == string(bytes.TrimSpace(link)) {
			p.peers[id] = l
		}
	}
}
