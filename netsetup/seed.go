package netsetup

import "slices"

// Names of the features that say what a kernel makes of netem's seed. Links
// work without them.
const (
	featureSeed     = "netem-seed"
	featureSeedKept = "netem-seed-kept"
)

// required drops the features without which links work, only worse.
func required(found []Feature) []Feature {
	return slices.DeleteFunc(slices.Clone(found), func(f Feature) bool {
		return f.Name == featureSeed || f.Name == featureSeedKept
	})
}

// Warnings says what links on this kernel cannot do exactly, although they can
// be built.
func (f Features) Warnings(t *Topology) []string {
	paths := slices.ContainsFunc(t.Links, func(l Link) bool { return l.Path != PathNone })
	if paths && f.Netem && !f.NetemSeed {
		return []string{"this kernel's netem ignores its seed: which packets are lost or delayed by jitter differs from run to run"}
	}
	return nil
}
