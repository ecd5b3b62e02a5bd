// Package convert reads foreign trace formats into timelines and writes
// timelines as foreign formats, one file for each format.
//
// An [Importer] reads one direction of one link. It checks the file strictly
// and reports every fault with its line ([Faults]); what is usable but doubtful
// is a [Warning] in the [Result]. It never guesses in silence: the unit, the
// interval that a sample stands for and the step are in [Result.Choices], which
// becomes part of the tape. [Import] picks the format by name, or by content
// where that is unambiguous.
//
// [Merge] lays several imported directions into one timeline in canonical
// order. An [Exporter] writes one direction of a timeline.
//
// # Byte totals
//
// Importers round rates cumulatively ([linktape/trace/fill]): the service is never
// below the bits due and less than eight bits above them, so that its whole bytes
// are exact at the end of every bin and of the loop, whatever the step.
package convert
