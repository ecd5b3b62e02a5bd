package synth

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// stream is a sequence of random draws with a name. Its draws depend on nothing
// but seed and name, so another link or process leaves them as they are.
type stream struct {
	pcg rand.PCG
}

// newStream returns the stream of one process of one direction. The PCG
// (math/rand/v2, PCG-DXSM) is seeded with the first 16 bytes of the SHA-256 over
//
//	"linktape stream 1", uint64 seed, then for each part of the name: uint64 length, bytes
//
// with big-endian integers, so that no two names share an encoding.
func newStream(seed uint64, link, direction, process string) *stream {
	b := []byte("linktape stream 1")
	b = binary.BigEndian.AppendUint64(b, seed)
	for _, part := range []string{link, direction, process} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	s := &stream{}
	s.pcg.Seed(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16]))
	return s
}

// uniform returns one of the 2⁵² odd multiples of 2⁻⁵³ in (0, 1), so that
// neither end occurs and 1−u is as likely as u.
func (s *stream) uniform() float64 {
	return float64(s.pcg.Uint64()>>12<<1|1) * 0x1p-53
}

// normal returns a standard normal deviate from exactly one uniform, by
// inversion: streams stay aligned, and the deviate rises with the uniform.
func (s *stream) normal() float64 { return normalQuantile(s.uniform()) }
