package synth

import (
	"fmt"
	"math"

	"linktape/internal/schema"
	"linktape/trace"
	"linktape/trace/edit"
)

// This file describes every key of a scenario once; Schema and Reference come
// from it, and a test holds the decoders to the same keys.

// document describes a scenario's file.
func document() schema.Document {
	return schema.Document{
		Title: "Linktape scenario",
		Keys:  scenarioKeys(),
		Definitions: []schema.Definition{
			valueDefinition(rate, "rate", "Rates", schema.Key{Kind: schema.Rate, Example: "6Mbit",
				Doc: "Capacity in bit/s of IP packets; 0 stalls the link. A plain value stays; a model changes. Rates are rounded to whole bit/s."}),
			valueDefinition(delay, "time", "Delays and jitters", schema.Key{Kind: schema.Duration, Example: "35ms",
				Doc: "A delay is one way, after the bottleneck; jitter is its standard deviation. What is drawn is rounded to whole microseconds."}),
			valueDefinition(loss, "loss", "Losses", schema.Key{Kind: schema.Probability, Example: "0.1%",
				Doc: "The probability that a packet is lost: by itself, or with memory. The step's label says `good` or `bad` where a model has such states."}),
			valueDefinition(corrupt, "probability", "Probabilities", schema.Key{Kind: schema.Probability, Example: "0.1%",
				Doc: "Of packets that are duplicated, have one bit flipped, or overtake others."}),
			valueDefinition(factor, "factor", "Factors", schema.Key{Kind: schema.Number, Min: 0, Max: maxFactor, Example: "0.5",
				Doc: "The second and every further term of a product: plain numbers, or models of them."}),
			{Name: "span", Title: "Durations that are drawn", Key: spanKey(
				"The same every time, or drawn from a distribution anew each time.")},
		},
	}
}

// Schema is the JSON Schema (draft 2020-12) of scenario files. It accepts every
// usual spelling of a scenario that [Parse] accepts.
func Schema() []byte { return document().JSON() }

// Reference is docs/parameters.md: every key of a scenario.
func Reference() string {
	d := document()
	r := schema.NewReference(d)
	r.Text(`# Scenarios: every key

Generated from ` + "`synth/schema.go`" + ` by ` + "`make golden`" + `. ` + "`tracegen schema`" + ` prints the same as a JSON Schema, for editors. [scenarios.md](scenarios.md) tells what the processes are and how they work together.

Keys that are not listed are refused, with the place and what was perhaps meant.
`)
	r.Section("The scenario", d.Keys)
	r.Below(d.Keys)
	return r.String()
}

func scenarioKeys() []schema.Key {
	link := schema.Key{Kind: schema.Mapping, Title: "`links`: one link", Keys: linkKeys()}
	return []schema.Key{
		{Name: "scenario", Kind: schema.Name, Required: true, Example: "drive", Doc: "The scenario's name."},
		{Name: "description", Kind: schema.Text, Doc: "What it is, in a line.", Default: "none", Example: "two carriers"},
		{Name: "duration", Kind: schema.Duration, Required: true, Example: "60s", Doc: "Of the timeline, up to ten years."},
		{Name: "step", Kind: schema.Duration, Default: DefaultStep.String(), Example: "10ms", Doc: "How often processes are sampled. What has instants of its own (steps, outages, handovers, regimes, events) begins and ends between the samples too."},
		{Name: "seed", Kind: schema.Seed, Default: fmt.Sprint(DefaultSeed), Example: "7", Doc: "Of all that is drawn."},
		{Name: "links", Kind: schema.Named, Required: true, Item: &link, Min: 1, Max: MaxLinks, Doc: "The links by name."},
		{Name: "correlation", Kind: schema.List, Default: "none", Doc: "Which links' processes move together.", Item: &schema.Key{
			Kind: schema.Mapping, Title: "`correlation`: one group", Doc: "A Gaussian copula on the Ornstein–Uhlenbeck processes: what each link's values are distributed like stays, and the processes behind them (for `log-ou` the logarithm) have these correlations. White `noise` is every link's own.",
			Keys: []schema.Key{
				{Name: "of", Kind: schema.Text, Words: []string{"rate", "delay", "jitter"}, Default: "rate", Doc: "What moves together."},
				{Name: "links", Kind: schema.List, Min: 2, Required: true, Item: &schema.Key{Kind: schema.Text, Pattern: `^[a-z0-9][a-z0-9-]*(\.(up|down))?$`, Value: "LINK or LINK.DIR"}, Doc: "Links, whose up directions move together and whose down directions do, apart from each other; or single directions, such as `[att.up, att.down]`."},
				{Name: "rho", Kind: schema.Number, Min: -1, Max: 1, Example: "0.5", Default: "see `matrix`", Doc: "The correlation of each pair."},
				{Name: "matrix", Kind: schema.List, Min: 2, Default: "see `rho`", Value: "a list of lists, such as `[[1, 0.5], [0.5, 1]]`", Item: &schema.Key{Kind: schema.List, Min: 2, Item: &schema.Key{Kind: schema.Number, Min: -1, Max: 1}}, Doc: "The correlation of each with each, in the order of `links`."},
			}, Rules: exactly("rho", "matrix")}},
		{Name: "cells", Kind: schema.Named, Default: "none", Doc: "Radio cells that links share with other users.", Item: &schema.Key{
			Kind: schema.Mapping, Title: "`cells`: one cell", Doc: "Flows of other users take capacity and add delay. With `load` they arrive at random and share the capacity equally with the link (an M/G/1 queue with processor sharing), so that the link keeps 1 − load of its rate on average; with `flows` their number is told, for timing how a sender reacts.",
			Keys: []schema.Key{
				{Name: "load", Kind: schema.Number, Min: 0, Max: maxLoad, Example: "0.4", Default: "see `flows`", Doc: "What the other users offer, as a share of the capacity. Needs `capacity` and `size`."},
				{Name: "capacity", Kind: schema.Rate, Example: "50Mbit", Default: "none", Doc: "Of the whole cell."},
				{Name: "size", Kind: schema.Mapping, Default: "none", Title: "`size` of flows", Doc: "Pareto-distributed.", Keys: []schema.Key{
					{Name: "mean", Kind: schema.Size, Required: true, Example: "2MB", Doc: "Of a flow."},
					{Name: "alpha", Kind: schema.Number, Min: 1.05, Max: 100, Default: "1.5", Doc: "Tail index; from 2 down the variance is limited by `max` alone."},
					{Name: "max", Kind: schema.Size, Default: "a million times the mean", Example: "200MB", Doc: "The largest flow."},
				}},
				{Name: "flows", Kind: schema.List, Min: 1, Default: "see `load`", Item: &schema.Key{Kind: schema.Mapping, Title: "`flows`: one item", Keys: []schema.Key{
					{Name: "at", Kind: schema.Duration, Required: true, Example: "20s", Doc: "From when on; the first is `0s`."},
					{Name: "flows", Kind: schema.Number, Min: 0, Max: maxFactor, Required: true, Example: "4", Doc: "How many others there are."},
				}}, Doc: "Numbers of flows and their instants, in place of `load`."},
				{Name: "repeat", Kind: schema.Duration, Default: "never", Example: "40s", Doc: "After which `flows` begin again."},
				{Name: "delay_per_flow", Kind: schema.Duration, Default: "0s", Example: "2ms", Doc: "What each flow adds to the delay of the links in the cell."},
				{Name: "weight", Kind: schema.Number, Min: 0.01, Max: 100, Default: "1", Doc: "How many flows a link counts as: it gets weight/(weight + flows) of the rate that it has alone."},
			}, Rules: schema.Rules{
				Apart: [][]string{{"load", "flows"}, {"capacity", "flows"}, {"size", "flows"}, {"repeat", "load"}},
				Some:  [][]string{{"load", "flows"}},
				Needs: map[string][]string{"load": {"capacity", "size"}, "repeat": {"flows"}},
			}}},
		{Name: "shared_outages", Kind: schema.Named, Default: "none", Doc: "Outages that take several links, as a tunnel does.", Item: &schema.Key{
			Kind: schema.Mapping, Title: "`shared_outages`: one of them", Keys: append([]schema.Key{
				{Name: "links", Kind: schema.Named, Min: 1, Required: true, Item: &schema.Key{Kind: schema.Duration, Example: "400ms"}, Doc: "The links that it takes, each with its delay after the start."},
			}, outageKeys()...), Rules: exactly("every", "at")}},
		{Name: "events", Kind: schema.List, Default: "none", Item: &schema.Key{Kind: schema.Text, Example: "at 30s, link att, outage 5s, mode stall"}, Doc: "What happens at given instants, on top of everything else; [editing.md](editing.md) has the words."},
	}
}

func exactly(keys ...string) schema.Rules {
	return schema.Rules{Apart: [][]string{keys}, Some: [][]string{keys}}
}

func outageKeys() []schema.Key {
	return []schema.Key{
		{Name: "every", Kind: schema.Duration, Default: "see `at`", Example: "50s", Doc: "Mean time from the end of one to the start of the next, which is exponential: Poisson arrivals."},
		{Name: "at", Kind: schema.List, Min: 1, Default: "see `every`", Item: &schema.Key{Kind: schema.Duration, Example: "30s"}, Doc: "Instants, in place of `every`. One that comes before the outage before it is over is left out."},
		{Name: "duration", Ref: "span", Required: true, Doc: "How long each lasts."},
		{Name: "mode", Kind: schema.Text, Words: edit.Modes(), Default: edit.DropBoth.String(), Doc: "What it does: lose every packet both ways, up or down; hold them in the queue (`stall`); or take the interface down."},
	}
}

func linkKeys() []schema.Key {
	direction := directionKeys(false)
	return []schema.Key{
		{Name: "up", Kind: schema.Mapping, Title: "`up` and `down`: one direction", Keys: direction, Default: "not part of the tape", Doc: "`up` is sender → receiver, `down` receiver → sender; a link has one of them at least."},
		{Name: "down", Kind: schema.Mapping, Title: "`up` and `down`: one direction", Keys: direction, Default: "not part of the tape", Doc: "`up` is sender → receiver, `down` receiver → sender; a link has one of them at least."},
		{Name: "queue", Kind: schema.Queue, Default: "left to whoever builds the link", Example: "200ms", Doc: "The bottleneck's drop-tail queue."},
		{Name: "slot", Kind: schema.Mapping, Title: "`slot`: packets in bursts", Doc: "Packets leave in bursts, as a radio scheduler grants them (netem's slot). It is part of the link and stays.", Default: "packets leave one by one", Keys: []schema.Key{
			{Name: "min", Kind: schema.Duration, Required: true, Example: "1ms", Doc: "From one opportunity to the next, at least."},
			{Name: "max", Kind: schema.Duration, Default: "`min`", Example: "10ms", Doc: "At most; drawn evenly in between."},
			{Name: "packets", Kind: schema.Integer, Min: 1, Max: trace.MaxSlotPackets, Default: "no limit", Example: "10", Doc: "At most in one burst."},
			{Name: "bytes", Kind: schema.Size, Default: "no limit", Example: "15KB", Doc: "Likewise, overshot by up to a packet."},
		}},
		{Name: "in_order", Kind: schema.Boolean, Default: "true", Doc: "Whether packets keep their order where the delay falls or has jitter."},
		{Name: "cell", Kind: schema.Name, Default: "none", Example: "tower", Doc: "The one of `cells` that the link is in."},
		{Name: "regimes", Kind: schema.Named, Min: 2, Max: maxRegimes, Default: "none", Doc: "Sets of processes that take turns, such as LTE and 5G.", Item: &schema.Key{
			Kind: schema.Mapping, Title: "`regimes`: one of them", Doc: "The step's label is the regime's name. All regimes run all the time, and a quantity has the same draws in each: a switch changes its parameters and keeps its place in the distribution.",
			Keys: []schema.Key{
				{Name: "dwell", Kind: schema.Duration, Required: true, Example: "30s", Forms: spanKey("").Forms, Value: "a duration such as `30s`; or [a distribution](#" + schema.Anchor("Durations that are drawn") + ")", Doc: "How long it lasts: the mean of an exponential time, or a distribution of its own."},
				{Name: "next", Kind: schema.Named, Min: 1, Default: "all others alike", Item: &schema.Key{Kind: schema.Number, Min: 0, Max: 1e9, Example: "1"}, Doc: "Which regimes follow, with their weights."},
				{Name: "start", Kind: schema.Boolean, Default: "drawn", Doc: "Whether the timeline begins in it."},
				{Name: "up", Kind: schema.Mapping, Title: "`up` and `down` of a regime", Keys: directionKeys(true), Default: "as in the link", Doc: "What the direction has in place of the link's own."},
				{Name: "down", Kind: schema.Mapping, Title: "`up` and `down` of a regime", Keys: directionKeys(true), Default: "as in the link", Doc: "What the direction has in place of the link's own."},
			}}},
		{Name: "outages", Kind: schema.List, Default: "none", Item: &schema.Key{Kind: schema.Mapping, Title: "`outages`: one of them", Keys: outageKeys(), Rules: exactly("every", "at")}, Doc: "When the link is gone."},
		{Name: "handovers", Kind: schema.Mapping, Title: "`handovers`", Default: "none", Doc: "The link moves to another cell or satellite.", Keys: []schema.Key{
			{Name: "arrivals", Kind: schema.Text, Words: []string{"poisson", "periodic", "starlink"}, Default: "poisson", Doc: "When: at random, at regular instants, or at Starlink's (every 15 s, the first at 12 s)."},
			{Name: "every", Kind: schema.Duration, Default: "an error, but for `starlink`", Example: "40s", Doc: "Mean time from the end of one to the next, or the period."},
			{Name: "offset", Kind: schema.Duration, Default: "the period", Example: "12s", Doc: "Instant of the first one, unless they come at random."},
			{Name: "probability", Kind: schema.Probability, Default: "1", Example: "50%", Doc: "That one happens when its time has come."},
			{Name: "interruption", Ref: "span", Default: "0s", Doc: "How long nothing passes."},
			{Name: "mode", Kind: schema.Text, Words: edit.Modes(), Default: edit.Stall.String(), Doc: "What the interruption does, as for `outages`."},
			{Name: "delay_step", Kind: schema.Duration, Default: "0s", Example: "5ms", Doc: "Standard deviation of the shift that the delay has from then on, which is drawn anew at every handover."},
			{Name: "redraw", Kind: schema.Boolean, Default: "false", Doc: "Whether the rate begins anew, anywhere in its distribution."},
		}},
	}
}

func directionKeys(regime bool) []schema.Key {
	names := map[quantity]string{rate: "rate", delay: "time", jitter: "time", loss: "loss"}
	docs := map[quantity]string{
		rate: "Capacity.", delay: "One-way delay.", jitter: "Standard deviation of the delay.", loss: "Of packets.",
		duplicate: "Of packets that arrive twice.", corrupt: "Of packets with one bit flipped.", reorder: "Of packets that skip the delay.",
	}
	var out []schema.Key
	for _, q := range quantities() {
		k := schema.Key{Name: q.name, Ref: names[q.q], Doc: docs[q.q], Default: "0"}
		if k.Ref == "" {
			k.Ref = "probability"
		}
		switch {
		case regime:
			k.Default = "the link's own"
		case q.q == rate:
			k.Default = "an error, unless every regime has one"
		}
		out = append(out, k)
	}
	return out
}

// spanKey is what readSpread reads.
func spanKey(doc string) schema.Key {
	d := func(name, doc string, required bool) schema.Key {
		k := schema.Key{Name: name, Kind: schema.Duration, Doc: doc, Required: required, Example: "500ms"}
		if !required {
			k.Default = "no bound"
		}
		return k
	}
	most := d("max", "What is longer is cut to this.", false)
	return schema.Key{Kind: schema.Duration, Example: "500ms", Doc: doc, Forms: []schema.Form{
		{Title: "Log-normal, by quantiles", Keys: []schema.Key{d("median", "Half are longer.", true), d("p90", "One in ten is longer.", true), most}},
		{Title: "Log-normal, by moments", Keys: []schema.Key{d("mean", "", true), {Name: "cv", Kind: schema.Number, Min: 0, Max: maxCV, Required: true, Example: "0.5", Doc: "Standard deviation over the mean."}, most}},
		{Title: "Pareto, with a heavy tail", Keys: []schema.Key{d("min", "The shortest.", true), {Name: "alpha", Kind: schema.Number, Min: 0.1, Max: 100, Required: true, Example: "1.5", Doc: "Tail index: P(longer than x) falls as x^−alpha. Up to 2 there is no variance, up to 1 no mean, but for `max`."}, d("max", "The longest: the distribution ends there.", false)}},
	}}
}

// valueDefinition describes the values that a quantity may have: k for a plain
// one, and a form for each model.
func valueDefinition(q quantity, name, title string, k schema.Key) schema.Definition {
	value := func(name, doc, fallback string) schema.Key {
		v := schema.Key{Name: name, Kind: k.Kind, Min: k.Min, Max: k.Max, Example: k.Example, Value: "a value", Doc: doc, Default: fallback, Required: fallback == ""}
		return v
	}
	duration := func(name, doc, fallback, example string) schema.Key {
		return schema.Key{Name: name, Kind: schema.Duration, Doc: doc, Default: fallback, Required: fallback == "", Example: example}
	}
	share := func(name, doc, fallback string) schema.Key {
		return schema.Key{Name: name, Kind: schema.Probability, Doc: doc, Default: fallback, Required: fallback == "", Example: "1%"}
	}
	lossBad, lossGood := share("loss_bad", "Loss while bad.", "1"), share("loss_good", "Loss while good.", "0")
	bounds := []schema.Key{value("floor", "Values below are raised to it.", "0"), value("ceiling", "Values above are cut to it.", "no bound")}
	ou := append([]schema.Key{
		value("mean", "Of the values.", ""),
		{Name: "cv", Kind: schema.Number, Min: 0, Max: maxCV, Default: "see `sigma`", Example: "0.5", Doc: "Standard deviation over the mean."},
		value("sigma", "Standard deviation, in the mean's unit.", "see `cv`"),
		duration("tau", "Correlation time.", "", "5s"),
		share("noise", "Share of the variance (for `log-ou` of the logarithm's) that is white noise, as a radio scheduler adds it.", "0"),
	}, bounds...)
	forms := map[string]schema.Form{
		"constant": {Doc: "The same as a plain value.", Keys: []schema.Key{value("value", "It stays.", "")}},
		"steps": {Doc: "Values at instants of their own.", Keys: []schema.Key{
			{Name: "steps", Kind: schema.List, Min: 1, Required: true, Item: &schema.Key{Kind: schema.Mapping, Title: "`steps`: one item", Keys: []schema.Key{
				duration("at", "From when on; the first is `0s`.", "", "10s"), value("value", "Until the next.", "")}}, Doc: "In order of time."},
			duration("repeat", "After which the list begins again.", "never", "60s"),
		}},
		"ou":     {Doc: "Ornstein–Uhlenbeck: normally distributed values with a memory of `tau`. Above a CV of 0.4 use `log-ou`: clipping would shift the mean. In a sum the mean may be 0 and there is no floor.", Keys: ou, Rules: exactly("cv", "sigma")},
		"log-ou": {Doc: "The exponential of such a process: log-normal values; `mean` and `cv` are those of the values.", Keys: ou, Rules: exactly("cv", "sigma")},
		"spikes": {Doc: "Rises at random that fall as fast as time passes, so that packets keep their order.", Keys: []schema.Key{
			duration("every", "Mean time from the end of one to the start of the next.", "", "20s"),
			{Name: "height", Ref: "span", Required: true, Doc: "How high each rises."},
			{Name: "hold", Ref: "span", Default: "0s", Doc: "How long each stays at its height."},
		}},
		"ramp": {Doc: "A straight line from one value to another.", Keys: []schema.Key{
			value("from", "Before and at the start.", ""), value("to", "At the end and after it.", ""),
			duration("over", "How long it takes.", "", "60s"), duration("start", "When it starts.", "0s", "20s"),
			duration("repeat", "After which it begins again.", "never", "2m"),
		}},
		"diurnal": {Doc: "A cosine, as over a day.", Keys: []schema.Key{
			value("low", "The least value.", ""), value("high", "The largest, at `peak`.", ""),
			duration("period", "", "24h", "24h"), duration("peak", "When in the period the value is largest.", "0s", "20h"),
			duration("start", "When in the period the timeline starts.", "0s", "8h"),
		}},
		"sum": {Doc: "The sum of terms.", Keys: append([]schema.Key{
			{Name: "of", Kind: schema.List, Min: 2, Required: true, Item: &schema.Key{Ref: name}, Doc: "Plain values or models. Of `ou` terms the mean may be 0, and they have no floor."}}, bounds...)},
		"product": {Doc: "The product of terms.", Keys: append([]schema.Key{
			{Name: "of", Kind: schema.List, Min: 2, Required: true, Item: &schema.Key{Forms: []schema.Form{}, Or: []schema.Key{{Ref: name}, {Ref: "factor"}}}, Value: "a list of 2 or more: one value, then [factors](#factors)", Doc: "The first is in the quantity's unit, the others are [numbers](#factors)."}}, bounds...)},
		"ge": {Doc: "Gilbert–Elliott in time: spells of loss with geometric durations, stepped once per `step`.", Keys: []schema.Key{
			duration("mean_good", "Mean duration of the good state.", "", "10s"), duration("mean_bad", "Of the bad state.", "", "300ms"), lossBad, lossGood}},
		"ge-packet": {Doc: "Gilbert–Elliott per packet, stepped by the kernel: by probabilities, or by mean loss and burst.", Keys: []schema.Key{
			share("p", "From good to bad, per packet.", "see `mean`"), share("r", "From bad to good.", "see `burst`"), lossBad, lossGood,
			share("mean", "The mean loss; `burst` goes with it, and nothing else.", "see `p`"),
			{Name: "burst", Kind: schema.Number, Min: 1, Max: math.Inf(1), Default: "see `r`", Example: "5", Doc: "Mean number of packets lost in a row."},
		}, Rules: schema.Rules{Apart: [][]string{{"mean", "p"}, {"mean", "r"}, {"mean", "loss_bad"}, {"mean", "loss_good"}}, Some: [][]string{{"p", "mean"}},
			Needs: map[string][]string{"p": {"r"}, "r": {"p"}, "mean": {"burst"}, "burst": {"mean"}}}},
		"markov": {Doc: "The four states of netem's `loss state` (Salsano, Ludovici, Ordine 2012), stepped in time: a step of the tape loses the share of instants in it that the chain loses.", Keys: []schema.Key{
			share("p13", "From received to lost in a burst.", ""), share("p31", "Back.", "1 − `p13`"), share("p32", "From lost to received within a burst.", "0"),
			share("p23", "Back.", "1"), share("p14", "From received to one lost by itself.", "0"),
			duration("spacing", "How often the chain is stepped; it divides `step`.", "`step`", "1ms")}},
		"bursts": {Doc: "Spells of loss with any distribution of their durations, also heavy-tailed, at instants of their own.", Keys: []schema.Key{
			duration("every", "Mean time from the end of one to the start of the next.", "", "20s"),
			{Name: "duration", Ref: "span", Required: true, Doc: "How long each lasts."}, lossBad, lossGood}},
	}
	k.Forms = nil
	for _, kind := range q.kinds() {
		f, ok := forms[kind.name]
		if !ok {
			panic("synth: no description of the model " + kind.name)
		}
		f.Model, f.Title = kind.name, "`"+kind.name+"`"
		k.Forms = append(k.Forms, f)
	}
	return schema.Definition{Name: name, Title: title, Key: k}
}
