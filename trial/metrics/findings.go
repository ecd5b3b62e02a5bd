package metrics

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"linktape/trace"
	"linktape/trial/stack"
)

// tolerated is how far two sources of the same quantity may differ.
const tolerated = 0.02

// find notes something that a reader should know.
func (a *analysis) find(format string, args ...any) {
	a.findings = append(a.findings, Finding{Text: fmt.Sprintf(format, args...)})
}

func (a *analysis) findOn(l *link, format string, args ...any) {
	a.findings = append(a.findings, Finding{Text: fmt.Sprintf(format, args...), Link: l.name})
}

// compare notes that two sources differ by more than is tolerated, and by more than
// slack, which is what the edges of their times make.
func (a *analysis) compare(link, quantity, nameA string, x float64, nameB string, y, slack float64, remark string) {
	apart := math.Abs(x - y)
	if math.IsNaN(apart) || apart <= slack {
		return
	}
	ratio := apart / max(math.Abs(x), math.Abs(y))
	if ratio <= tolerated {
		return
	}
	text := quantity
	if link != "" {
		text = "link " + link + ": " + quantity
	}
	text += fmt.Sprintf(": %s by %s, %s by %s, which is %s %% apart", figure(x), nameA, figure(y), nameB, strconv.FormatFloat(100*ratio, 'f', 1, 64))
	if remark != "" {
		text += ": " + remark
	}
	a.findings = append(a.findings, Finding{Text: text, Link: link, Quantity: quantity, A: x, B: y, Ratio: ratio})
}

// figure is a number as a finding says it.
func figure(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 1000 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// quantities that are compared.
const (
	quantitySent            = "packets sent"
	quantityDelivered       = "packets delivered"
	quantityLost            = "packets lost"
	quantityRetransmissions = "retransmissions"
	quantityReceived        = "packets of media received"
	quantityUnrecovered     = "packets that the application did not get"
	quantityRTT             = "median round trip, ms"
	quantityDatagrams       = "datagrams and packets of media"
	quantityOutput          = "packets of media that arrived and came out"
)

// compareAll looks for sources that disagree. Counts are of the whole trial, so
// that only packets under way at its ends lie between them.
func (a *analysis) compareAll() {
	cross := make(map[string]bool) // links that others use upwards as well
	for _, c := range a.info.Cross {
		cross[c.Link] = cross[c.Link] || c.Dir != trace.Down.String()
	}
	for i, l := range a.links {
		p := a.pass.links[i]
		// What may be at the edges: a fifth of a second's packets.
		per := float64(p.all.sent) / max(float64(a.duration)/1e9, 1)
		slack := max(10, 0.2*per)
		if cross[l.name] && l.counters.there {
			a.findOn(l, "link %s: cross traffic passes it as well: its counters hold that too, and are not compared with the captures", l.name)
		}
		if c := &l.counters; c.there && !cross[l.name] {
			end := c.last.At
			sentBy, gotBy := l.totals(end)
			lostBy := l.lostTotal.upTo(end) - l.lostTotal.upTo(0)
			s := sums(&c.last)
			// A packet that went with an interface had not left the bottleneck.
			in, out, gone := s.packets+s.queue+c.backlog, s.packets-s.path, s.queue+s.path+s.outage
			a.compare(l.name, quantitySent, byCaptures, sentBy, byCounters, clamp(sentBy, in, in+s.outage), slack, "")
			a.compare(l.name, quantityDelivered, byCaptures, gotBy, byCounters, clamp(gotBy, out-s.outage, out), slack, "")
			// What still waited may not have arrived before the captures' end.
			a.compare(l.name, quantityLost, byCaptures, lostBy, byCounters, clamp(lostBy, gone, gone+c.backlog), max(5, 0.002*float64(p.all.sent)), "")
		}
		a.compareStack(l, slack)
		if s := a.stackRTT[l.name]; s != nil {
			a.compare(l.name, quantityRTT, byCaptures, l.rttMedian, byStack, ms(s.quantile(0.5)), 2, "a stack may smooth it, and add the time in which it answers")
		}
	}
	if c := &a.totals; float64(c.unsent) > 0.01*float64(c.sequences) && !a.bySize {
		a.find("of %d sequence numbers %d went over no link as originals and were sent when they were asked for: into an interface that was down, or left out by the sender while it took a link for dead", c.sequences, c.unsent)
	}
	o := &a.output
	slack := 10.0
	if o.source && !a.bySize {
		n := float64(a.totals.sequences)
		a.compare("", quantityDatagrams, "the source", float64(o.allSent), byCaptures, n, slack, "the sender lost datagrams, cut them up, or did not start in time")
	}
	if o.sink && !a.bySize {
		a.compare("", quantityOutput, byCaptures, float64(a.totals.sequences-a.totals.undelivered), "the sink", float64(o.allArrived), slack, "what arrived and did not come out came too late for the receiver, or before it was ready")
	}
	if s := a.said[statKey{string(stack.Receiver), "", stack.SumLost}]; s.there && o.source && o.sink {
		a.compare("", quantityUnrecovered, bySink, float64(o.allLost), byStack, s.value, 5, "a receiver does not count what was lost before it had begun or after it had ended")
	}
	if s := a.said[statKey{string(stack.Sender), "", stack.SumRetransmitted}]; s.there && !a.bySize {
		a.compare("", quantityRetransmissions, byCaptures, a.again.upTo(s.at), byStack, s.value, 5, "")
	}
}

// compareStack compares the captures of a link with what the stack says of it.
func (a *analysis) compareStack(l *link, slack float64) {
	if a.bySize {
		return
	}
	if s := a.said[statKey{string(stack.Sender), l.name, stack.SumRetransmitted}]; s.there {
		a.compare(l.name, quantityRetransmissions, byCaptures, l.again.upTo(s.at), byStack, s.value, 5, "")
	}
	if s := a.said[statKey{string(stack.Receiver), l.name, stack.SumReceived}]; s.there {
		// Stacks count retransmissions, or do not.
		a.compare(l.name, quantityReceived, byCaptures, clamp(s.value, l.firsts.upTo(s.at), l.data.upTo(s.at)), byStack, s.value, slack/2, "")
	}
}

func clamp(v, lo, hi float64) float64 { return min(max(v, lo), hi) }

// blockedAt reports whether nothing passed a link, in some direction, from about one
// instant to another.
func (a *analysis) blockedAt(l *link, from, to int64) bool {
	for _, e := range a.events {
		if e.link == l && e.failure <= from+int64(time.Second) && (e.open || e.restore >= to) {
			return true
		}
	}
	return false
}

// checkCaptures notes what is the matter with the captures themselves.
func (a *analysis) checkCaptures() {
	var readable, sized int64
	for i, p := range a.pass.links {
		l := a.links[i]
		for _, e := range p.ends {
			c := e.r.Counts()
			switch {
			case e.order == 0:
				a.findOn(l, "link %s: %s holds no packets", l.name, e.file)
				continue
			case c.CutOff:
				a.findOn(l, "link %s: %s ends within a packet: what captured it was killed", l.name, e.file)
			}
			if e.last < a.to-int64(time.Second) && !a.blockedAt(l, e.last, a.to) {
				a.findOn(l, "link %s: %s ends at %v, before the trial does", l.name, e.file, time.Duration(e.last).Round(time.Millisecond))
			}
			if n := a.info.Captures[captureDir+"/"+filepath.Base(e.file)].Drops; n > 0 {
				a.findOn(l, "link %s: %s lacks %d packets that came faster than they could be written: losses and strays there are not the link's", l.name, e.file, n)
			}
		}
		if n := p.up.strays; n > 10 && float64(n) > tolerated*float64(p.all.received) {
			a.findOn(l, "link %s: %d packets arrived that were not sent, as far as %s says: it has lost packets, or somebody changes them on their way", l.name, n, p.ends[0].file)
		}
		readable += p.all.originals - p.all.bySize + p.all.again
		sized += p.all.bySize
	}
	switch {
	case readable == 0 && sized > 0:
		a.bySize = true
		a.find("the bond's packets cannot be read (encrypted, or not RIST): the %d of %d bytes or more count as media; what needs sequence numbers is estimated from source and sink, or missing", sized, a.pass.size)
	case sized > 0:
		a.find("%d packets of the bond, of %d bytes or more, cannot be read (encrypted, or not RIST); they count as originals", sized, a.pass.size)
	case readable == 0:
		a.find("no packet of media was seen on any link: the sender sent none, or not to the ports that %s names", trialFile)
	}
	if flows := len(a.pass.flow.media); flows > 1 {
		a.find("%d flows of media (SSRC) were seen, not one: the sender was started again, or there are several; each has its own sequence numbers, and all are counted together", flows)
	}
}
