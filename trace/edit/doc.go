// Package edit changes timelines: outages and other events are laid over steps.
package edit
