// Command replay plays a tape onto the links of a run.
package main

import "linktape/internal/cli"

func main() { cli.Main("replay", run) }
