package replay

import "time"

// density is how many steps a tape has in a time that is read ahead.
type density struct {
	second int64                        // of the last step
	counts [ahead/time.Second + 2]int64 // in it and the seconds before
	most   int64                        // in all of these together
	all    int64

	ticks []time.Duration // by direction, of [schedule]
}

// add counts a step at a time since the window's start, in order.
func (d *density) add(at time.Duration) {
	for s := int64(at / time.Second); d.second < s; d.second++ {
		if s-d.second > int64(len(d.counts)) {
			d.second, d.counts = s-1, [len(d.counts)]int64{}
		}
		copy(d.counts[1:], d.counts[:])
		d.counts[0] = 0
	}
	d.counts[0]++
	d.all++
	sum := int64(0)
	for _, n := range d.counts {
		sum += n
	}
	d.most = max(d.most, sum)
}

// room is the number of entries that are read ahead at most, of a window that
// takes a time to play and may be played over and over.
func (d *density) room(span time.Duration) int {
	n := 2 * d.most // the end of the window and its start
	if span < ahead {
		n = d.all * int64(ahead/max(span, time.Millisecond)+2)
	}
	for _, t := range d.ticks {
		if t > 0 {
			n += int64(2 * ahead / t)
		}
	}
	return int(min(max(n, leastEntries), mostEntries))
}
