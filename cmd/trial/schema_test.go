package main

import (
	"strings"
	"testing"

	"linktape/internal/cli"
	"linktape/internal/schema/schematest"
)

func TestSchemaCommand(t *testing.T) {
	const trial, suite = "trial: x\nscenario: quickstart\n", "suite: s\ncases: [a1-clean]\n"
	for args, files := range map[string][2]string{"schema": {trial, suite}, "schema trial": {trial, suite}, "schema suite": {suite, trial}} {
		text, _, err := invoke(t.Context(), strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		v, err := schematest.NewValidator([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := v.YAML("right.yaml", []byte(files[0])); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		if v.YAML("other.yaml", []byte(files[1])) == nil {
			t.Errorf("%s: takes %q", args, files[1])
		}
	}
	if _, _, err := invoke(t.Context(), "schema", "car"); cli.Status(err) != cli.ExitUsage || !strings.Contains(err.Error(), "trial or suite") {
		t.Errorf("got %v", err)
	}
}
