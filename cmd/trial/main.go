// Command trial runs bonding senders and receivers over a tape and measures them.
package main

import (
	"linktape/internal/cli"
	"linktape/internal/lab"
)

func main() {
	lab.Stages() // does not return where the program was started as part of a lab
	cli.Main("trial", run)
}
