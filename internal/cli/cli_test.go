package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"
)

func TestStatus(t *testing.T) {
	plain := errors.New("no")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{plain, ExitFailed},
		{Usagef("flag %s", "x"), ExitUsage},
		{fmt.Errorf("late: %w", Boundsf("by %d", 3)), ExitBounds},
		{errors.Join(plain, Boundsf("late")), ExitBounds},
	} {
		if got := Status(c.err); got != c.want {
			t.Errorf("status of %v: got %d, want %d", c.err, got, c.want)
		}
	}
	if err := Usagef("read: %w", plain); !errors.Is(err, plain) {
		t.Errorf("%v does not wrap its cause", err)
	}
}

// Whatever is wrong with a call is an error of status 2 that says what to do,
// and nothing of it goes to standard output.
func TestCalls(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"copy a b", 0, ""},
		{"copy -n 3 a b", 0, ""},
		{"copy a", ExitUsage, "usage: tool copy FROM TO"},
		{"copy a b c", ExitUsage, "usage: tool copy FROM TO"},
		{"copy a b -n 3", ExitUsage, "flag -n stands after the argument a: flags come before arguments"},
		{"copy --n=x a b", ExitUsage, "see tool copy --help"},
		{"copy --unknown a b", ExitUsage, "flag provided but not defined: -unknown; see tool copy --help"},
		{"paste", ExitUsage, `unknown command "paste": one of copy`},
		{"--unknown", ExitUsage, "see tool --help"},
	} {
		var stdout, stderr bytes.Buffer
		app := App(&ucli.App{Name: "tool", Commands: []*ucli.Command{
			{Name: "copy", ArgsUsage: "FROM TO", Flags: []ucli.Flag{&ucli.IntFlag{Name: "n"}}, Action: func(c *ucli.Context) error {
				_, err := Args(c, 2, 2)
				return err
			}},
			{Name: "inner", Hidden: true, Action: func(*ucli.Context) error { return nil }},
		}}, strings.NewReader(""), &stdout, &stderr)
		err := app.RunContext(context.Background(), append([]string{"tool"}, strings.Fields(c.args)...))
		if got := Status(err); got != c.status {
			t.Errorf("%s: got status %d (%v), want %d", c.args, got, err, c.status)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got error %v, want one with %q", c.args, err, c.want)
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: printed to standard output: %s", c.args, &stdout)
		}
	}
}

// Progress is for terminals only.
func TestProgressInAPipe(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, "working")
	for i := range 1000 {
		p.Set(float64(i) / 1000)
	}
	p.Done()
	if out.Len() > 0 {
		t.Errorf("printed %q into a pipe", &out)
	}
}
