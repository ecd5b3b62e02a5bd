package trace

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"time"
)

// Hash computes the identity of the conditions: the SHA-256 over the canonical
// encoding of the steps. Metadata other than the duration is not part of it.
//
// The encoding is a header, one record for each step in canonical order
// ([Compare]) and a trailer. Integers are little-endian; a string is its length
// in bytes (uint32) and its bytes; a probability is the bit pattern of its
// IEEE 754 double (uint64), with −0 written as 0.
//
//	header   8 bytes "linktape", uint32 1 (the format version)
//	step     byte 'S'
//	         int64  instant (ns)
//	         string link
//	         byte   direction: 0 down, 1 up
//	         int64  rate (bit/s)
//	         int64  delay (ns)
//	         int64  jitter (ns)
//	         double loss, GE.P, GE.R, GE.LossBad, GE.LossGood, duplicate, corrupt, reorder
//	         byte   carrier: 0 or 1
//	         string label
//	trailer  byte 'E', int64 duration (ns)
type Hash struct {
	sha hash.Hash
	buf []byte
}

const hashBuffer = 8 << 10

// NewHash returns the hash of no steps.
func NewHash() *Hash {
	h := &Hash{sha: sha256.New(), buf: make([]byte, 0, hashBuffer+1024)}
	h.buf = append(h.buf, "linktape"...)
	h.buf = binary.LittleEndian.AppendUint32(h.buf, FormatVersion)
	return h
}

// Step adds the next step.
func (h *Hash) Step(s *Step) {
	le := binary.LittleEndian
	b := append(h.buf, 'S')
	b = le.AppendUint64(b, uint64(s.At))
	b = le.AppendUint32(b, uint32(len(s.Link)))
	b = append(b, s.Link...)
	b = append(b, byte(s.Dir))
	b = le.AppendUint64(b, uint64(s.Rate))
	b = le.AppendUint64(b, uint64(s.Delay))
	b = le.AppendUint64(b, uint64(s.Jitter))
	b = le.AppendUint64(b, probBits(s.Loss))
	b = le.AppendUint64(b, probBits(s.GE.P))
	b = le.AppendUint64(b, probBits(s.GE.R))
	b = le.AppendUint64(b, probBits(s.GE.LossBad))
	b = le.AppendUint64(b, probBits(s.GE.LossGood))
	b = le.AppendUint64(b, probBits(s.Duplicate))
	b = le.AppendUint64(b, probBits(s.Corrupt))
	b = le.AppendUint64(b, probBits(s.Reorder))
	carrier := byte(0)
	if s.Carrier {
		carrier = 1
	}
	b = append(b, carrier)
	b = le.AppendUint32(b, uint32(len(s.Label)))
	b = append(b, s.Label...)
	if len(b) >= hashBuffer {
		h.sha.Write(b)
		b = b[:0]
	}
	h.buf = b
}

// Sum returns the hash, in hexadecimal, of the steps so far as a timeline of
// this duration. More steps may follow.
func (h *Hash) Sum(duration time.Duration) string {
	h.sha.Write(h.buf)
	h.buf = h.buf[:0]
	end, err := h.sha.(hash.Cloner).Clone()
	if err != nil {
		panic(err) // SHA-256 can always be cloned
	}
	end.Write(binary.LittleEndian.AppendUint64([]byte{'E'}, uint64(duration)))
	return hex.EncodeToString(end.Sum(nil))
}

// Hash returns the timeline's [Hash], in hexadecimal.
func (t *Timeline) Hash() string {
	h := NewHash()
	for i := range t.Steps {
		h.Step(&t.Steps[i])
	}
	return h.Sum(t.Meta.Duration)
}

// probBits returns the bit pattern of p. Adding 0 turns −0 into 0.
func probBits(p Prob) uint64 { return math.Float64bits(float64(p) + 0) }
