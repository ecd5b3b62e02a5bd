package replay

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"linktape/trace/edit"
)

// Every state of a replay, and what is known of its links in it.
func TestStatus(t *testing.T) {
	tl := twoWays(4 * time.Second)
	links := newMeteredLinks(tl.Meta.Directions()...)
	tape := openTape(t, tl)
	inBubble(t, func(t *testing.T, base bubbleClock) {
		links.began = time.Now().Add(time.Minute)
		at := time.Now().Add(time.Minute)
		p := mustNew(t, tape, links, Options{Speed: 0.5, Times: 2, At: at, WaitsFor: "a minute", Watch: 250 * ms})
		s := p.Status()
		if s.State != Waiting || s.WaitsFor != "a minute" || s.At == nil || !s.At.Equal(at) || len(s.Links) != 2 || s.Links[0].Begun || s.Loops != 2 || s.Speed != 0.5 {
			t.Errorf("before: got %+v", s)
		}
		done := make(chan error)
		go func() {
			_, err := p.Run(t.Context(), wakingClock{base, make(chan struct{}, 1)}, nil)
			done <- err
		}()
		<-p.Begun()
		time.Sleep(time.Until(at) + 2500*ms)
		s = p.Status()
		if s.State != Playing || s.WaitsFor != "" || s.Elapsed != 2500*ms || s.Position != 2500*ms || s.Tape != 1250*ms || s.Loop != 0 || s.Next == nil || s.Next.In != 500*ms {
			t.Errorf("playing: got %+v", s)
		}
		if l := s.Links[0]; l.Label != "outage" || l.Loss != 1 || l.Rate != 8e6 || !l.Begun || !l.Carrier || l.Cut != "" || l.Steps != 13 {
			t.Errorf("playing: got %+v", l)
		}
		if l := s.Links[1]; l.Read < 2200*ms || l.Bytes == 0 {
			t.Errorf("the counters were not read: got %+v", l)
		}
		if _, err := p.Pause(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Cut("a", edit.CarrierDown); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s = p.Status()
		if l := s.Links[1]; s.State != Paused || s.Tape != 1250*ms || s.Elapsed != 3500*ms || s.Acts != 2 || l.Cut != "carrier-down" || l.Carrier || l.Read < 3200*ms {
			t.Errorf("paused: got %+v", s)
		}
		if _, err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s = p.Status(); s.State != Ended {
			t.Errorf("after: got %+v", s)
		}
	})
	if links.closed != 1 {
		t.Errorf("the meter was closed %d times", links.closed)
	}
}

// What was done by hand stands in the run's folder, and what was told for it in the
// log; of another replay nothing stays.
func TestActsAreRecorded(t *testing.T) {
	tl := twoWays(3 * time.Second)
	dir := t.TempDir()
	file := filepath.Join(dir, ActsFile)
	if err := os.WriteFile(file, []byte("of another replay"), 0o600); err != nil {
		t.Fatal(err)
	}
	links := newMeteredLinks(tl.Meta.Directions()...)
	tape := openTape(t, tl)
	var want []Act
	var sum *Summary
	synctest.Test(t, func(t *testing.T) {
		links.began = time.Now()
		p := mustNew(t, tape, links, Options{Record: Recording{Dir: dir, Counters: 50 * ms, ReadBack: 50 * ms}})
		done := make(chan error)
		go func() {
			var err error
			sum, err = p.Run(t.Context(), wakingClock{newBubbleClock(), make(chan struct{}, 1)}, nil)
			done <- err
		}()
		<-p.Begun()
		time.Sleep(lead + 250*ms)
		for _, c := range []Command{{Verb: Pause, From: "key"}, {Verb: Pause}, {Verb: StepOn, From: "http"}, {Verb: Cut, Link: "a", Mode: edit.DropUp}, {Verb: Resume}, {Verb: StopNow}} {
			if _, err := p.Do(context.Background(), c); err != nil {
				t.Error(err)
			}
			time.Sleep(100 * ms)
		}
		want, _ = p.Acts(0)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	got, err := ReadActs(file)
	if err != nil || !slices.Equal(got, want) || len(got) != 5 {
		t.Errorf("got %+v, error %v; want %+v", got, err, want)
	}
	if got[0].Source != "key" || got[2].Link != "a" || got[2].Mode != "drop-up" || got[4].Verb != StopNow {
		t.Errorf("got %+v", got)
	}
	rows, err := ReadLog(filepath.Join(dir, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	hand := 0
	for _, r := range rows {
		if r.Hand {
			hand++
		}
	}
	if int64(hand) != sum.Retold || hand != 5 || sum.ReadBack.Differ != 0 {
		t.Errorf("got %d rows by hand, %d told, %d differences", hand, sum.Retold, sum.ReadBack.Differ)
	}
}

func TestReadActs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	if a, err := ReadActs(file); a != nil || err != nil {
		t.Errorf("without a file: got %v, error %v", a, err)
	}
	for _, c := range []struct {
		name, text string
		n          int
		err        string
	}{
		{"empty", "", 0, ""},
		{"cut short by a kill", `{"verb":"pause","at_ns":7}` + "\n" + `{"verb":"res`, 1, ""},
		{"damaged", "{}\n{\n", 0, "x:2: "},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := ReadActs(file)
		if len(a) != c.n || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %+v, error %v", c.name, a, err)
		}
	}
}
