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

	// featureEDT: departures by arithmetic.
	featureEDT = "edt"
)

// needsEDT is what backend: edt needs of a kernel.
const needsEDT = "root on the machine itself, not in a user namespace as --rootless has it; CONFIG_BPF_SYSCALL, CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF, CONFIG_NET_SCH_FQ, modules sch_ingress, cls_bpf, sch_fq"

// Warnings says what links on this kernel cannot do exactly, although they can
// be built.
func (f Features) Warnings(t *Topology) []string {
	var out []string
	if !f.PulseKept && slices.ContainsFunc(t.Links, func(l Link) bool { return l.pulsed() }) {
		out = append(out, "this kernel may look at a queue only after the next pulse: up to an eighth of what pulses allow was seen to be lost")
	}
	paths := slices.ContainsFunc(t.Links, func(l Link) bool { return l.Path != PathNone && !l.exact() })
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
