package trace

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
	"time"
)

// encode writes the canonical encoding as the documentation of Hash gives it,
// field by field.
func encode(tl *Timeline) []byte {
	var b bytes.Buffer
	put := func(v ...any) {
		for _, v := range v {
			if s, ok := v.(string); ok {
				binary.Write(&b, binary.LittleEndian, uint32(len(s)))
				b.WriteString(s)
				continue
			}
			if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
				panic(err)
			}
		}
	}
	b.WriteString("linktape")
	put(uint32(1))
	for _, s := range tl.Steps {
		put(byte('S'), int64(s.At), s.Link, byte(s.Dir), int64(s.Rate), int64(s.Delay), int64(s.Jitter),
			float64(s.Loss), float64(s.GE.P), float64(s.GE.R), float64(s.GE.LossBad), float64(s.GE.LossGood),
			float64(s.Duplicate), float64(s.Corrupt), float64(s.Reorder), s.Carrier, s.Label)
	}
	put(byte('E'), int64(tl.Meta.Duration))
	return b.Bytes()
}

func TestHash(t *testing.T) {
	for _, tl := range []*Timeline{twoLinks(), testTimeline(5, time.Minute, 10*time.Millisecond)} {
		sum := sha256.Sum256(encode(tl))
		if got, want := tl.Hash(), hex.EncodeToString(sum[:]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	golden(t, "hash.golden", twoLinks().Hash()+"\n")
}

func TestHashDistinguishes(t *testing.T) {
	seen := map[string]string{twoLinks().Hash(): "unchanged"}
	for name, edit := range map[string]func(*Timeline){
		"at":           func(tl *Timeline) { tl.Steps[5].At++ },
		"link":         func(tl *Timeline) { tl.Steps[5].Link = "atu" },
		"dir":          func(tl *Timeline) { tl.Steps[5].Dir = Up },
		"rate":         func(tl *Timeline) { tl.Steps[5].Rate++ },
		"delay":        func(tl *Timeline) { tl.Steps[5].Delay++ },
		"jitter":       func(tl *Timeline) { tl.Steps[5].Jitter++ },
		"loss":         func(tl *Timeline) { tl.Steps[5].Loss = 0.1 },
		"ge_p":         func(tl *Timeline) { tl.Steps[5].GE.P = 0.1 },
		"ge_r":         func(tl *Timeline) { tl.Steps[5].GE.R = 0.1 },
		"ge_loss_bad":  func(tl *Timeline) { tl.Steps[5].GE.LossBad = 0.1 },
		"ge_loss_good": func(tl *Timeline) { tl.Steps[5].GE.LossGood = 0.1 },
		"duplicate":    func(tl *Timeline) { tl.Steps[5].Duplicate = 0.1 },
		"corrupt":      func(tl *Timeline) { tl.Steps[5].Corrupt = 0.1 },
		"reorder":      func(tl *Timeline) { tl.Steps[5].Reorder = 0.1 },
		"carrier":      func(tl *Timeline) { tl.Steps[5].Carrier = false },
		"label":        func(tl *Timeline) { tl.Steps[5].Label = "" },
		"duration":     func(tl *Timeline) { tl.Meta.Duration++ },
		"a step less":  func(tl *Timeline) { tl.Steps = tl.Steps[:5] },
	} {
		tl := twoLinks()
		edit(tl)
		h := tl.Hash()
		if other, ok := seen[h]; ok {
			t.Errorf("%s: the same hash as %s", name, other)
		}
		seen[h] = name
	}
	// What does not change the conditions does not change the hash.
	tl := twoLinks()
	tl.Steps[5].Loss = Prob(math.Copysign(0, -1))
	tl.Meta.Generator = "other"
	if got, want := tl.Hash(), twoLinks().Hash(); got != want {
		t.Errorf("−0: got %s, want %s", got, want)
	}
}

func TestHashSumGoesOn(t *testing.T) {
	tl := twoLinks()
	h := NewHash()
	for i := range tl.Steps {
		h.Sum(time.Second)
		h.Step(&tl.Steps[i])
	}
	if got, want := h.Sum(tl.Meta.Duration), tl.Hash(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
