// Package conf reads the project's YAML files strictly: every fault names file,
// line and column, says what is wrong and what to write instead, and shows the
// line with a caret. The faults of one file are reported together.
//
// Decoding walks the document with [Node] and [Map]. A method that finds a
// fault records it in the [Doc] and returns a zero value, so that a decoder
// reads straight through and asks [Doc.Err] once at its end. A node keeps its
// first fault only; an absent node (an optional key that is not there, or what
// follows a fault) gives zero values and records nothing.
//
// A file is one YAML document of mappings, lists and scalars. Anchors, aliases,
// merge keys, tags, directives and complex keys are refused, so a small file
// cannot grow when read. Size, nesting and the number of keys are bounded.
package conf
