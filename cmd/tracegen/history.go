package main

import (
	"fmt"
	"strconv"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace"
)

// printEdit writes what an edited tape was made of. The inputs are numbered in
// the order in which they are printed.
func (in *info) printEdit(head func(key, format string, args ...any)) {
	if in.Edit == nil {
		return
	}
	head("edited", "%s", editText(in.Edit))
	n := 0
	for depth, o := range in.Edit.Origins() {
		n++
		text := fmt.Sprintf("%s%s, %v, %s", strings.Repeat("  ", depth), o.File, o.Duration, o.Generator)
		if o.Scenario != "" {
			text += fmt.Sprintf(", seed %d, scenario (--scenario --input %d prints it)", o.Seed, n)
		}
		for _, s := range o.Sources {
			text += ", " + sourceText(s)
		}
		if o.Edit != nil {
			text += ": " + editText(o.Edit)
		}
		head("input "+strconv.Itoa(n), "%s, sha256 %s", text, o.SHA256)
	}
}

func editText(e *trace.Edit) string {
	if len(e.Arguments) == 0 {
		return e.Operation
	}
	return e.Operation + " (" + strings.Join(e.Arguments, "; ") + ")"
}

// scenarioOf returns the scenario that info --scenario asks for.
func scenarioOf(c *ucli.Context, t *tape) (string, error) {
	meta := t.Meta()
	if !c.IsSet("input") {
		if meta.Scenario != "" {
			return meta.Scenario, nil
		}
		if meta.Edit == nil {
			return "", fmt.Errorf("%s holds no scenario: it was made by %q", t.name(), meta.Generator)
		}
		var with []string
		n := 0
		for _, o := range meta.Edit.Origins() {
			if n++; o.Scenario != "" {
				with = append(with, fmt.Sprintf("--input %d (%s)", n, o.File))
			}
		}
		if len(with) == 0 {
			return "", fmt.Errorf("%s was edited, and none of the tapes that it was made of holds a scenario", t.name())
		}
		return "", fmt.Errorf("%s was edited: no scenario makes it. The scenarios of what it was made of: %s", t.name(), strings.Join(with, ", "))
	}
	want, n := c.Int("input"), 0
	for _, o := range meta.Edit.Origins() {
		if n++; n != want {
			continue
		}
		if o.Scenario == "" {
			return "", fmt.Errorf("input %d of %s, %s, holds no scenario: it was made by %q", n, t.name(), o.File, o.Generator)
		}
		return o.Scenario, nil
	}
	if n == 0 {
		return "", cli.Usagef("--input %d: %s was not edited and has no inputs; leave --input out", want, t.name())
	}
	return "", cli.Usagef("--input %d: %s has inputs 1 to %d", want, t.name(), n)
}
