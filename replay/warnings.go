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

// warned are links that know why a replay on them is not exact.
type warned interface{ Warnings() []string }

// warningsOf asks links that know.
func warningsOf(l Links) []string {
	if w, ok := l.(warned); ok {
		return w.Warnings()
	}
	return nil
}
