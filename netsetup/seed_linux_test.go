package netsetup

import (
	"slices"
	"strings"
	"testing"

	"linktape/internal/privtest"
)

// A seed is read back as it was sent.
func TestReadBackNetemSeed(t *testing.T) {
	privtest.Require(t, "ifb", "netem", "netem-seed")
	inScratch(t, func(s *scratch) error {
		for _, want := range []uint64{0, 1, 12345, 1<<64 - 1} {
			q := Netem{LimitPackets: 1000, Loss: 0.5, Seed: want, HasSeed: true}
			if err := s.replace(func(b []byte) ([]byte, error) { return AppendNetem(b, q) }); err != nil {
				return err
			}
			info, err := s.get()
			if err != nil {
				return err
			}
			if got, err := DecodeNetem(info.Options); err != nil || !got.HasSeed || got.Seed != want {
				t.Errorf("got seed %d (%v), %v, want %d", got.Seed, got.HasSeed, err, want)
			}
		}
		return nil
	})
}

// The probe says what the kernel does: where it finds a seed, the same seed
// loses the same packets, and where it finds none, it says so.
func TestProbeSeed(t *testing.T) {
	privtest.Require(t, "ifb", "netem")
	f, found, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found, func(f Feature) bool { return f.Name == featureSeed })
	if i < 0 || (found[i].Err == "") != f.NetemSeed {
		t.Fatalf("features %+v, found %+v: want %s in both", f, found, featureSeed)
	}
	promised := privtest.Promised(featureSeed)
	if promised && !f.NetemSeed {
		t.Fatalf("%s is promised, and the probe says: %s", featureSeed, found[i].Err)
	}
	inScratch(t, func(s *scratch) error {
		send, closeSocket, err := s.ethernet()
		if err != nil {
			return err
		}
		defer closeSocket()
		const packets = 64
		// passing tells which packets pass, by the counters after each.
		passing := func() (string, error) {
			q := Netem{LimitPackets: 1000, Loss: 0.5, Seed: 7, HasSeed: true}
			if err := s.replace(func(b []byte) ([]byte, error) { return AppendNetem(b, q) }); err != nil {
				return "", err
			}
			var pattern strings.Builder
			for range packets {
				before, err := s.get()
				if err != nil {
					return "", err
				}
				if err := send(100); err != nil {
					return "", err
				}
				after, err := s.get()
				if err != nil {
					return "", err
				}
				pattern.WriteByte("01"[after.Packets-before.Packets])
			}
			return pattern.String(), s.delete()
		}
		first, err := passing()
		if err != nil {
			return err
		}
		second, err := passing()
		if err != nil {
			return err
		}
		// Without a seed two patterns agree with a probability of 2^−64.
		if (first == second) != f.NetemSeed {
			t.Errorf("probed seed %v, and the same seed passes\n%s\n%s", f.NetemSeed, first, second)
		}
		return nil
	})
}
