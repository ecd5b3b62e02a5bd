package suite

import (
	"linktape/internal/schema"
	"linktape/trial"
)

// suiteKeys describes a suite file.
func suiteKeys() []schema.Key {
	return []schema.Key{
		{Name: suiteKey, Kind: schema.Name, Doc: "The suite's name.", Required: true, Example: "nightly"},
		{Name: "description", Kind: schema.Text, Doc: "A line for its report.", Default: "none", Example: "what we look at every night"},
		{Name: "seeds", Kind: schema.Integer, Doc: "How many seeds each case is run with, from 1 on, or which.", Default: "5", Min: 1, Max: MaxSeeds,
			Or: []schema.Key{{Kind: schema.List, Item: &schema.Key{Kind: schema.Seed}, Min: 1, Max: MaxSeeds, Value: "a list, such as `[3, 14, 15]`"}}},
		{Name: "judge", Kind: schema.Text, Doc: "What thresholds are put to: the median of the seeds' values, or every one of them.", Default: Median, Words: []string{Median, Every}},
		{Name: "cases", Kind: schema.List, Doc: "What is run: names of cases of the library (`trial list`) or of its scenarios, or files beside this one: trial files, scenarios, tapes.", Required: true,
			Item: &schema.Key{Kind: schema.Text}, Min: 1, Max: MaxCases, Value: "a list, such as `[a1-clean, ./tunnel.yaml]`"},
	}
}

// Schema is the JSON Schema (draft 2020-12) of suite files. It accepts every suite
// file that [Parse] does; whether there are such cases, only the parser knows.
func Schema() []byte {
	return schema.Document{Title: "Linktape suite", Keys: suiteKeys()}.JSON()
}

// Reference is docs/trial-files.md: every key of trial files and of suite files.
func Reference() string {
	r := schema.NewReference(schema.Document{})
	r.Text(`# Trial files and suite files: every key

Generated from ` + "`trial/schema.go` and `trial/suite/schema.go` by `make golden`. `trial schema` and `trial schema suite`" + ` print the same as JSON Schemas, for editors. [trial.md](trial.md) and [trials.md](trials.md) tell how they are used.

Keys that are not listed are refused, with the place and what was perhaps meant.
`)
	trial.Reference(r)
	r.Section("Suite files", suiteKeys())
	return r.String()
}
