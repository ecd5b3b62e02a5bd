package trial

import (
	"fmt"
	"strings"

	"linktape/internal/schema"
	"linktape/trace"
	"linktape/trial/metrics"
	"linktape/trial/stack"
)

// fileKeys describes a trial file.
func fileKeys() []schema.Key {
	// What a program is told, or a scenario is set to: any value.
	value := &schema.Key{Or: []schema.Key{{Kind: schema.Text}, {Kind: schema.Number}, {Kind: schema.Boolean}}}
	return []schema.Key{
		{Name: trialKey, Kind: schema.Name, Doc: "The trial's name. In a suite its folder is named so.", Required: true, Example: "bloated"},
		{Name: "scenario", Kind: schema.Text, Doc: "What is played: the name of a scenario of the library, or a file beside this one.", Default: "`tape`", Example: "strategy-combined"},
		{Name: "tape", Kind: schema.Text, Doc: "What is played: a tape, a file beside this one.", Default: "`scenario`", Example: "drive.tape"},
		{Name: "seed", Kind: schema.Seed, Doc: "Of the scenario.", Default: "the scenario's", Example: "3"},
		{Name: "duration", Kind: schema.Duration, Doc: "Play this much of it.", Default: "all of it", Example: "30s"},
		{Name: "set", Kind: schema.Named, Doc: "Changes of the scenario: dotted keys, such as `links.att.queue: 500KB`.", Default: "none", Pattern: `^.+$`, Item: value, Value: "keys of the scenario, a value to each"},
		{Name: "links", Kind: schema.List, Doc: "Use these links of the tape alone.", Default: "all", Item: &schema.Key{Kind: schema.Name}, Example: "[att, tmobile]"},
		{Name: "topology", Kind: schema.Text, Doc: "A [topology](topology.md), a file beside this one, which has the tape's links.", Default: "the tape's links", Example: "cables.yaml"},
		{Name: "stack", Kind: schema.Text, Doc: "What is tried.", Default: "librist", Words: stack.Names()},
		{Name: "options", Kind: schema.Named, Doc: "Of the stack; [trial.md](trial.md#librist) lists them.", Default: "the stack's", Pattern: `^.+$`, Item: value, Value: "names of options, a value to each"},
		{Name: "sender", Kind: schema.Text, Doc: "With `stack: exec`: the sender's command, a template.", Default: "none", Example: `./send {{join .Targets ","}}`},
		{Name: "receiver", Kind: schema.Text, Doc: "With `stack: exec`: the receiver's command, a template.", Default: "none", Example: "./receive"},
		{Name: "rate", Kind: schema.Rate, Doc: fmt.Sprintf("Of the source's transport stream, %v to %v.", MinRate, MaxRate), Default: DefaultRate.String(), Example: "3Mbit"},
		{Name: "buffer", Kind: schema.Duration, Doc: fmt.Sprintf("For recovery, in sender and receiver, %v to %v.", MinBuffer, MaxBuffer), Default: DefaultBuffer.String(), Example: "800ms"},
		{Name: "cross", Kind: schema.List, Doc: "Flows of [cross traffic](trial.md#cross-traffic).", Default: "none", Item: &schema.Key{Forms: crossForms()}, Value: "a list"},
		{Name: "thresholds", Kind: schema.Named, Doc: "Bounds of [metrics](metrics.md), in their units: `METRIC` of the bond, `LINK.METRIC` of a link. A number is the highest value.", Default: "none",
			Pattern: metricPattern(), Item: &schema.Key{Kind: schema.Number, Or: []schema.Key{{Kind: schema.Text, Pattern: schema.PatternShare}}, Forms: []schema.Form{{
				Title: "`thresholds`: one bound", Doc: "A number or, of a share, a percentage is the highest value. A mapping says the lowest, or both:",
				Keys: []schema.Key{bound("min", "The lowest value."), bound("max", "The highest value.")}, Rules: schema.Rules{Some: [][]string{{"min", "max"}}},
			}}}, Value: "names of metrics, a bound to each"},
	}
}

// fileRules are those of a trial file as a whole.
func fileRules() schema.Rules {
	played := []string{"scenario", "tape"}
	return schema.Rules{Apart: [][]string{played}, Some: [][]string{played}, Needs: map[string][]string{"sender": {"stack"}, "receiver": {"stack"}}}
}

func bound(name, doc string) schema.Key {
	return schema.Key{Name: name, Kind: schema.Number, Or: []schema.Key{{Kind: schema.Text, Pattern: schema.PatternShare, Value: "a percentage"}}, Doc: doc, Default: "no bound"}
}

// metricPattern is of the names of metrics.
func metricPattern() string {
	link, bond := metrics.Names()
	return `^(` + strings.Join(bond, "|") + `|[a-z0-9][a-z0-9-]*\.(` + strings.Join(link, "|") + `))$`
}

func crossForms() []schema.Form {
	form := func(kind, doc string, rules schema.Rules, own ...schema.Key) schema.Form {
		return schema.Form{Title: "`cross`: a flow of kind `" + kind + "`", Doc: doc, Rules: rules, Keys: append([]schema.Key{
			{Name: "kind", Kind: schema.Text, Required: true, Words: []string{kind}},
			{Name: "link", Kind: schema.Name, Doc: "Whose bottleneck it passes.", Required: true, Example: "att"},
			{Name: "dir", Kind: schema.Text, Doc: "Its direction.", Default: trace.Up.String(), Words: []string{trace.Up.String(), trace.Down.String()}},
			{Name: "at", Kind: schema.Duration, Doc: "When it begins.", Default: "0s", Example: "10s"},
			{Name: "duration", Kind: schema.Duration, Doc: "For how long it goes on.", Default: "to the end", Example: "15s"},
		}, own...)}
	}
	return []schema.Form{
		form(CrossTCP, "As fast as its congestion control goes.", schema.Rules{},
			schema.Key{Name: "congestion", Kind: schema.Text, Doc: "The algorithm.", Default: congestions()[0], Words: congestions()}),
		form(CrossUDP, "At a constant rate, all the time or in turns.", schema.Rules{Needs: map[string][]string{"on": {"off"}, "off": {"on"}}},
			schema.Key{Name: "rate", Kind: schema.Rate, Doc: fmt.Sprintf("Of IP packets, up to %v.", maxCross), Required: true, Example: "2Mbit"},
			schema.Key{Name: "on", Kind: schema.Duration, Doc: "It sends for so long, in turns with `off`.", Default: "always", Example: "1s"},
			schema.Key{Name: "off", Kind: schema.Duration, Doc: "It pauses for so long.", Default: "never", Example: "2s"}),
	}
}

func fileDocument() schema.Document {
	return schema.Document{Title: "Linktape trial", Keys: fileKeys(), Rules: fileRules()}
}

// Schema is the JSON Schema (draft 2020-12) of trial files. It accepts every trial
// file that [Parse] does; what it cannot know, such as bounds of durations, only
// the parser refuses.
func Schema() []byte { return fileDocument().JSON() }

// Reference adds every key of a trial file to a reference of keys.
func Reference(r *schema.Reference) {
	d := fileDocument()
	r.Section("Trial files", d.Keys)
	if text := d.Rules.String(); text != "" {
		r.Text("\n" + text + "\n")
	}
	r.Below(d.Keys)
}
