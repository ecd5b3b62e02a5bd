package fill

import "math/bits"

// BitNs is one bit in bit·ns, the unit in which service is counted: a rate in
// bit/s times a time in ns. One bit takes 1e9 of them.
const BitNs = 1_000_000_000

// Amount is an unsigned count of bit·ns: the highest rate for the longest trace
// is 1e13 bit/s · 2^62 ns < 2^106.
type Amount struct{ hi, lo uint64 }

// Mul returns a · b: a rate in bit/s for a time in ns.
func Mul(a, b uint64) Amount {
	hi, lo := bits.Mul64(a, b)
	return Amount{hi, lo}
}

// Add returns a + b.
func (a Amount) Add(b Amount) Amount {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return Amount{hi, lo}
}

// Sub returns a − b, or 0 where b is larger.
func (a Amount) Sub(b Amount) Amount {
	if a.Less(b) {
		return Amount{}
	}
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return Amount{hi, lo}
}

// Less reports whether a < b.
func (a Amount) Less(b Amount) bool {
	return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo
}

// Div returns ⌊a/d⌋ and the remainder; ok is false where the quotient does not
// fit into 63 bits.
func (a Amount) Div(d uint64) (q, rem uint64, ok bool) {
	if d == 0 || a.hi >= d {
		return 0, 0, false
	}
	q, rem = bits.Div64(a.hi, a.lo, d)
	return q, rem, q < 1<<63
}

// WholeBytes returns a without what is less than a byte.
func (a Amount) WholeBytes() Amount {
	_, rem, _ := Amount{a.hi % byteNs, a.lo}.Div(byteNs)
	return a.Sub(Amount{0, rem})
}
