package synth

import (
	"fmt"
	"math"
	"time"

	"linktape/internal/conf"
)

// combined is a sum or a product of terms. Each term draws from a stream of its
// own, named by its position, so that further terms at the end leave the draws
// as they were. The result is rounded and clipped to floor and ceiling.
type combined struct {
	q              quantity
	terms          []scalarModel
	product        bool
	floor, ceiling float64
}

func decodeSum(d *decoder, m *conf.Map) scalarModel     { return decodeCombined(d, m, false) }
func decodeProduct(d *decoder, m *conf.Map) scalarModel { return decodeCombined(d, m, true) }

// decodeCombined reads the terms: of a sum all in the quantity's unit, of a
// product the first, and numbers after it.
func decodeCombined(d *decoder, m *conf.Map, product bool) scalarModel {
	out := &combined{q: d.q, product: product, ceiling: d.q.most()}
	if d.term && !product {
		out.floor = -out.ceiling
	}
	listNode := m.Require("of")
	list := listNode.List()
	if listNode.IsList() && len(list) < 2 {
		listNode.Errorf("write two or more terms, or the value itself in place of the model")
	}
	for i, n := range list {
		term := *d
		term.path = fmt.Sprintf("%s.of.%d", d.path, i)
		term.name = termName(d.name, i)
		term.term = !product
		if product && i > 0 {
			term.q = factor
		}
		if t := term.decodeScalar(n); t != nil {
			out.terms = append(out.terms, t)
		}
	}
	if n, ok := m.Get("floor"); ok {
		out.floor = d.q.read(n)
	}
	if n, ok := m.Get("ceiling"); ok {
		if out.ceiling = d.q.read(n); !n.Failed() && out.ceiling < out.floor {
			n.Errorf("the ceiling lies below the floor: exchange them")
		}
	}
	return out
}

func (m *combined) scalar(e *env, name string) scalar {
	p := &combinedProcess{combined: m, values: make([]float64, len(m.terms)), due: make([]time.Duration, len(m.terms))}
	for i, t := range m.terms {
		p.running = append(p.running, t.scalar(e, termName(name, i)))
	}
	return p
}

// termName names the stream of a term.
func termName(name string, i int) string { return fmt.Sprintf("%s %d", name, i) }

func (m *combined) changes(duration, step time.Duration) (own uint64, sampled bool) {
	for _, t := range m.terms {
		n, on := t.changes(duration, step)
		own, sampled = saturatingAdd(own, n), sampled || on
	}
	return own, sampled
}

type combinedProcess struct {
	*combined
	running []scalar
	values  []float64
	due     []time.Duration
}

func (p *combinedProcess) value(t time.Duration) (float64, time.Duration) {
	next, v := never, 0.0
	for i, r := range p.running {
		if p.due[i] == t {
			p.values[i], p.due[i] = r.value(t)
		}
		next = min(next, p.due[i])
		if p.product && i > 0 {
			v = min(float64(v*p.values[i]), math.MaxFloat64) // infinity times 0 would be no number
		} else {
			v += p.values[i]
		}
	}
	switch {
	case v <= p.floor:
		v = p.floor
	case v >= p.ceiling:
		v = p.ceiling
	default:
		v = min(max(p.q.quantise(v), p.floor), p.ceiling)
	}
	return v, next
}
