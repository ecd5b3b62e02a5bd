package main

import (
	"path/filepath"
	"reflect"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"linktape/internal/privtest"
	"linktape/trial"
	"linktape/trial/suite"
)

// What says what a trial is can be said to a suite, which keeps all of it.
func TestSuiteKeepsFlags(t *testing.T) {
	values := map[string]string{
		"stack": "exec", "option": "", "sender": "./s", "receiver": "./r", "rate": "3Mbit", "buffer": "200ms", "links": "a",
		"duration": "9s", "set": "links.a.queue=1s", "rates-only": "",
	}
	args := []string{"suite", "--dry-run"}
	for _, f := range trialFlags(true) {
		name := f.Names()[0]
		switch v, ok := values[name]; {
		case !ok:
			t.Errorf("--%s: the test knows no value of it", name)
		case name == "rates-only":
			args = append(args, "--"+name)
		case v != "":
			args = append(args, "--"+name, v)
		}
	}
	var change suite.Change
	command := suiteCommand(t.Context(), nil, nil)
	command.Action = func(c *ucli.Context) error {
		p, err := suitePlan(c, "a2-loss-1")
		if err == nil {
			change = p.Change
		}
		return err
	}
	app := &ucli.App{Name: "trial", Commands: []*ucli.Command{command}}
	if err := app.Run(append([]string{"trial"}, args...)); err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(change)
	if v.NumField() != len(trialFlags(true)) {
		t.Errorf("a change has %d fields, and there are %d flags", v.NumField(), len(trialFlags(true)))
	}
	for i := range v.NumField() {
		// exec has no options.
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Options" {
			t.Errorf("%s was not kept", name)
		}
	}
}

// A trial that is told to be quiet leaves its folder as it is and says nothing.
func TestQuiet(t *testing.T) {
	privtest.RequireUser(t, "lab-kernel", "librist")
	dir := filepath.Join(t.TempDir(), "out")
	stdout, stderr, err := invoke(t.Context(), "run", "--quiet", "--time", "virtual", "--duration", "4s", "--out", dir, "a2-loss-1")
	if err != nil || stdout != "" {
		t.Errorf("got %v, %q, %q", err, stdout, stderr)
	}
	if m, err := trial.ReadManifest(dir); err != nil || !m.Complete {
		t.Errorf("got %+v, %v", m, err)
	}
}
