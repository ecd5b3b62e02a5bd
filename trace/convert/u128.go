package convert

import "math/bits"

// nsBits is one bit in bit·ns, the unit in which service is counted: a rate in
// bit/s times a time in ns. One bit takes 1e9 of them.
const nsBits = 1_000_000_000

// u128 is an unsigned count of bit·ns: the highest rate for the longest trace
// is 1e13 bit/s · 2^62 ns < 2^106.
type u128 struct{ hi, lo uint64 }

func mul128(a, b uint64) u128 {
	hi, lo := bits.Mul64(a, b)
	return u128{hi, lo}
}

func (a u128) add(b u128) u128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return u128{hi, lo}
}

// sub returns a − b, or 0 where b is larger.
func (a u128) sub(b u128) u128 {
	if a.less(b) {
		return u128{}
	}
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return u128{hi, lo}
}

func (a u128) less(b u128) bool {
	return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo
}

// div returns ⌊a/d⌋ and the remainder; ok is false where the quotient does not
// fit into 63 bits.
func (a u128) div(d uint64) (q, rem uint64, ok bool) {
	if d == 0 || a.hi >= d {
		return 0, 0, false
	}
	q, rem = bits.Div64(a.hi, a.lo, d)
	return q, rem, q < 1<<63
}
