package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linktape/replay"
)

// interfered is a folder with commands, and with a state told for one of them.
func interfered(t *testing.T, m *made, acts string) string {
	t.Helper()
	dir := m.write(t, false)
	if err := os.WriteFile(filepath.Join(dir, replay.ActsFile), []byte(acts), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const twoActs = `{"verb":"cut","changed":true,"at_ns":1500000000,"tape_before_ns":1500000000,"tape_ns":1500000000,"link":"a","mode":"stall","source":"http"}
{"verb":"skip","changed":true,"at_ns":2000000000,"tape_before_ns":2000000000,"tape_ns":9000000000,"source":"key"}
`

func TestByHandIsReported(t *testing.T) {
	m := make10s()
	plain, err := Read(m.write(t, false))
	if err != nil {
		t.Fatal(err)
	}
	row := m.log[30] // a state that was told long after it had been due on the tape
	row.Hand, row.Sent, row.Acked = true, row.Sent+50e6, row.Acked+50e6
	m.log = append(m.log[:31:31], append([]replay.LogRow{row}, m.log[31:]...)...)
	r, err := Read(interfered(t, m, twoActs))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.ByHand) != 2 || r.ByHand[0].Link != "a" {
		t.Errorf("got %+v", r.ByHand)
	}
	if r.Steps != plain.Steps || r.Lateness != plain.Lateness || r.Directions[0].Steps != plain.Directions[0].Steps {
		t.Errorf("what was told by hand counts as a step: %d of %d, lateness %+v", r.Steps, plain.Steps, r.Lateness)
	}
	var b strings.Builder
	if err := r.Page(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h2>By hand</h2>", "<td>1.5s</td><td>1.5s</td><td>1.5s</td><td>cut (stall)</td><td>a</td><td>http</td>", "<td>2s</td><td>2s</td><td>9s</td><td>skip</td><td></td><td>key</td>"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	dir := interfered(t, m, twoActs)
	if err := os.Remove(filepath.Join(dir, replay.SummaryFile)); err != nil {
		t.Fatal(err)
	}
	if r, err = Read(dir); err != nil || !strings.Contains(strings.Join(r.Findings, "\n"), "2 commands were given by hand") {
		t.Errorf("of a killed replay: got findings %q, error %v", r.Findings, err)
	}
	if _, err := Read(interfered(t, m, "x\n")); err == nil {
		t.Error("a damaged list is no error")
	}
}

func TestByHandIsCompared(t *testing.T) {
	a, b := make10s(), make10s()
	c, err := Compare(a.write(t, false), interfered(t, b, twoActs), DefaultTolerance)
	if err != nil || c.Same || len(c.Settings) != 1 || c.Settings[0] != (Setting{"commands given by hand", "0", "2"}) {
		t.Errorf("got %+v, error %v", c, err)
	}
	c, err = Compare(interfered(t, a, twoActs), interfered(t, b, twoActs), DefaultTolerance)
	if err != nil || !c.Same || len(c.Remarks) != 1 || !strings.Contains(c.Remarks[0], "by hand: 2 in each") {
		t.Errorf("got %+v, error %v", c, err)
	}
	if _, err := Compare(interfered(t, a, "x\n"), b.write(t, false), DefaultTolerance); err == nil {
		t.Error("a damaged list is no error")
	}
}
