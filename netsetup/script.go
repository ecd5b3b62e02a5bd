package netsetup

import (
	"fmt"
	"slices"
	"strings"
)

// Script is the plan as a shell script, complete with what takes it back, as
// comments. Run as root it leaves the kernel in the state that [Up] leaves it
// in, but for the seeds of what netem draws, which the tc of older systems
// cannot say. It fails where a link is to hold everything, rate 0: tc always
// gives a bucket's size in bytes, and such a bucket is never closed
// (net/sched/sch_tbf.c: tbf_change, psched_l2t_ns counts the mpu); and of links with
// [ShaperEDT], whose program tc can load but not tell a tape.
func (p *Plan) Script() (string, error) {
	for _, l := range p.Topology.Links {
		if l.exact() {
			return "", fmt.Errorf("link %s: tc cannot tell the program of backend: edt its tape: write backend: qdisc, or let linkup up build it", l.Name)
		}
		if l.Rate == 0 {
			return "", fmt.Errorf("link %s: tc has no words for rate: 0: write a rate above 0", l.Name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# Run %s of linkup, by hand: needs root, ip and tc (iproute2), sysctl (procps) and ethtool.\nset -e\n\n", p.Run)
	for _, op := range p.Ops {
		fmt.Fprintln(&b, op)
	}
	b.WriteString("\n# To take it back:\n")
	for _, op := range slices.Backward(p.Ops) {
		if undo := op.Undo(); undo != "" {
			fmt.Fprintln(&b, "# "+strings.ReplaceAll(undo, "\n", "\n# "))
		}
	}
	return b.String(), nil
}
