package edt

// Random numbers. The words of a seed are the outputs of SplitMix64 (Steele, Lea,
// Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, with the
// finalizer of its reference implementation); any of them can be computed by
// itself.
const golden = 0x9e3779b97f4a7c15

// Words of one packet: the first for loss and chain, the others for jitter.
const words = 4

// word returns the n-th output of the generator, from 0 on.
func word(seed, n uint64) uint64 {
	z := seed + (n+1)*golden
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// deviate returns a number with mean 0 and standard deviation 2^16, nearly normal
// (the sum of twelve uniform numbers of 16 bits; its excess kurtosis is −0.1), of
// the packet with number k. It is between ±393,210.
func deviate(seed, k uint64) int64 {
	var sum int64
	for j := uint64(1); j < words; j++ {
		w := word(seed, words*k+j)
		sum += int64(w&0xffff) + int64(w>>16&0xffff) + int64(w>>32&0xffff) + int64(w>>48)
	}
	return sum - 12*0xffff/2
}
