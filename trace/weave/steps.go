package weave

import (
	"iter"
	"slices"

	"linktape/trace"
)

// Steps merges streams in canonical order ([trace.Compare]), each of which is in
// it. An error of a stream ends the whole.
func Steps(streams []iter.Seq2[trace.Step, error]) iter.Seq2[trace.Step, error] {
	type head struct {
		next func() (trace.Step, error, bool)
		step trace.Step
	}
	return func(yield func(trace.Step, error) bool) {
		var heads []*head
		for _, s := range streams {
			next, stop := iter.Pull2(s)
			defer stop()
			h := &head{next: next}
			step, err, ok := next()
			if err != nil {
				yield(step, err)
				return
			}
			if ok {
				h.step = step
				heads = append(heads, h)
			}
		}
		for len(heads) > 0 {
			first := 0
			for i := 1; i < len(heads); i++ {
				if trace.Compare(heads[i].step, heads[first].step) < 0 {
					first = i
				}
			}
			h := heads[first]
			if !yield(h.step, nil) {
				return
			}
			step, err, ok := h.next()
			if err != nil {
				yield(step, err)
				return
			}
			if h.step = step; !ok {
				heads = slices.Delete(heads, first, first+1)
			}
		}
	}
}
