package main

import (
	"testing"

	"linktape/internal/schema/schematest"
)

func TestSchemaCommand(t *testing.T) {
	fixtures(t)
	runCommandLines(t, []commandLine{
		{"schema-help", "schema --help", "", 0},
		{"schema-argument", "schema three", "", 2},
	})
	text, _, err := call("", "schema")
	if err != nil {
		t.Fatal(err)
	}
	validator, err := schematest.NewValidator([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := validator.YAML("two.yaml", []byte(twoLinks)); err != nil {
		t.Error(err)
	}
	if err := validator.YAML("typo.yaml", []byte("scenario: typo\nduration: 10s\nlinks: {att: {up: {rat: 6Mbit}}}\n")); err == nil {
		t.Error("accepted a key that there is not")
	}
}
