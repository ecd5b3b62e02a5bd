package record

import "math/bits"

// Bursts describes runs of packets lost in a row, in the order sent.
type Bursts struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_packets"`
	Max   int64   `json:"max_packets"`

	// Lengths counts the runs of 1, 2, 3 to 4, 5 to 8, 9 to 16 … packets.
	Lengths []int64 `json:"lengths"`

	// P and R are those of a two-state chain (Gilbert 1960) in which the bad state
	// loses every packet: the share of the delivered packets that a loss follows,
	// and of the lost ones that a delivery follows. Written as ge_p and ge_r, with
	// ge_loss_bad 1, they give the same loss and the same mean burst.
	P float64 `json:"ge_p"`
	R float64 `json:"ge_r"`
}

// runs counts runs of losses.
type runs struct {
	delivered, lost int64
	run             int64 // of losses, up to now
	count           int64
	max             int64
	lengths         []int64
	turnedBad       int64 // losses after a delivery
	turnedGood      int64 // deliveries after a loss
}

func (r *runs) add(lost bool) {
	if lost {
		if r.run == 0 && r.delivered > 0 {
			r.turnedBad++
		}
		r.lost++
		r.run++
		return
	}
	if r.run > 0 {
		r.turnedGood++
	}
	r.end()
	r.delivered++
}

// end closes the run that goes on.
func (r *runs) end() {
	if r.run == 0 {
		return
	}
	r.count++
	r.max = max(r.max, r.run)
	k := bits.Len64(uint64(r.run - 1)) // 1 → 0, 2 → 1, 3 and 4 → 2, 5 to 8 → 3
	for len(r.lengths) <= k {
		r.lengths = append(r.lengths, 0)
	}
	r.lengths[k]++
	r.run = 0
}

func (r *runs) bursts() Bursts {
	r.end()
	b := Bursts{Count: r.count, Max: r.max, Lengths: r.lengths}
	if b.Lengths == nil {
		b.Lengths = []int64{}
	}
	if r.count > 0 {
		b.Mean = float64(r.lost) / float64(r.count)
		b.R = float64(r.turnedGood) / float64(r.lost)
	}
	if r.delivered > 0 {
		b.P = float64(r.turnedBad) / float64(r.delivered)
	}
	return b
}
