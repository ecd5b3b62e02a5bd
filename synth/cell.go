package synth

import (
	"container/heap"
	"slices"
	"time"

	"linktape/internal/conf"
	"linktape/trace"
)

// cell is a radio cell that links share with other users' flows. Flows arrive at
// random (Poisson), bring a Pareto-distributed number of bytes, and all that are
// there share the cell's capacity equally with the links' traffic, which counts
// as weight flows: an M/G/1 queue with processor sharing and a permanent
// customer. A link gets weight/(weight + flows) of the rate that it has alone,
// averaged over each step, and each flow adds to its delay.
//
// Whatever the distribution of the sizes, the number of flows has the negative
// binomial distribution P(n) ∝ ρⁿ·Γ(n+weight+1)/n!, and a link keeps 1 − load of
// its rate on average, since the background is served what it offers (Kelly
// 1979, "Reversibility and Stochastic Networks", section 3.3, symmetric queues
// are insensitive).
//
// In place of a load, the number of flows may be told as steps, so that the
// instants at which a sender has to react are known.
type cell struct {
	name         string
	capacity     float64 // byte/s
	load         float64 // of the background, as a share of the capacity
	mean         float64 // bytes of a flow
	alpha        float64
	least, most  float64 // bytes of a flow, where its distribution begins and ends
	flows        *steps  // in place of all of that
	weight       float64
	delayPerFlow time.Duration
	links        []string
}

const (
	maxLoad   = 0.95
	maxFlows  = 10_000        // flows at once; those that come on top are turned away
	meanFlows = 1_000_000_000 // flows of a timeline, on average
)

// decodeCells reads the scenario's mapping, before its links.
func (sc *Scenario) decodeCells(n conf.Node) {
	n.Map().Each(func(key, value conf.Node) {
		c := &cell{name: key.Name(), weight: 1}
		m := value.Map()
		if k, ok := m.Get("weight"); ok {
			if c.weight = k.Float(); !k.Failed() && !(c.weight >= 0.01 && c.weight <= 100) {
				k.Errorf("weight %v: outside 0.01 to 100", c.weight)
			}
		}
		if k, ok := m.Get("delay_per_flow"); ok {
			c.delayPerFlow = readDelay(k)
		}
		flowsNode, hasFlows := m.Get("flows")
		loadNode, hasLoad := m.Get("load")
		switch {
		case hasFlows && hasLoad:
			flowsNode.Errorf("load and flows are both given: keep one")
		case hasFlows:
			c.decodeFlows(m, flowsNode)
		case hasLoad:
			c.decodeLoad(sc, m, loadNode)
		default:
			m.Node().Errorf("the background is missing: write load with capacity and size, or flows, a list of {at, flows}")
		}
		m.Done()
		sc.cells = append(sc.cells, c)
	})
}

// decodeFlows reads numbers of flows and their instants.
func (c *cell) decodeFlows(m *conf.Map, n conf.Node) {
	c.flows = decodeList(m, n, "flows", func(n conf.Node) float64 {
		f := n.Float()
		if !n.Failed() && !(f >= 0 && f <= maxFactor) {
			n.Errorf("flows %v: outside 0 to %d", f, int(maxFactor))
		}
		return f + 0
	})
}

func (c *cell) decodeLoad(sc *Scenario, m *conf.Map, loadNode conf.Node) {
	if c.load = loadNode.Float(); !loadNode.Failed() && !(c.load >= 0 && c.load <= maxLoad) {
		loadNode.Errorf("load %v: outside 0 to %v: above, flows pile up", c.load, maxLoad)
	}
	capacityNode := m.Require("capacity")
	c.capacity = float64(capacityNode.Rate()) / 8
	if !capacityNode.Failed() && c.capacity == 0 {
		capacityNode.Errorf("capacity 0: write the rate of the whole cell, such as 50Mbit")
	}
	size := m.Require("size").Map()
	meanNode := size.Require("mean")
	c.mean = float64(meanNode.Bytes())
	if !meanNode.Failed() && c.mean == 0 {
		meanNode.Errorf("mean 0: write the mean size of a flow, such as 2MB")
	}
	c.alpha = 1.5
	alphaNode, hasAlpha := size.Get("alpha")
	if hasAlpha {
		if c.alpha = alphaNode.Float(); !alphaNode.Failed() && !(c.alpha >= 1.05 && c.alpha <= 100) {
			alphaNode.Errorf("alpha %v: outside 1.05 to 100: from 1 down a flow has no mean size", c.alpha)
		}
	}
	maxNode, hasMax := size.Get("max")
	c.most = float64(c.mean * 1e6)
	if hasMax {
		if c.most = float64(maxNode.Bytes()); !maxNode.Failed() && c.most < c.mean {
			maxNode.Errorf("max lies below the mean: write a larger one, or leave it out")
		}
	}
	size.Done()
	if loadNode.Failed() || capacityNode.Failed() || meanNode.Failed() || hasAlpha && alphaNode.Failed() || hasMax && maxNode.Failed() {
		return
	}
	c.least = c.scale()
	if n := float64(c.arrivals() * sc.duration.Seconds()); n > meanFlows {
		loadNode.Errorf("about %.2g flows: more than %d: write larger flows or a shorter duration", n, meanFlows)
	}
}

// arrivals returns the flows that arrive in a second, on average.
func (c *cell) arrivals() float64 { return float64(c.load*c.capacity) / c.mean }

// scale returns where sizes begin so that they have the mean, by bisection.
func (c *cell) scale() float64 {
	lo, hi := 0.0, c.mean
	for range 200 {
		mid := float64((lo + hi) / 2)
		s := c.sizes(mid)
		if s.mean() < c.mean {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// sizes is the distribution of the sizes, in bytes, that begins at least.
func (c *cell) sizes(least float64) spread {
	return spread{form: paretoSpread, min: least, alpha: c.alpha, most: c.most, tail: 1 - pow(least/c.most, c.alpha)}
}

func (c *cell) concerns(ld trace.LinkDir) bool { return slices.Contains(c.links, ld.Link) }

func (c *cell) changes(duration, step time.Duration) (uint64, bool) {
	if c.flows != nil {
		return c.flows.changes(duration, step)
	}
	return 0, true
}

func (c *cell) start(r *run) running {
	if c.flows != nil {
		return &steppedCell{cell: c, scalar: c.flows.scalar(nil, "")}
	}
	out := &runningCell{cell: c, stream: newStream(r.seed, "", "", "cells "+c.name), step: r.step}
	out.fill()
	return out
}

// shared puts a cell's load into a state: a share of its rate, and a number of
// flows.
func (c *cell) shared(s *trace.State, share, flows float64) {
	s.Rate = trace.BitRate(float64(float64(s.Rate)*share) + 0.5)
	s.Delay = min(s.Delay+time.Duration(float64(float64(c.delayPerFlow)*flows)/1000+0.5)*1000, trace.MaxDelay)
}

// steppedCell is a cell whose flows are told.
type steppedCell struct {
	*cell
	scalar
	flows float64
}

func (c *steppedCell) advance(t time.Duration) (next time.Duration) {
	c.flows, next = c.value(t)
	return next
}

func (c *steppedCell) apply(_ trace.LinkDir, s *trace.State) {
	c.shared(s, c.weight/(c.weight+c.flows), c.flows)
}

// runningCell simulates the queue event by event and averages over steps. Each
// flow is served alike, so that one clock of bytes per flow tells when each is
// done.
type runningCell struct {
	*cell
	*stream
	step    time.Duration
	served  float64  // bytes that each flow present all the time has got
	ends    flowHeap // served at which the flows present are done
	arrival float64  // s until the next arrival
	share   float64  // of a link, over the present step
	flows   float64  // mean number in it
}

// fill puts the flows there that a cell in equilibrium has: their number is
// negative binomial, and what each has left has the equilibrium distribution of
// the sizes, with the distribution function (1/mean)·∫(1−F).
func (c *runningCell) fill() {
	u, p := c.uniform(), pow(1-c.load, c.weight+1)
	n := 0
	// The probabilities rise up to the mode, which lies below the mean; with a
	// large weight they begin at next to nothing.
	mean := float64(c.load*(c.weight+1)) / (1 - c.load)
	for ; u > p && n < maxFlows && (p > 1e-18 || float64(n) < mean); n++ {
		u -= p
		p = float64(float64(p*c.load)*(float64(n)+c.weight+1)) / float64(n+1)
	}
	for range n {
		heap.Push(&c.ends, c.residual(c.uniform()))
	}
	c.arrival = c.gap()
}

// residual returns the size below which the share u of the equilibrium
// distribution lies.
func (c *runningCell) residual(u float64) float64 {
	want := float64(u * c.mean) // ∫(1−F) from 0
	if want <= c.least {
		return want
	}
	// Beyond least: 1−F = ((least/x)^α − (least/most)^α)/tail.
	s := c.sizes(c.least)
	end := 1 - s.tail
	integral := func(x float64) float64 {
		whole := float64(float64(c.least/(c.alpha-1)) * (1 - pow(c.least/x, c.alpha-1)))
		return c.least + (whole-float64(end*(x-c.least)))/s.tail
	}
	lo, hi := c.least, c.most
	for range 100 {
		if mid := float64((lo + hi) / 2); integral(mid) < want {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// gap returns the time until the next arrival, in s.
func (c *runningCell) gap() float64 {
	u := c.uniform()
	if c.load == 0 {
		return float64(MaxDuration)
	}
	return -log(u) / c.arrivals()
}

func (c *runningCell) advance(t time.Duration) time.Duration {
	whole := c.step.Seconds()
	left := whole
	var share, flows float64 // integrals
	for left > 0 {
		n := float64(len(c.ends))
		rate := c.capacity / (n + c.weight) // byte/s of a flow
		dt, done := min(left, c.arrival), false
		if len(c.ends) > 0 {
			if end := max(c.ends[0]-c.served, 0) / rate; end < dt {
				dt, done = end, true
			}
		}
		share += float64(dt*c.weight) / (n + c.weight)
		flows += float64(dt * n)
		left -= dt
		c.arrival -= dt
		if done {
			c.served = heap.Pop(&c.ends).(float64)
			continue
		}
		c.served += float64(dt * rate)
		if c.arrival <= 0 {
			s := c.sizes(c.least)
			size := c.least / pow(1-float64(c.uniform()*s.tail), 1/c.alpha)
			if len(c.ends) < maxFlows {
				heap.Push(&c.ends, c.served+size)
			}
			c.arrival = c.gap()
		}
	}
	if len(c.ends) == 0 {
		c.served = 0 // keeps its precision
	}
	c.share, c.flows = share/whole, flows/whole
	return t + c.step
}

func (c *runningCell) apply(_ trace.LinkDir, s *trace.State) { c.shared(s, c.share, c.flows) }

// flowHeap has the flow that is done first at its root.
type flowHeap []float64

func (h flowHeap) Len() int           { return len(h) }
func (h flowHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h flowHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *flowHeap) Push(x any)        { *h = append(*h, x.(float64)) }
func (h *flowHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
