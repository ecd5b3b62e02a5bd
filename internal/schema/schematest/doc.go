// Package schematest checks YAML files against the JSON Schemas of package
// schema, in the tests of whoever has one:
//
//	v, err := schematest.NewValidator(netsetup.Schema())
//	…
//	err = v.YAML("good.yaml", data)
//
// A schema and its parser are compared by what both take and refuse.
package schematest
