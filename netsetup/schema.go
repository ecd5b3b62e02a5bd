package netsetup

import (
	"fmt"
	"math"
	"slices"

	"linktape/internal/schema"
	"linktape/trace"
)

// Patterns of texts. They are a little wider than what the parser takes.
const (
	patternAddr4   = `^[0-9]+(\.[0-9]+){3}$`
	patternAddr6   = `^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$`
	patternPrefix4 = `^[0-9]+(\.[0-9]+){3}/([89]|[12][0-9]|30)$`
	patternPrefix6 = `^[0-9a-fA-F:]*:[0-9a-fA-F:.]*/([89]|[1-9][0-9]|1[01][0-9]|12[0-6])$`
	patternMAC     = `^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$`
	patternDevice  = `^[^/:% \t]{1,15}$`
)

// topologyKeys describes a topology.
func topologyKeys() []schema.Key {
	words := func(list ...string) []string { return list }
	end := func(receiver bool) []schema.Key {
		keys := []schema.Key{
			{Name: "host", Kind: schema.Boolean, Doc: "The namespace that `linkup` is called in.", Example: "true"},
			{Name: "namespace", Kind: schema.Text, Doc: "An existing namespace, by its name for `ip netns`.", Digits: true, Pattern: `^[^/]{1,255}$`, Example: "lab"},
			{Name: "path", Kind: schema.Text, Doc: "An existing namespace, by its file.", Pattern: `^/[^ '\x22]*$`, Example: "/run/netns/lab"},
			{Name: "process", Kind: schema.Integer, Doc: "The namespace of a process, such as a container's: `docker inspect -f '{{.State.Pid}}' NAME` says which.", Min: 1, Max: 1 << 22, Example: "4242"},
		}
		if receiver {
			keys = append(keys,
				schema.Key{Name: "address", Kind: schema.Text, Doc: "One IPv4 address that every link leads to; the sender's own address chooses the link.", Pattern: patternAddr4, Example: "10.99.0.1"},
				schema.Key{Name: "address6", Kind: schema.Text, Doc: "The same for IPv6.", Pattern: patternAddr6, Example: "fd99::1"})
		}
		return keys
	}
	apart := schema.Rules{Apart: [][]string{{"host", "namespace", "path", "process"}}}
	linkEnd := []schema.Key{
		{Name: "interface", Kind: schema.Text, Doc: "A device of the host, with a cable to a device under test: it moves into the link's router, and `down` gives it back as it was.", Digits: true, Pattern: patternDevice, Example: "eth1"},
		{Name: "vlan", Kind: schema.Integer, Doc: "A VLAN on the interface, which then stays where it is.", Min: 1, Max: 4094, Example: "100"},
		{Name: "force", Kind: schema.Boolean, Doc: "Move the interface though the host's default route or only address is on it.", Default: "false"},
		{Name: "address", Kind: schema.Text, Doc: "The end's IPv4 address with its prefix length; the one of the device on the cable, where there is one.", Default: "automatic", Pattern: patternPrefix4, Example: "192.168.1.2/24"},
		{Name: "address6", Kind: schema.Text, Doc: "The same for IPv6.", Default: "automatic", Pattern: patternPrefix6, Example: "fd01::2/64"},
		{Name: "gateway", Kind: schema.Text, Doc: "The router's address towards this end.", Default: "the network's first other address", Pattern: patternAddr4, Example: "192.168.1.1"},
		{Name: "gateway6", Kind: schema.Text, Doc: "The same for IPv6.", Default: "the network's first other address", Pattern: patternAddr6, Example: "fd01::1"},
		{Name: "mac", Kind: schema.Text, Doc: "The hardware address of the end's device. Of a device on a cable: it is a permanent neighbour then, and is not asked for it.", Default: "fixed by run and link", Pattern: patternMAC, Example: "02:00:00:00:00:0a"},
	}
	needs := schema.Rules{Needs: map[string][]string{"vlan": {"interface"}, "force": {"interface"}, "gateway": {"address"}, "gateway6": {"address6"}}}
	link := []schema.Key{
		{Name: "shaper", Kind: schema.Text, Doc: "The bottleneck; see [bottlenecks.md](bottlenecks.md).", Default: string(ShaperAuto), Words: words(string(ShaperAuto), string(ShaperTBF), string(ShaperHTB), string(ShaperPulse), string(ShaperCAKE), string(ShaperEDT))},
		{Name: "backend", Kind: schema.Text, Doc: "`edt`: departures by arithmetic, in place of a shaper and netem; see [edt.md](edt.md). `qdisc`: what `shaper` says, and `auto` does not choose `edt`.", Default: "what `shaper` says", Words: words(BackendQdisc, string(ShaperEDT))},
		{Name: "window", Kind: schema.Integer, Doc: "Steps of the tape that the kernel holds at once in each direction, rounded up to a power of two, beside `backend: edt`.", Default: fmt.Sprint(DefaultWindow), Min: MinWindow, Max: MaxWindow, Example: "65536"},
		{Name: "tick", Kind: schema.Duration, Doc: "The longest time from one pulse to the next, 1ms to 10ms, beside `shaper: pulse`.", Default: DefaultTick.String(), Example: "1ms"},
		{Name: "cake", Kind: schema.Mapping, Doc: "Parameters of CAKE, beside `shaper: cake`, or `shaper: pulse` with a queue of kind `cake`.", Default: "CAKE's own", Keys: cakeKeys()},
		{Name: "path", Kind: schema.Text, Doc: "What delays and loses: netem where the kernel has it, netem or an error, or nothing.", Default: string(PathAuto), Words: words(string(PathAuto), string(PathNetem), string(PathNone)), Forms: []schema.Form{{Title: "`path`: what netem does; see [paths.md](paths.md)", Keys: pathKeys()}}},
		{Name: "mtu", Kind: schema.Integer, Doc: "The largest IP packet, in bytes.", Default: fmt.Sprint(DefaultMTU), Min: MinMTU, Max: MaxMTU},
		{Name: "rate", Kind: schema.Rate, Doc: "In each direction, until a tape says otherwise; 0 holds everything.", Default: "1Gbit", Example: "20Mbit"},
		{Name: "delay", Kind: schema.Duration, Doc: "One way, in each direction, until a tape says otherwise.", Default: "0s", Example: "35ms"},
		{Name: "queue", Kind: schema.Queue, Doc: "What the bottleneck's queue holds: a size, or a waiting time that follows the rate.", Default: "225KB", Example: "200ms", Forms: []schema.Form{{Title: "`queue`: limit and kind", Keys: []schema.Key{
			{Name: "limit", Kind: schema.Queue, Doc: "The same as in place of the mapping. Only kind `cake` may be without: it chooses.", Example: "200ms"},
			{Name: "kind", Kind: schema.Text, Doc: "`codel`: fq_codel, below any but `cake`. `cake`: CAKE, below `pulse`.", Default: string(trace.DropTail), Words: words(string(trace.DropTail), string(CoDel), string(CAKEQueue))},
		}}}},
		{Name: "tree", Kind: schema.Text, Doc: "How bottleneck and path are put together; see [links.md](links.md#trees).", Default: string(TreeSeparated), Words: words(string(TreeSeparated), string(TreeNested), string(TreeEgress))},
		{Name: "bridge", Kind: schema.Boolean, Doc: "A bridge in place of the router, for devices that bring their own addresses: one network from end to end.", Default: "false"},
		{Name: "hops", Kind: schema.Integer, Doc: "Further routers on the way to the receiver.", Default: "0", Min: 0, Max: MaxHops},
		{Name: "cross", Kind: schema.Boolean, Doc: "A namespace `LINK.x` at the router, whose traffic from and to the receiver shares the bottlenecks.", Default: "false"},
		{Name: "sender", Kind: schema.Mapping, Doc: "The link's end at the sender.", Keys: linkEnd, Rules: needs},
		{Name: "receiver", Kind: schema.Mapping, Doc: "The link's end at the receiver, with the same keys.", Keys: linkEnd, Rules: needs},
	}
	return []schema.Key{
		{Name: "sender", Kind: schema.Mapping, Doc: "Where the sender lives.", Default: "a namespace of the run's own", Keys: end(false), Rules: apart},
		{Name: "receiver", Kind: schema.Mapping, Doc: "Where the receiver lives.", Default: "a namespace of the run's own", Keys: end(true), Rules: apart},
		{Name: "ipv6", Kind: schema.Boolean, Doc: "Whether links have IPv6 addresses too.", Default: "where the kernel has IPv6"},
		{Name: "network", Kind: schema.Text, Doc: "Where automatic IPv4 addresses are taken from, a /24 for each link.", Default: defaultNetworks[0].String(), Pattern: patternPrefix4, Example: "10.80.0.0/16"},
		{Name: "network6", Kind: schema.Text, Doc: "Where automatic IPv6 addresses are taken from, a /48 for each link.", Default: defaultNetworks[1].String(), Pattern: patternPrefix6, Example: "fd80::/32"},
		{Name: "links", Kind: schema.Named, Doc: fmt.Sprintf("The links by name, 1 to %d. A link without keys, `att: {}`, has every default.", MaxLinks), Required: true,
			Item: &schema.Key{Kind: schema.Mapping, Keys: link}, Min: 1, Max: MaxLinks, Reserved: []string{SenderEnd, ReceiverEnd}},
	}
}

// cakeKeys describes the parameters of CAKE.
func cakeKeys() []schema.Key {
	return []schema.Key{
		{Name: "diffserv", Kind: schema.Text, Doc: "Tins by DSCP.", Default: "`besteffort`", Words: cakeDiffservWords[:]},
		{Name: "flows", Kind: schema.Text, Doc: "What a flow is.", Default: "`triple-isolate`", Words: cakeFlowWords[:]},
		{Name: "rtt", Kind: schema.Duration, Doc: "The round trip that the AQM allows for.", Default: "100ms", Example: "50ms"},
	}
}

// pathKeys describes a path.
func pathKeys() []schema.Key {
	distribution := func(doc string, required bool) schema.Key {
		return schema.Key{Name: "distribution", Kind: schema.Text, Doc: doc, Default: Normal, Required: required, Words: []string{Normal, Pareto, ParetoNormal},
			Forms: []schema.Form{{Title: "`distribution`: the shape of a tape's delay", Keys: []schema.Key{
				{Name: "tape", Kind: schema.Text, Doc: "The tape, by a name relative to the topology.", Required: true, Example: "field.tape"},
				{Name: "of", Kind: schema.Text, Doc: "One direction of it.", Required: true, Pattern: `^[a-z0-9][a-z0-9-]*\.(up|down)$`, Example: "sat.up"},
			}}}}
	}
	share := func(name, doc, fallback string) schema.Key {
		return schema.Key{Name: name, Kind: schema.Probability, Doc: doc, Default: fallback, Required: fallback == "", Example: "1%"}
	}
	limits := []schema.Key{
		{Name: "packets", Kind: schema.Integer, Doc: "At most so many in a slot.", Default: "no limit", Min: 1, Max: math.MaxInt32, Example: "64"},
		{Name: "bytes", Kind: schema.Size, Doc: "At most so many in a slot, overshot by up to a packet.", Default: "no limit", Example: "100KB"},
	}
	duration := func(name, doc, fallback, example string) schema.Key {
		return schema.Key{Name: name, Kind: schema.Duration, Doc: doc, Default: fallback, Required: fallback == "", Example: example}
	}
	return []schema.Key{
		duration("delay", "One way; the same as `delay` beside `path`.", "0s", "250ms"),
		duration("jitter", "Standard deviation of the delay.", "0s", "10ms"),
		{Name: "in_order", Kind: schema.Boolean, Doc: "Whether packets keep their order under jitter.", Default: "true"},
		distribution("Of the jitter.", false),
		{Name: "loss", Kind: schema.Probability, Doc: "Of packets, each by itself; or a model.", Default: "0", Example: "1%", Forms: []schema.Form{
			{Title: "`loss`: a Gilbert–Elliott chain that steps once a packet", Keys: []schema.Key{
				{Name: "model", Kind: schema.Text, Doc: "", Required: true, Words: []string{"ge-packet"}},
				share("p", "From good to bad.", ""), share("r", "From bad to good.", ""),
				share("loss_bad", "Loss while bad.", "1"), share("loss_good", "Loss while good.", "0"),
			}},
			{Title: "`loss`: netem's four states", Keys: []schema.Key{
				{Name: "model", Kind: schema.Text, Doc: "", Required: true, Words: []string{"markov"}},
				share("p13", "From received to lost in a burst.", ""), share("p31", "Back.", "1 − `p13`"), share("p32", "From lost to received within a burst.", "0"),
				share("p23", "Back.", "1"), share("p14", "From received to one lost by itself.", "0"),
			}},
		}},
		{Name: "ecn", Kind: schema.Boolean, Doc: "Mark in place of losing what is capable of ECN.", Default: "false"},
		share("duplicate", "Of packets that arrive twice.", "0"),
		share("corrupt", "Of packets with one bit flipped.", "0"),
		share("reorder", "Of every `gap`-th packet: it skips the delay.", "0"),
		{Name: "gap", Kind: schema.Integer, Doc: "See `reorder`.", Default: "1", Min: 1, Max: math.MaxUint32, Example: "5"},
		{Name: "slot", Doc: "Packets leave when a slot opens.", Default: "at any time", Forms: []schema.Form{
			{Title: "`slot`: at intervals", Keys: append([]schema.Key{duration("min", "From one slot to the next, at least.", "", "800us"), duration("max", "At most.", "`min`", "1ms")}, limits...)},
			{Title: "`slot`: by a distribution", Keys: append([]schema.Key{distribution("Of the intervals.", true), duration("delay", "Mean interval.", "", "10ms"), duration("jitter", "Standard deviation.", "", "2ms")}, limits...)},
		}},
		{Name: "seed", Kind: schema.Seed, Doc: "Of losses and jitter, until a tape brings its own.", Default: "0", Example: "42"},
	}
}

// topologyDocument describes a topology's file.
func topologyDocument() schema.Document {
	return schema.Document{Title: "Linktape topology", Keys: topologyKeys()}
}

// Schema is the JSON Schema (draft 2020-12) of topology files. It accepts every
// topology that [ParseTopology] does; what it cannot know, such as networks
// that overlap, only the parser refuses.
func Schema() []byte { return topologyDocument().JSON() }

// Reference is docs/topology.md: every key of a topology.
func Reference() string {
	document := topologyDocument()
	r := schema.NewReference(document)
	r.Text(`# Topologies: every key

Generated from ` + "`netsetup/schema.go`" + ` by ` + "`make golden`" + `. ` + "`linkup schema`" + ` prints the same as a JSON Schema, for editors. [links.md](links.md) tells what the keys mean for a link.

Keys that are not listed are refused, with the place and what was perhaps meant.
`)
	keys := document.Keys
	find := func(keys []schema.Key, name string) schema.Key {
		return keys[slices.IndexFunc(keys, func(k schema.Key) bool { return k.Name == name })]
	}
	link := find(keys, "links").Item.Keys
	r.Section("The topology", keys)
	r.Section("`sender` and `receiver`: where an end lives", find(keys, "receiver").Keys)
	r.Text("\nAt most one of `host`, `namespace`, `path` and `process`. Only a receiver has `address` and `address6`.\n")
	r.Section("`links`: one link", link)
	r.Section("`sender` and `receiver` of a link", find(link, "sender").Keys)
	r.Section("`cake`", find(link, "cake").Keys)
	r.Below(link)
	return r.String()
}
