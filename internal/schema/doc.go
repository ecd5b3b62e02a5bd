// Package schema describes the keys of a YAML file once, as tables, and makes
// both of it: a JSON Schema (draft 2020-12) for editors ([Document.JSON]) and a
// reference for people ([Reference]). Package schematest checks files against the
// JSON Schema in tests, so that schema and parser do not drift apart.
//
// A schema accepts every usual spelling of what the parser accepts, and a little
// more: what lies between keys, in arithmetic or in the text of a file, only
// the parser refuses.
package schema
