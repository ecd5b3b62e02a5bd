package netsetup

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"linktape/trace"
)

// schemaKey describes one key of a topology. The keys below are the source of
// the JSON Schema ([Schema]) and of the reference ([Reference]).
type schemaKey struct {
	name     string
	kind     string // "text", "integer", "seed", "boolean", "rate", "duration", "size", "queue", "share", "mapping", "links", or "" where only forms will do
	doc      string
	fallback string // what holds without the key
	example  string
	required bool
	words    []string // all that a text may be
	pattern  string   // of a text
	min, max int      // of an integer
	keys     []schemaKey
	forms    []schemaForm        // mappings that may stand in place of the value
	apart    []string            // keys of a mapping of which one at most may be there
	needs    map[string][]string // keys of a mapping that need others
}

// schemaForm is one mapping that may stand in place of a value.
type schemaForm struct {
	title string
	keys  []schemaKey
}

// Patterns of values. They are a little wider than what the parser takes.
const (
	patternAddr4   = `^[0-9]+(\.[0-9]+){3}$`
	patternAddr6   = `^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$`
	patternPrefix4 = `^[0-9]+(\.[0-9]+){3}/([89]|[12][0-9]|30)$`
	patternPrefix6 = `^[0-9a-fA-F:]*:[0-9a-fA-F:.]*/([89]|[1-9][0-9]|1[01][0-9]|12[0-6])$`
	patternMAC     = `^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$`
	patternName    = `^[a-z0-9][a-z0-9-]*$`
	patternDevice  = `^[^/:% \t]{1,15}$`
	patternTime    = `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)([0-9.]+(ns|us|µs|ms|s|m|h))*$|^0$`
	patternRate    = `^[0-9.]+ ?(bit|kbit|Mbit|Gbit)$|^0$`
	patternShare   = `^[0-9.]+([eE][-+]?[0-9]+)? ?%?$`
	patternSize    = `^[0-9.]+ ?(B|KB|MB|GB|KiB|MiB|GiB)$`
)

// topologyKeys describes a topology.
func topologyKeys() []schemaKey {
	words := func(list ...string) []string { return list }
	end := func(receiver bool) []schemaKey {
		keys := []schemaKey{
			{name: "host", kind: "boolean", doc: "The namespace that `linkup` is called in.", example: "true"},
			{name: "namespace", kind: "text", doc: "An existing namespace, by its name for `ip netns`.", pattern: `^[^/]{1,255}$`, example: "lab"},
			{name: "path", kind: "text", doc: "An existing namespace, by its file.", pattern: `^/[^ '\x22]*$`, example: "/run/netns/lab"},
			{name: "process", kind: "integer", doc: "The namespace of a process, such as a container's: `docker inspect -f '{{.State.Pid}}' NAME` says which.", min: 1, max: 1 << 22, example: "4242"},
		}
		if receiver {
			keys = append(keys,
				schemaKey{name: "address", kind: "text", doc: "One IPv4 address that every link leads to; the sender's own address chooses the link.", pattern: patternAddr4, example: "10.99.0.1"},
				schemaKey{name: "address6", kind: "text", doc: "The same for IPv6.", pattern: patternAddr6, example: "fd99::1"})
		}
		return keys
	}
	apart := []string{"host", "namespace", "path", "process"}
	linkEnd := []schemaKey{
		{name: "interface", kind: "text", doc: "A device of the host, with a cable to a device under test: it moves into the link's router, and `down` gives it back as it was.", pattern: patternDevice, example: "eth1"},
		{name: "vlan", kind: "integer", doc: "A VLAN on the interface, which then stays where it is.", min: 1, max: 4094, example: "100"},
		{name: "force", kind: "boolean", doc: "Move the interface though the host's default route or only address is on it.", fallback: "false"},
		{name: "address", kind: "text", doc: "The end's IPv4 address with its prefix length; the one of the device on the cable, where there is one.", fallback: "automatic", pattern: patternPrefix4, example: "192.168.1.2/24"},
		{name: "address6", kind: "text", doc: "The same for IPv6.", fallback: "automatic", pattern: patternPrefix6, example: "fd01::2/64"},
		{name: "gateway", kind: "text", doc: "The router's address towards this end.", fallback: "the network's first other address", pattern: patternAddr4, example: "192.168.1.1"},
		{name: "gateway6", kind: "text", doc: "The same for IPv6.", fallback: "the network's first other address", pattern: patternAddr6, example: "fd01::1"},
		{name: "mac", kind: "text", doc: "The hardware address of the end's device. Of a device on a cable: it is a permanent neighbour then, and is not asked for it.", fallback: "fixed by run and link", pattern: patternMAC, example: "02:00:00:00:00:0a"},
	}
	needs := map[string][]string{"vlan": {"interface"}, "force": {"interface"}, "gateway": {"address"}, "gateway6": {"address6"}}
	link := []schemaKey{
		{name: "shaper", kind: "text", doc: "The bottleneck; see [bottlenecks.md](bottlenecks.md).", fallback: string(ShaperAuto), words: words(string(ShaperAuto), string(ShaperTBF), string(ShaperHTB), string(ShaperCAKE))},
		{name: "cake", kind: "mapping", doc: "Parameters of CAKE, beside `shaper: cake`.", fallback: "CAKE's own", keys: cakeKeys()},
		{name: "path", kind: "text", doc: "What delays and loses: netem where the kernel has it, netem or an error, or nothing.", fallback: string(PathAuto), words: words(string(PathAuto), string(PathNetem), string(PathNone)), forms: []schemaForm{{"`path`: what netem does; see [paths.md](paths.md)", pathKeys()}}},
		{name: "mtu", kind: "integer", doc: "The largest IP packet, in bytes.", fallback: fmt.Sprint(DefaultMTU), min: MinMTU, max: MaxMTU},
		{name: "rate", kind: "rate", doc: "In each direction, until a tape says otherwise; 0 holds everything.", fallback: "1Gbit", example: "20Mbit"},
		{name: "delay", kind: "duration", doc: "One way, in each direction, until a tape says otherwise.", fallback: "0s", example: "35ms"},
		{name: "queue", kind: "queue", doc: "What the bottleneck's queue holds: a size, or a waiting time that follows the rate.", fallback: "225KB", example: "200ms", forms: []schemaForm{{"`queue`: limit and kind", []schemaKey{
			{name: "limit", kind: "queue", doc: "The same as in place of the mapping.", example: "200ms", required: true},
			{name: "kind", kind: "text", doc: "`codel`: fq_codel, below `tbf` or `htb`.", fallback: string(trace.DropTail), words: words(string(trace.DropTail), string(CoDel))},
		}}}},
		{name: "tree", kind: "text", doc: "How bottleneck and path are put together; see [links.md](links.md#trees).", fallback: string(TreeSeparated), words: words(string(TreeSeparated), string(TreeNested), string(TreeEgress))},
		{name: "bridge", kind: "boolean", doc: "A bridge in place of the router, for devices that bring their own addresses: one network from end to end.", fallback: "false"},
		{name: "hops", kind: "integer", doc: "Further routers on the way to the receiver.", fallback: "0", min: 0, max: MaxHops},
		{name: "cross", kind: "boolean", doc: "A namespace `LINK.x` at the router, whose traffic from and to the receiver shares the bottlenecks.", fallback: "false"},
		{name: "sender", kind: "mapping", doc: "The link's end at the sender.", keys: linkEnd, needs: needs},
		{name: "receiver", kind: "mapping", doc: "The link's end at the receiver, with the same keys.", keys: linkEnd, needs: needs},
	}
	return []schemaKey{
		{name: "sender", kind: "mapping", doc: "Where the sender lives.", fallback: "a namespace of the run's own", keys: end(false), apart: apart},
		{name: "receiver", kind: "mapping", doc: "Where the receiver lives.", fallback: "a namespace of the run's own", keys: end(true), apart: apart},
		{name: "ipv6", kind: "boolean", doc: "Whether links have IPv6 addresses too.", fallback: "where the kernel has IPv6"},
		{name: "network", kind: "text", doc: "Where automatic IPv4 addresses are taken from, a /24 for each link.", fallback: defaultNetworks[0].String(), pattern: patternPrefix4, example: "10.80.0.0/16"},
		{name: "network6", kind: "text", doc: "Where automatic IPv6 addresses are taken from, a /48 for each link.", fallback: defaultNetworks[1].String(), pattern: patternPrefix6, example: "fd80::/32"},
		{name: "links", kind: "links", doc: fmt.Sprintf("The links by name, 1 to %d. A link without keys, `att: {}`, has every default.", MaxLinks), required: true, keys: link},
	}
}

// cakeKeys describes the parameters of CAKE.
func cakeKeys() []schemaKey {
	return []schemaKey{
		{name: "diffserv", kind: "text", doc: "Tins by DSCP.", fallback: "`besteffort`", words: cakeDiffservWords[:]},
		{name: "flows", kind: "text", doc: "What a flow is.", fallback: "`triple-isolate`", words: cakeFlowWords[:]},
		{name: "rtt", kind: "duration", doc: "The round trip that the AQM allows for.", fallback: "100ms", example: "50ms"},
	}
}

// pathKeys describes a path.
func pathKeys() []schemaKey {
	distribution := func(doc string, required bool) schemaKey {
		return schemaKey{name: "distribution", kind: "text", doc: doc, fallback: Normal, required: required, words: []string{Normal, Pareto, ParetoNormal},
			forms: []schemaForm{{"`distribution`: the shape of a tape's delay", []schemaKey{
				{name: "tape", kind: "text", doc: "The tape, by a name relative to the topology.", required: true, example: "field.tape"},
				{name: "of", kind: "text", doc: "One direction of it.", required: true, pattern: `^[a-z0-9][a-z0-9-]*\.(up|down)$`, example: "sat.up"},
			}}}}
	}
	share := func(name, doc, fallback string) schemaKey {
		return schemaKey{name: name, kind: "share", doc: doc, fallback: fallback, required: fallback == "", example: "1%"}
	}
	limits := []schemaKey{
		{name: "packets", kind: "integer", doc: "At most so many in a slot.", fallback: "no limit", min: 1, max: math.MaxInt32, example: "64"},
		{name: "bytes", kind: "size", doc: "At most so many in a slot, overshot by up to a packet.", fallback: "no limit", example: "100KB"},
	}
	duration := func(name, doc, fallback, example string) schemaKey {
		return schemaKey{name: name, kind: "duration", doc: doc, fallback: fallback, required: fallback == "", example: example}
	}
	return []schemaKey{
		duration("delay", "One way; the same as `delay` beside `path`.", "0s", "250ms"),
		duration("jitter", "Standard deviation of the delay.", "0s", "10ms"),
		{name: "in_order", kind: "boolean", doc: "Whether packets keep their order under jitter.", fallback: "true"},
		distribution("Of the jitter.", false),
		{name: "loss", kind: "share", doc: "Of packets, each by itself; or a model.", fallback: "0", example: "1%", forms: []schemaForm{
			{"`loss`: a Gilbert–Elliott chain that steps once a packet", []schemaKey{
				{name: "model", kind: "text", doc: "", required: true, words: []string{"ge-packet"}},
				share("p", "From good to bad.", ""), share("r", "From bad to good.", ""),
				share("loss_bad", "Loss while bad.", "1"), share("loss_good", "Loss while good.", "0"),
			}},
			{"`loss`: netem's four states", []schemaKey{
				{name: "model", kind: "text", doc: "", required: true, words: []string{"markov"}},
				share("p13", "From received to lost in a burst.", ""), share("p31", "Back.", "1 − `p13`"), share("p32", "From lost to received within a burst.", "0"),
				share("p23", "Back.", "1"), share("p14", "From received to one lost by itself.", "0"),
			}},
		}},
		{name: "ecn", kind: "boolean", doc: "Mark in place of losing what is capable of ECN.", fallback: "false"},
		share("duplicate", "Of packets that arrive twice.", "0"),
		share("corrupt", "Of packets with one bit flipped.", "0"),
		share("reorder", "Of every `gap`-th packet: it skips the delay.", "0"),
		{name: "gap", kind: "integer", doc: "See `reorder`.", fallback: "1", min: 1, max: math.MaxUint32, example: "5"},
		{name: "slot", doc: "Packets leave when a slot opens.", fallback: "at any time", forms: []schemaForm{
			{"`slot`: at intervals", append([]schemaKey{duration("min", "From one slot to the next, at least.", "", "800us"), duration("max", "At most.", "`min`", "1ms")}, limits...)},
			{"`slot`: by a distribution", append([]schemaKey{distribution("Of the intervals.", true), duration("delay", "Mean interval.", "", "10ms"), duration("jitter", "Standard deviation.", "", "2ms")}, limits...)},
		}},
		{name: "seed", kind: "seed", doc: "Of losses and jitter, until a tape brings its own.", fallback: "0", example: "42"},
	}
}

// Schema is the JSON Schema (draft 2020-12) of topology files. It accepts every
// topology that [ParseTopology] does; what it cannot know, such as networks
// that overlap, only the parser refuses.
func Schema() []byte {
	s := schemaOf(schemaKey{kind: "mapping", keys: topologyKeys()})
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Linktape topology"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // it holds nothing but maps, texts and numbers
	}
	return append(out, '\n')
}

func schemaOf(k schemaKey) map[string]any {
	if k.forms != nil {
		var anyOf []any
		if k.kind != "" {
			plain := k
			plain.forms, plain.doc = nil, ""
			anyOf = append(anyOf, schemaOf(plain))
		}
		for _, f := range k.forms {
			anyOf = append(anyOf, schemaOf(schemaKey{kind: "mapping", keys: f.keys}))
		}
		return map[string]any{"description": k.doc, "anyOf": anyOf}
	}
	s := map[string]any{}
	if k.doc != "" {
		s["description"] = k.doc
	}
	number := map[string]any{"type": "integer", "enum": []int{0}}
	oneOf := func(patterns ...string) {
		s["anyOf"] = []any{map[string]any{"type": "string", "pattern": strings.Join(patterns, "|")}, number}
	}
	switch k.kind {
	case "boolean":
		s["type"] = "boolean"
	case "integer":
		s["type"], s["minimum"], s["maximum"] = "integer", k.min, k.max
	case "seed":
		s["type"], s["minimum"] = "integer", 0
	case "share":
		s["anyOf"] = []any{
			map[string]any{"type": "string", "pattern": patternShare},
			map[string]any{"type": []string{"number", "integer"}, "minimum": 0, "maximum": 1},
		}
	case "size":
		s["type"], s["pattern"] = "string", patternSize
	case "rate":
		oneOf(patternRate)
	case "duration":
		oneOf(patternTime)
	case "queue":
		s["type"], s["pattern"] = "string", patternTime+"|"+patternSize
	case "text":
		if s["type"] = "string"; k.words != nil {
			s["enum"] = k.words
		} else if k.name == "interface" || k.name == "namespace" {
			s["type"] = []string{"string", "integer"} // a name of digits alone
		}
		if k.pattern != "" {
			s["pattern"] = k.pattern
		}
	case "links":
		link := schemaOf(schemaKey{kind: "mapping", keys: k.keys})
		s["type"], s["minProperties"], s["maxProperties"] = "object", 1, MaxLinks
		s["propertyNames"] = map[string]any{"pattern": patternName, "maxLength": trace.MaxName, "not": map[string]any{"enum": []string{SenderEnd, ReceiverEnd}}}
		s["additionalProperties"] = link
	case "mapping":
		properties, required := map[string]any{}, []string{}
		for _, x := range k.keys {
			properties[x.name] = schemaOf(x)
			if x.required {
				required = append(required, x.name)
			}
		}
		s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
		if len(required) > 0 {
			s["required"] = required
		}
		if len(k.needs) > 0 {
			s["dependentRequired"] = k.needs
		}
		var pairs []any
		for i, a := range k.apart {
			for _, b := range k.apart[:i] {
				pairs = append(pairs, map[string]any{"not": map[string]any{"required": []string{b, a}}})
			}
		}
		if pairs != nil {
			s["allOf"] = pairs
		}
	}
	return s
}

// Reference is docs/topology.md: every key of a topology.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Topologies: every key

Generated from ` + "`netsetup/schema.go`" + ` by ` + "`make golden`" + `. ` + "`linkup schema`" + ` prints the same as a JSON Schema, for editors. [links.md](links.md) tells what the keys mean for a link.

Keys that are not listed are refused, with the place and what was perhaps meant.
`)
	keys := topologyKeys()
	section := func(title string, keys []schemaKey) {
		fmt.Fprintf(&b, "\n## %s\n\n| key | value | without it | |\n|---|---|---|---|\n", title)
		for _, k := range keys {
			fallback := k.fallback
			if k.required {
				fallback = "an error"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.name, k.value(), fallback, k.doc)
		}
	}
	find := func(keys []schemaKey, name string) schemaKey {
		return keys[slices.IndexFunc(keys, func(k schemaKey) bool { return k.name == name })]
	}
	link := find(keys, "links").keys
	section("The topology", keys)
	section("`sender` and `receiver`: where an end lives", find(keys, "receiver").keys)
	b.WriteString("\nAt most one of `host`, `namespace`, `path` and `process`. Only a receiver has `address` and `address6`.\n")
	section("`links`: one link", link)
	section("`sender` and `receiver` of a link", find(link, "sender").keys)
	section("`cake`", find(link, "cake").keys)
	written := make(map[string]bool)
	var forms func(keys []schemaKey)
	forms = func(keys []schemaKey) {
		for _, k := range keys {
			for _, f := range k.forms {
				if !written[f.title] {
					written[f.title] = true
					section(f.title, f.keys)
				}
				forms(f.keys)
			}
		}
	}
	forms(link)
	return b.String()
}

// value is what may be written, for people.
func (k schemaKey) value() string {
	if k.forms != nil {
		if k.kind == "" {
			return "keys below"
		}
		plain := k
		plain.forms = nil
		return plain.value() + "; or keys below"
	}
	example := func(s string) string {
		if k.example == "" {
			return s
		}
		return s + ", such as `" + k.example + "`"
	}
	switch k.kind {
	case "boolean":
		return "true or false"
	case "integer":
		return example(fmt.Sprintf("%d to %d", k.min, k.max))
	case "mapping":
		return "keys below"
	case "links":
		return "a name and keys below for each"
	case "seed":
		return example("a whole number")
	case "share":
		return "0 to 1, or a percentage such as `" + k.example + "`"
	case "size":
		return example("a size")
	case "queue":
		return "a size such as `300KB`, or a duration such as `" + k.example + "`"
	}
	if k.words != nil {
		return "`" + strings.Join(k.words, "`, `") + "`"
	}
	return strings.TrimPrefix(example(map[string]string{"rate": "a rate", "duration": "a duration"}[k.kind]), ", such as ")
}
