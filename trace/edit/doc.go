// Package edit changes timelines.
//
// An [Event] is laid over a timeline: an outage of a [Mode], a handover, another
// rate, delay or loss for a while. [ParseEvent] reads it from one line of text.
package edit
