package replay

import (
	"linktape/netsetup"
	"linktape/trace"
)

// shaped are links that know their bottlenecks.
type shaped interface {
	Shaper(link string) (kind netsetup.ShaperKind, why string)
}

// shaperOf asks links that know.
func shaperOf(l Links, ld trace.LinkDir) (kind, why string) {
	if s, ok := l.(shaped); ok {
		k, why := s.Shaper(ld.Link)
		return string(k), why
	}
	return "", ""
}

// warned are links that know why the same tape does not lose and delay the same
// packets on them each time.
type warned interface{ Warnings() []string }

// byChance reports whether a state leaves something to chance.
func byChance(s *trace.State) bool {
	return s.Jitter != 0 || s.Loss != 0 || s.GE.Enabled() || s.Duplicate != 0 || s.Corrupt != 0 || s.Reorder != 0
}

// warningsOf asks links that know.
func warningsOf(l Links) []string {
	if w, ok := l.(warned); ok {
		return w.Warnings()
	}
	return nil
}
