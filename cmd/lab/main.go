// Command lab runs commands in virtual time, in a kernel of its own.
package main

import (
	"linktape/internal/cli"
	"linktape/internal/lab"
)

func main() {
	lab.Stages() // does not return where the program was started as part of a lab
	cli.Main("lab", run)
}
