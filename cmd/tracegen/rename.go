package main

import (
	"strings"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/cli"
	"linktape/trace/edit"
)

func renameCommand() *ucli.Command {
	return &ucli.Command{
		Name:      "rename",
		Usage:     "give links other names, or swap directions",
		ArgsUsage: "-o OUT TAPE OLD=NEW…",
		Description: `All names change at once, so that two links may swap theirs. A queue goes with its
link. LINK.DIR names one direction. Several may be separated by commas.

   tracegen rename -o lab.tape drive.tape att=modem1,verizon=modem2
   tracegen rename -o back.tape drive.tape att.up=att.down att.down=att.up`,
		Flags:  []ucli.Flag{tapeOutput()},
		Action: doRename,
	}
}

func doRename(c *ucli.Context) error {
	args, err := cli.Args(c, 2, -1)
	if err != nil {
		return err
	}
	var renamings []edit.Renaming
	for _, a := range args[1:] {
		for word := range strings.SplitSeq(a, ",") {
			r, err := edit.ParseRenaming(word)
			if err != nil {
				return cli.Usagef("%w", err)
			}
			renamings = append(renamings, r)
		}
	}
	return editTapes(c, args[:1], func(in []edit.Tape) (edit.Tape, error) { return usage(edit.Rename(in[0], renamings)) })
}
