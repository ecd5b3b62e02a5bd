// Package convert reads foreign trace formats into timelines and writes
// timelines as foreign formats, one file for each format.
//
// An [Importer] reads one direction of one link. It checks the file strictly
// and reports every fault with its line ([Faults]); what is usable but doubtful
// is a [Warning] in the [Result]. It never guesses in silence: the unit, the
// interval that a sample stands for, the step, what holds in gaps and the rest
// are in [Result.Choices], which becomes part of the tape. [Import] picks the
// format by name, or by content where that is unambiguous ([Detect]); a
// [Lister] says which directions a file holds.
//
// Formats that are tables of samples only map their columns and units to rows;
// sorting, samples of the same instant, gaps, scaling, clipping and binning are
// the same for all. The samples of a file are held in memory, those of a tape
// that is read back where they change.
//
// [Join] lays directions that were recorded together on a common clock. [Merge]
// lays imported directions, each of one file or of one for the rate and others
// for delay and loss ([Role]), into one timeline in canonical order. An
// [Exporter] writes one direction of a timeline, a [TapeExporter] also several
// with every column.
//
// # Byte totals
//
// Importers round rates cumulatively ([linktape/trace/fill]): the service is never
// below the bits due and less than eight bits above them, so that its whole bytes
// are exact at the end of every bin and of the loop, whatever the step. Formats
// that count bytes (HSDPA, saturator) are laid out the same way, and scaling is,
// too: the whole bytes of the scaled service are exact.
package convert
