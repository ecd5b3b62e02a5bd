// Package cli is what the commands share: one entry point with exit statuses,
// usage errors that go to standard error, progress on a terminal, and tables.
//
// Exit statuses: 0 done, 1 failed, 2 usage, 3 done but outside the stated
// bounds. Data goes to standard output; remarks, progress and errors go to
// standard error.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// Exit statuses of every command.
const (
	ExitFailed = 1
	ExitUsage  = 2
	ExitBounds = 3
)

// Run is a command without its process: it reads stdin, writes data to stdout
// and remarks to stderr.
type Run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error

// Error is an error that asks for an exit status of its own. Without an Err it
// asks for the status alone: what there is to say has been said.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Usagef makes an error in the way a command was called; exit status 2.
func Usagef(format string, args ...any) error {
	return &Error{ExitUsage, fmt.Errorf(format, args...)}
}

// Boundsf makes the error of work that is done but outside the bounds that the
// caller stated; exit status 3.
func Boundsf(format string, args ...any) error {
	return &Error{ExitBounds, fmt.Errorf(format, args...)}
}

// PrintJSON writes a value as indented JSON, for --json.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Status returns the exit status that err asks for: 0 for nil.
func Status(err error) int {
	var e *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.Status
	}
	return ExitFailed
}

// Stopped is the cause of a context that a signal has ended.
type Stopped struct{ Signal syscall.Signal }

func (s *Stopped) Error() string { return s.Signal.String() + " signal received" }

// Is makes it a kind of [context.Canceled].
func (s *Stopped) Is(target error) bool { return target == context.Canceled }

// Notify returns a context that the first of the signals ends, with [Stopped] as
// its cause. From then on, or after stop, the signals do what they do usually.
func Notify(parent context.Context, signals ...os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	got := make(chan os.Signal, 1)
	signal.Notify(got, signals...)
	context.AfterFunc(ctx, func() { signal.Stop(got) })
	go func() {
		select {
		case s := <-got:
			cancel(&Stopped{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Main runs a command with the process's arguments and streams and exits. The
// context ends at the first SIGINT or SIGTERM; a second one kills the process.
func Main(name string, run Run) {
	ctx, stop := Notify(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if e := (*Error)(nil); err != nil && !(errors.As(err, &e) && e.Err == nil) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	os.Exit(Status(err))
}

// App prepares an application: usage errors are returned (exit status 2)
// instead of printed to standard output, an unknown command is an error, and
// nothing in it ends the process.
func App(app *cli.App, stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app.Reader, app.Writer, app.ErrWriter = stdin, stdout, stderr
	app.HideVersion = true
	app.HideHelpCommand = true
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.OnUsageError = usageError
	app.Action = func(c *cli.Context) error {
		if c.Args().Present() {
			return Usagef("unknown command %q: one of %s", c.Args().First(), commandNames(app.Commands))
		}
		return cli.ShowAppHelp(c)
	}
	prepare(app.Commands)
	return app
}

func prepare(cmds []*cli.Command) {
	for _, c := range cmds {
		c.OnUsageError = usageError
		c.HideHelpCommand = true
		prepare(c.Subcommands)
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	name := c.App.Name
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != name {
		name += " " + c.Command.Name
	}
	return Usagef("%w; see %s --help", err, name)
}

func commandNames(cmds []*cli.Command) string {
	var names []string
	for _, c := range cmds {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Args returns the positional arguments, of which there must be from least to
// most (most < 0: any number). Flags among them are refused: they come before
// the arguments and would otherwise be taken for one.
func Args(c *cli.Context, least, most int) ([]string, error) {
	args := c.Args().Slice()
	for i, a := range args {
		if a == "--" {
			break
		}
		if len(a) > 1 && a[0] == '-' && i > 0 {
			return nil, Usagef("flag %s stands after the argument %s: flags come before arguments", a, args[0])
		}
	}
	if len(args) < least || most >= 0 && len(args) > most {
		return nil, Usagef("usage: %s %s", c.Command.HelpName, c.Command.ArgsUsage)
	}
	return args, nil
}
