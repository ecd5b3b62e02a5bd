// Package netsetup builds links and applies states to them.
//
// A [Topology] says which links there are and how each is made; [ReadTopology]
// decodes it from YAML. [NewPlan] turns it into a [Plan]: pure data, what will
// be created in which order, each step with its undo. [Up] carries a plan out,
// all or nothing, and records it under the run's name in [StateDir]; [Down]
// removes exactly what a run made, also after a crash; [Status] reads back what
// the kernel has and compares it with the plan.
//
// A link is a router namespace between a sender's and a receiver's namespace:
//
//	ns snd                     ns link (a router)                     ns rcv
//	app ── w0 ══veth══ s0 ─▶ route ─▶ r0: clsact egress ─▶ ifb-up (BOTTLENECK) ─▶ r0 root (PATH) ══veth══ w0 ── app
//	                   s0 root (PATH) ◀─ ifb-down (BOTTLENECK) ◀─ s0: clsact egress ◀─ route ◀─ r0
//
// The bottleneck is a token bucket with a bounded drop-tail queue; the path is
// netem, where the kernel has it. Packets are taken to the bottleneck after
// they were routed, because until then they count against the sender's socket
// buffer and against TCP's small queues (net/ipv4/ip_input.c: ip_rcv_core
// orphans them), which would hold the queue short.
//
// Ends may live in namespaces of others or in the host's, and a link may begin
// at an interface of the host; a Plan's steps there have an undo of their own.
// Hops, cross traffic and bridged links are laid out in layout.go, trees on one
// device in nested.go.
//
// An [Endpoint] is one direction of one link of a run, opened for change:
// [Endpoint.Apply] tells the kernel a [trace.State] in one exchange, without
// allocating.
//
// Only this package talks to netlink. Everything but the last step onto the
// kernel builds on any system.
package netsetup
