package netsetup

import "slices"

// Names of the features that say what a kernel's netem can do besides the
// least. Links work without them.
const (
	featureSeed     = "netem-seed"
	featureSeedKept = "netem-seed-kept"

	// featureDuplicate: duplication in a netem that has another one below.
	featureDuplicate = "netem-duplicate"

	// featurePulseKept: what a pulse lets out has left when the next one comes.
	featurePulseKept = "pulse-kept"
)

// Warnings says what links on this kernel cannot do exactly, although they can
// be built.
func (f Features) Warnings(t *Topology) []string {
	var out []string
	if !f.PulseKept && slices.ContainsFunc(t.Links, func(l Link) bool { return l.pulsed() }) {
		out = append(out, "this kernel may look at a queue only after the next pulse: up to an eighth of what pulses allow was seen to be lost")
	}
	paths := slices.ContainsFunc(t.Links, func(l Link) bool { return l.Path != PathNone })
	if !paths || !f.Netem {
		return out
	}
	if !f.NetemSeed {
		out = append(out, "this kernel's netem ignores its seed: which packets are lost or delayed by jitter differs from run to run")
	}
	if !f.NetemDuplicate {
		out = append(out, "this kernel's netem does not duplicate in a path: a tape with duplicates is refused")
	}
	return out
}
