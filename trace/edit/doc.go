// Package edit changes timelines.
//
// An [Event] is laid over a timeline: an outage of a [Mode], a handover, another
// rate, delay or loss for a while. [ParseEvent] reads it from one line of text.
//
// Every edit takes a [Tape], or several, and gives one: [Overlay], [Cut],
// [Concat], [Merge], [Select], [Rename], [Scale], [Resample]. Steps stream in
// canonical order in memory that does not grow with the duration. The result has
// no step that changes nothing, keeps the first input's seed, and names its
// inputs in [trace.Meta].Edit. The same edit of the same steps gives the same
// result on every machine. [Diff] compares two timelines.
package edit
