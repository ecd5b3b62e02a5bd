// Package weave lays several streams of steps into one.
package weave
