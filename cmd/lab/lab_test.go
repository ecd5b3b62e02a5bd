package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"linktape/internal/cli"
)

func TestSplitFlags(t *testing.T) {
	for _, c := range []struct{ name, args, own, rest string }{
		{"none", "./...", "", "./..."},
		{"value apart", "--mem 1GiB -v ./...", "--mem 1GiB", "-v ./..."},
		{"value inline", "-run X --seed=3 ./a", "--seed=3", "-run X ./a"},
		{"toggle", "--random ./a", "--random", "./a"},
		{"between", "-v --time real -count 2 ./a -bind d", "--time real -bind d", "-v -count 2 ./a"},
		{"timeout is go test's", "-timeout 3s ./a", "", "-timeout 3s ./a"},
		{"a package of a flag's name", "time ./seed", "", "time ./seed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			own, rest := splitFlags(runFlags(), strings.Fields(c.args))
			if !slices.Equal(own, strings.Fields(c.own)) || !slices.Equal(rest, strings.Fields(c.rest)) {
				t.Errorf("got %q and %q, want %q and %q", own, rest, c.own, c.rest)
			}
		})
	}
}

func TestQuoteExec(t *testing.T) {
	for _, c := range []struct{ arg, want string }{
		{"plain", "plain"}, {"two words", "'two words'"}, {"it's", `"it's"`}, {`"`, `'"'`}, {`'"`, ""},
	} {
		got, err := quoteExec(c.arg)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%q: got %q, %v, want %q", c.arg, got, err, c.want)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name, args, want string
		status           int
	}{
		{"no command", "run", "usage: lab run", cli.ExitUsage},
		{"time", "run --time fast -- true", "--time fast", cli.ExitUsage},
		{"memory", "run --mem much -- true", "--mem", cli.ExitUsage},
		{"start", "run --start today -- true", "--start", cli.ExitUsage},
		{"seed in real time", "run --time real --seed 3 -- true", "--seed goes with virtual time", cli.ExitUsage},
		{"two seeds", "run --seed 3 --random -- true", "exclude each other", cli.ExitUsage},
		{"unknown flag", "run --fast -- true", "-fast", cli.ExitUsage},
		{"unknown command", "fly", `unknown command "fly"`, cli.ExitUsage},
		{"no such program", "run -- no-such-program", "not found", exitNotFound},
		{"no such directory", "run --bind /no/such -- true", "no such file", cli.ExitFailed},
		{"argument of kernel build", "kernel build now", "usage", cli.ExitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			err := run(context.Background(), strings.Fields(c.args), strings.NewReader(""), &out, &errs)
			if cli.Status(err) != c.status || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got status %d, %v, want %d, %q", cli.Status(err), err, c.status, c.want)
			}
			if out.Len() > 0 {
				t.Errorf("standard output: got %q, want nothing", out.String())
			}
		})
	}
}
