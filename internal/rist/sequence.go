package rist

// Unwrapper makes of 16-bit sequence numbers ones that do not wrap: of those that
// fit, the one that is nearest to the highest so far. Numbers may therefore come
// up to 32,768 late, or jump ahead by as much. The zero value is ready.
type Unwrapper struct {
	high  uint64
	begun bool
}

// Extend returns the number that does not wrap. The first one lies between 65,536
// and 131,071, so that numbers from before it are there too.
func (u *Unwrapper) Extend(seq uint16) uint64 {
	if !u.begun {
		u.begun = true
		u.high = 1<<16 | uint64(seq)
		return u.high
	}
	d := int16(seq - uint16(u.high))
	n := u.high + uint64(int64(d))
	if int64(n) < 0 { // far before the first
		n = uint64(seq)
	}
	if d > 0 {
		u.high = n
	}
	return n
}
