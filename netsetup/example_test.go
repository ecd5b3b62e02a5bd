package netsetup_test

import (
	"fmt"
	"strings"

	"linktape/netsetup"
)

// A topology becomes a plan on any system; Up carries it out on Linux.
func Example() {
	topology, err := netsetup.ParseTopology("topology.yaml", []byte(`
links:
  att: {rate: 20Mbit, queue: 200ms}
  sat: {rate: 2Mbit, delay: 300ms}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := netsetup.NewPlan("demo", topology, netsetup.Features{IPv6: true, Netem: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Join(plan.Namespaces(), " "))
	for _, op := range plan.Ops {
		if add, ok := op.(netsetup.AddBottleneck); ok {
			fmt.Println(add)
		}
	}
	// Output:
	// lt.demo.snd lt.demo.rcv lt.demo.att lt.demo.sat
	// tc -n lt.demo.att qdisc add dev ifb-up root handle 1: stab overhead -14 linklayer ethernet tbf rate 20000000bit burst 4000 limit 500000
	// tc -n lt.demo.att qdisc add dev ifb-down root handle 1: stab overhead -14 linklayer ethernet tbf rate 20000000bit burst 4000 limit 500000
	// tc -n lt.demo.sat qdisc add dev ifb-up root handle 1: stab overhead -14 linklayer ethernet tbf rate 2000000bit burst 1750 limit 225000
	// tc -n lt.demo.sat qdisc add dev ifb-down root handle 1: stab overhead -14 linklayer ethernet tbf rate 2000000bit burst 1750 limit 225000
}
