package netsetup

import "slices"

// Names of the features that say what a kernel's netem can do besides the
// least. Links work without them.
const (
	featureSeed     = "netem-seed"
	featureSeedKept = "netem-seed-kept"

	// featureDuplicate: duplication in a netem that has another one below.
	featureDuplicate = "netem-duplicate"
)

// Warnings says what links on this kernel cannot do exactly, although they can
// be built.
func (f Features) Warnings(t *Topology) []string {
	paths := slices.ContainsFunc(t.Links, func(l Link) bool { return l.Path != PathNone })
	if !paths || !f.Netem {
		return nil
	}
	var out []string
	if !f.NetemSeed {
		out = append(out, "this kernel's netem ignores its seed: which packets are lost or delayed by jitter differs from run to run")
	}
	if !f.NetemDuplicate {
		out = append(out, "this kernel's netem does not duplicate in a path: a tape with duplicates is refused")
	}
	return out
}
