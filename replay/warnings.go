package replay

// warned are links that know why a replay on them is not exact.
type warned interface{ Warnings() []string }

// warningsOf asks links that know.
func warningsOf(l Links) []string {
	if w, ok := l.(warned); ok {
		return w.Warnings()
	}
	return nil
}
