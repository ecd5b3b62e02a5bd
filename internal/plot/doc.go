// Package plot draws pictures of timelines and of what a replay delivered, as
// PNG or SVG. The same input gives the same bytes in every run.
//
// [NewTimeline] collects a timeline's steps, in bounded memory whatever their
// number, for a picture with a row for each link: rate, one-way delay with
// jitter, loss, and outages as shades. [Delivery] draws what was delivered over
// what the tape allowed.
package plot
