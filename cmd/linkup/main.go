// Command linkup builds the links of a run, shows them and removes them.
package main

import "linktape/internal/cli"

func main() { cli.Main("linkup", run) }
