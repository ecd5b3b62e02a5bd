package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linktape/internal/cli"
	"linktape/internal/privtest"
	"linktape/netsetup"
	"linktape/trace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// commandVariable makes the test binary the command itself.
const commandVariable = "LINKTAPE_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		cli.Main("linkup", run)
	}
	privtest.Main(m)
}

func call(t testing.TB, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), err
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got)\n%s", file, d)
	}
}

// Command lines that reach no kernel: exit status and what is said.
func TestCommandLines(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("bad.yaml", []byte("links:\n  att: {shaper: tbff}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("good.yaml", []byte("links: {att: {}}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	const execUsage = "usage: linkup exec (RUN snd|rcv|LINK | --rootless (TOPOLOGY | --links a,b,c | --tape TAPE)) -- COMMAND [ARGUMENT…]"
	const rootlessLine = "usage: linkup exec --rootless (TOPOLOGY | --links a,b,c | --tape TAPE) -- COMMAND [ARGUMENT…]"
	if err := os.WriteFile("stalled.yaml", []byte("links: {att: {rate: 0}}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	const usage = "usage: linkup plan (TOPOLOGY | --links a,b,c | --tape TAPE)"
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"frob", 2, `unknown command "frob": one of plan, schema, up, down, gc, status, list, exec, shell, check`},
		{"plan", 2, "name one of a TOPOLOGY file, --links or --tape"},
		{"up", 2, "name one of a TOPOLOGY file, --links or --tape"},
		{"plan a b", 2, usage},
		{"plan --format yaml good.yaml", 2, `unknown --format "yaml": write text or tc`},
		{"plan --format tc stalled.yaml", 1, "link att: tc has no words for rate: 0: write a rate above 0"},
		{"schema a", 2, "usage: linkup schema "},
		{"plan --links a good.yaml", 2, "name one of a TOPOLOGY file, --links or --tape"},
		{"plan --links a --tape b", 2, "name one of a TOPOLOGY file, --links or --tape"},
		{"plan good.yaml --name b", 2, "flag --name stands after the argument good.yaml: flags come before arguments"},
		{"plan --shaper htb good.yaml", 2, "--shaper goes with --links and --tape; a TOPOLOGY file has a shaper for each link"},
		{"plan --links a,,b", 2, "topology: link: name is empty"},
		{"plan --links a,b,a", 2, "topology: link a: named twice"},
		{"plan --links snd", 2, "topology: link snd: the name is kept for an end: choose another"},
		{"plan --links a --shaper pie", 2, `topology: link a: unknown shaper "pie": set auto, tbf, htb, cake, pulse or edt`},
		{"plan --links a --name Demo", 1, `run: name "Demo": use lower-case letters, digits and, after the first character, hyphens`},
		{"plan --speed 3", 2, "flag provided but not defined: -speed; see linkup plan --help"},
		{"plan bad.yaml", 1, "bad.yaml:2:17: unknown \"tbff\": did you mean \"tbf\"? One of auto, tbf, htb, cake, pulse, edt\n   1 | links:\n>  2 |   att: {shaper: tbff}\n                       ^"},
		{"plan none.yaml", 1, "open none.yaml: no such file or directory"},
		{"plan --tape none.tape", 1, "open tape: open none.tape: no such file or directory"},
		{"plan --tape good.yaml", 1, ""},
		{"down a b", 2, "usage: linkup down [RUN]"},
		{"down Demo", 1, `run: name "Demo": use lower-case letters, digits and, after the first character, hyphens`},
		{"down --all a", 2, "--all means every run: name none"},
		{"gc a", 2, "usage: linkup gc "},
		{"status a b", 2, "usage: linkup status [RUN]"},
		{"status --interval 1s", 2, "--interval goes with --watch"},
		{"status --prometheus :1 a", 2, "--prometheus goes with --watch"},
		{"status --watch --interval 1ms", 2, "--interval 1ms: below 10ms"},
		{"status --watch --count -1", 2, "--count -1: negative"},
		{"status --watch --prometheus box", 2, `--prometheus "box": write an address such as :9560 or 0.0.0.0:9560`},
		{"status --watch --prometheus :1 --json", 2, "--prometheus: each request is a look: leave --interval, --count and --json out"},
		{"status --watch none", 1, ""},
		{"status ../a", 1, `run: name "../a": use lower-case letters, digits and, after the first character, hyphens`},
		{"exec", 2, execUsage},
		{"exec demo snd", 2, execUsage},
		{"exec demo snd --", 2, execUsage},
		{"exec demo snd -- no-such-program", 1, `exec: "no-such-program": executable file not found in $PATH`},
		{"exec --links a demo snd -- true", 2, "--links goes with --rootless"},
		{"exec --rootless", 2, rootlessLine},
		{"exec --rootless --links a", 2, rootlessLine},
		{"exec --rootless good.yaml --", 2, rootlessLine},
		{"exec --rootless --links a --shaper x -- true", 2, `topology: link a: unknown shaper "x": set auto, tbf, htb, cake, pulse or edt`},
		{"exec --rootless none.yaml -- true", 1, "open none.yaml: no such file or directory"},
		{"exec --rootless good.yaml -- no-such-program", 1, `exec: "no-such-program": executable file not found in $PATH`},
		{"shell", 2, "name one of a TOPOLOGY file, --links or --tape"},
		{"shell a b", 2, "usage: linkup shell (TOPOLOGY | --links a,b,c | --tape TAPE)"},
		{"inside --links a -- true", 1, "enter namespaces: process 1 of new ones does that, which linkup exec --rootless starts"},
		{"list a", 2, "usage: linkup list "},
		{"check a", 2, "usage: linkup check "},
	} {
		t.Run(c.args, func(t *testing.T) {
			stdout, stderr, err := call(t, strings.Fields(c.args)...)
			if got := cli.Status(err); got != c.status {
				t.Errorf("exit status %d, want %d", got, c.status)
			}
			if err == nil || c.want != "" && err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if stdout != "" || stderr != "" {
				t.Errorf("also says %q and %q", stdout, stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var b strings.Builder
	for _, args := range []string{"--help", "plan --help", "schema --help", "up --help", "down --help", "gc --help", "status --help", "list --help", "exec --help", "shell --help", "check --help"} {
		stdout, stderr, err := call(t, strings.Fields(args)...)
		if err != nil || stderr != "" {
			t.Errorf("%s: %v, %q", args, err, stderr)
		}
		fmt.Fprintf(&b, "$ linkup %s\n%s\n", args, stdout)
	}
	checkGolden(t, "help.golden", b.String())
}

// A plan is printed as commands, and as commands that take it back.
func TestPlan(t *testing.T) {
	topology, err := netsetup.ParseTopology("t.yaml", []byte("links: {att: {rate: 5Mbit, path: netem, delay: 20ms}}"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := netsetup.NewPlan("demo", topology, netsetup.Features{IPv6: true, HTB: true, Netem: true})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := printPlan(&b, p); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "plan.golden", b.String())
	// On this kernel, whatever it can do.
	stdout, stderr, err := call(t, "plan", "--name", "demo", "--shaper", "tbf", "--links", "att, vzw")
	if err != nil || stderr != "" {
		t.Fatal(err, stderr)
	}
	for _, want := range []string{
		"ip netns add lt.demo.snd\n", "ip netns add lt.demo.att\n", "ip netns add lt.demo.vzw\n",
		"tc -n lt.demo.vzw qdisc add dev ifb-down root handle 1: stab overhead -14 linklayer ethernet tbf rate 1000000000bit burst 126500 limit 225000\n",
		"\n# linkup down demo:\n# ip netns del lt.demo.vzw\n# ip netns del lt.demo.att\n# ip netns del lt.demo.rcv\n# ip netns del lt.demo.snd\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the plan lacks %q:\n%s", want, stdout)
		}
	}
}

// The schema is JSON and names every part of a topology; a plan as a script
// begins as one.
func TestSchemaAndScript(t *testing.T) {
	stdout, _, err := call(t, "schema")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Properties map[string]any }
	if err := json.Unmarshal([]byte(stdout), &schema); err != nil || schema.Properties["links"] == nil {
		t.Errorf("%v: %s", err, stdout)
	}
	if stdout, _, err = call(t, "plan", "--format", "tc", "--links", "a"); err != nil || !strings.HasPrefix(stdout, "#!/bin/sh\n# Run main of linkup") {
		t.Errorf("%v: %s", err, stdout)
	}
}

// A tape's links are planned with its queues.
func TestPlanTape(t *testing.T) {
	t.Chdir(t.TempDir())
	tl := &trace.Timeline{
		Meta: trace.Meta{Duration: time.Second, Links: []trace.Link{
			{Name: "att", Up: true, Queue: &trace.Queue{Kind: trace.DropTail, LimitBytes: 77000}}, {Name: "vzw", Up: true},
		}},
		Steps: []trace.Step{
			{Link: "att", Dir: trace.Up, State: trace.State{Rate: trace.Mbit, Carrier: true}},
			{Link: "vzw", Dir: trace.Up, State: trace.State{Rate: 40 * trace.Mbit, Carrier: true}},
		},
	}
	if err := trace.WriteFile("a.tape", tl); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := call(t, "plan", "--tape", "a.tape")
	if err != nil {
		t.Fatal(err)
	}
	choices := []string{
		"# shaper tbf for att: rates go down to 1Mbit: below 12Mbit htb leaves the shaping to a tbf\n",
		"# shaper htb for vzw: steps from 1s and rates from 40Mbit: more even within a step than tbf, which begins each with a burst\n",
	}
	for _, want := range append(choices, "tc -n lt.main.att qdisc add dev ifb-up root", "limit 77000\n", "limit 225000\n") {
		if !strings.Contains(stdout, want) {
			t.Errorf("the plan lacks %q", want)
		}
	}
	// A topology's auto is chosen for the tape that it is to play, if it is named.
	if err := os.WriteFile("t.yaml", []byte("links: {vzw: {}}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if stdout, _, err = call(t, "plan", "--for", "a.tape", "t.yaml"); err != nil || !strings.HasPrefix(stdout, choices[1]) {
		t.Errorf("for a tape: %v\n%s", err, stdout)
	}
	if _, _, err = call(t, "plan", "--for", "b.tape", "t.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("for a missing tape: %v", err)
	}
}

const execVariable = "LINKTAPE_TEST_EXEC"

// The whole life of a run, through the command.
func TestLife(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	if args := os.Getenv(execVariable); args != "" { // the child: exec replaces it
		_, _, err := call(t, strings.Split(args, "|")...)
		fmt.Fprint(os.Stderr, err)
		os.Exit(cli.Status(err))
	}
	must := func(args ...string) string {
		t.Helper()
		stdout, _, err := call(t, args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return stdout
	}
	fails := func(status int, want string, args ...string) string {
		t.Helper()
		stdout, _, err := call(t, args...)
		if cli.Status(err) != status || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: exit status %d, %v\nwant %d, %s", args, cli.Status(err), err, status, want)
		}
		return stdout
	}
	fails(1, "there is no run main, nor any other: build one with linkup up", "status")
	fails(1, "there is no run main, nor any other: build one with linkup up", "down")
	if got := must("list") + must("list", "--json"); got != "[]\n" {
		t.Errorf("list of nothing: %q", got)
	}

	topology := filepath.Join(t.TempDir(), "t.yaml")
	if err := os.WriteFile(topology, []byte("links: {att: {path: none}, vzw: {shaper: htb, path: none, queue: 200ms, rate: 8Mbit}}"), 0o666); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "up.golden", must("up", "--name", "demo", topology))
	t.Cleanup(func() { call(t, "down", "--kill", "demo") })
	fails(1, "run demo exists: remove it with linkup down demo, or choose another --name", "up", "--name", "demo", "--links", "a")
	if got := must("list"); got != "demo\n" {
		t.Errorf("list: %q", got)
	}
	if got := must("list", "--json"); got != "[\n  \"demo\"\n]\n" {
		t.Errorf("list: %q", got)
	}
	if got := strings.Fields(must("status", "demo")); len(got) < 4+13+4*13 {
		t.Errorf("status: %q", got)
	}
	var s netsetup.RunStatus
	if err := json.Unmarshal([]byte(must("status", "--json", "demo")), &s); err != nil {
		t.Fatal(err)
	}
	if s.Run != "demo" || !s.Complete || len(s.Links) != 2 || s.Links[1].Shaper != netsetup.ShaperHTB || s.Links[1].Up.LimitBytes != 200000 || len(s.Differences) != 0 {
		t.Errorf("status: %+v", s)
	}

	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"exec|demo|snd|--|ls|/sys/class/net", 0, "lo\nw0\nw1\n"},
		{"exec|demo|att|ls|/sys/class/net", 0, "ifb-down\nifb-up\nlo\nr0\ns0\n"},
		{"exec|demo|rcv|--|sh|-c|echo $0 -- $1; exit 5|--|x", 5, "-- -- x\n"},
		{"exec|demo|tmo|--|true", 1, "run demo has no tmo: it has snd, rcv, att, vzw"},
		{"exec|none|snd|--|true", 1, "there is no run none: there are demo"},
	} {
		child := exec.Command("/proc/self/exe", "-test.run=^TestLife$")
		child.Env = append(os.Environ(), execVariable+"="+c.args)
		out, _ := child.CombinedOutput()
		if got := child.ProcessState.ExitCode(); got != c.status || string(out) != c.want {
			t.Errorf("%s: exit status %d, %q\nwant %d, %q", c.args, got, out, c.status, c.want)
		}
	}

	if out, err := exec.Command("ip", "-n", "lt.demo.att", "addr", "flush", "dev", "s0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := fails(3, "run demo differs from its plan in ", "status", "demo"); !strings.Contains(got, "\ndiffers: missing: ip -n lt.demo.att addr add 10.77.0.2/30 dev s0 brd +\n") {
		t.Errorf("status: %s", got)
	}
	if got := must("down", "demo"); got != "" {
		t.Errorf("down says %q", got)
	}
	fails(1, "there is no run demo", "down", "demo")
	if left, err := os.ReadDir(netsetup.StateDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// check says what works, in words and in JSON.
func TestCheck(t *testing.T) {
	privtest.Require(t, "ifb", "tbf", "htb")
	stdout, _, err := call(t, "check")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"veth ", "ifb ", "tbf ", "htb ", "redirect ", "netem ", "ipv6 ", "netem-seed ", "netem-seed-kept ", "netem-duplicate "} {
		if !strings.Contains(stdout, "\n"+want) && !strings.HasPrefix(stdout, want) {
			t.Errorf("nothing said about %s: %s", want, stdout)
		}
	}
	stdout, _, err = call(t, "check", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var e netsetup.Examination
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		t.Fatal(err)
	}
	if f := e.Findings; e.Kernel == "" || e.Processors < 1 || len(f) < 20 || f[0].Name != "veth" || f[0].Err != "" || f[0].Need == "" || f[0].What == "" || !f[0].Vital {
		t.Errorf("%+v", e)
	}
}

// The table of findings, and what follows it.
func TestPrintExamination(t *testing.T) {
	e := &netsetup.Examination{Kernel: "Linux 6.1.0 x86_64", Processors: 4, Findings: []netsetup.Finding{
		{Feature: netsetup.Feature{Name: "ifb", What: "the bottlenecks", Need: "module ifb"}, Vital: true},
		{Feature: netsetup.Feature{Name: "netem", What: "delay, jitter and loss", Need: "module sch_netem", Err: "unknown"}, Cost: "no delay", Mend: "modprobe -a sch_netem"},
		{Feature: netsetup.Feature{Name: "clock", What: "the replay's clock", Err: "the clock source is hpet"}, Value: "hpet, 1µs a reading", Cost: "steps are later", Mend: "boot with tsc=reliable"},
		{Feature: netsetup.Feature{Name: "netem-slot", What: "slots", Need: "module sch_netem", Err: "there is no netem"}, Cost: "no slots", Mend: "modprobe -a sch_netem"},
	}}
	var b strings.Builder
	if err := printExamination(&b, e); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "check.golden", b.String())
}
