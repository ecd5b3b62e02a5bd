package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace/edit"
)

// fake is a replay that notes what it is told.
type fake struct {
	mu       sync.Mutex
	commands []replay.Command
	acts     []replay.Act
	changed  chan struct{}
	status   replay.Status
	err      error
	ended    chan struct{}
}

func newFake() *fake {
	return &fake{changed: make(chan struct{}), ended: make(chan struct{}), status: replay.Status{
		State: replay.Playing, Tape: 3 * time.Second, To: 10 * time.Second, Loops: 1, Speed: 1,
		Links: []replay.LinkStatus{{Link: "a", Dir: "up", Begun: true, Rate: 5e6}},
	}}
}

func (f *fake) Do(_ context.Context, c replay.Command) (replay.Act, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return replay.Act{}, f.err
	}
	f.commands = append(f.commands, c)
	a := replay.Act{Verb: c.Verb, Changed: true, Tape: f.status.Tape, Link: c.Link, Source: c.From}
	f.acts = append(f.acts, a)
	close(f.changed)
	f.changed = make(chan struct{})
	return a, nil
}

func (f *fake) Status() replay.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) Acts(n int) ([]replay.Act, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]replay.Act(nil), f.acts[n:]...), f.changed
}

// EventsBetween has one at each whole second.
func (f *fake) EventsBetween(after, until time.Duration) (out []replay.TapeEvent) {
	for t := after.Truncate(time.Second) + time.Second; t <= until; t += time.Second {
		out = append(out, replay.TapeEvent{Tape: t, Link: "a", Dir: "up"})
	}
	return out
}

func (f *fake) Begun() <-chan struct{} { return nil }
func (f *fake) Ended() <-chan struct{} { return f.ended }

func (f *fake) set(change func(s *replay.Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.status)
}

func TestCommands(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		target, body string
		want         replay.Command
	}{
		{"/pause", "", replay.Command{Verb: replay.Pause}},
		{"/resume", "{}", replay.Command{Verb: replay.Resume}},
		{"/step", "", replay.Command{Verb: replay.StepOn}},
		{"/stop", "", replay.Command{Verb: replay.StopNow}},
		{"/skip?by=1m30s", "", replay.Command{Verb: replay.Skip, By: 90 * time.Second}},
		{"/skip", `{"by":"-1s"}`, replay.Command{Verb: replay.Skip, By: -time.Second}},
		{"/skip?to=1s", "", replay.Command{Verb: replay.Skip, To: &second}},
		{"/skip?to=next", "", replay.Command{Verb: replay.Skip, Next: true}},
		{"/cut?link=a", "", replay.Command{Verb: replay.Cut, Link: "a"}},
		{"/cut", `{"link":"a","mode":"carrier-down"}`, replay.Command{Verb: replay.Cut, Link: "a", Mode: edit.CarrierDown}},
		{"/cut?link=a", `{"mode":"stall"}`, replay.Command{Verb: replay.Cut, Link: "a", Mode: edit.Stall}},
		{"/restore?link=a", "", replay.Command{Verb: replay.RestoreLink, Link: "a"}},
	} {
		f := newFake()
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", c.target, strings.NewReader(c.body))
		r.Host = "localhost"
		Handler(f, "http", "").ServeHTTP(w, r)
		c.want.From = "http"
		if w.Code != 200 || len(f.commands) != 1 {
			t.Errorf("%s %s: got status %d, %s", c.target, c.body, w.Code, w.Body)
			continue
		}
		got := f.commands[0]
		if (got.To == nil) != (c.want.To == nil) || got.To != nil && *got.To != *c.want.To {
			t.Errorf("%s %s: got to %v", c.target, c.body, got.To)
		}
		got.To, c.want.To = nil, nil
		if got != c.want {
			t.Errorf("%s %s: got %+v, want %+v", c.target, c.body, got, c.want)
		}
		var act replay.Act
		if err := json.Unmarshal(w.Body.Bytes(), &act); err != nil || act.Verb != c.want.Verb || act.Source != "http" {
			t.Errorf("%s: answered %s", c.target, w.Body)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, method, target, body, host, origin string
		err                                      error
		status                                   int
		want                                     string
	}{
		{"get of a command", "GET", "/pause", "", "localhost", "", nil, 405, ""},
		{"no such path", "POST", "/fly", "", "localhost", "", nil, 404, ""},
		{"another name", "GET", "/status", "", "rebound.example:80", "", nil, 403, "requests for the host"},
		{"no name", "GET", "/status", "", "", "", nil, 403, "requests for the host"},
		{"a page", "POST", "/pause", "", "127.0.0.1:80", "http://evil.example", nil, 403, "another origin"},
		{"skip nowhere", "POST", "/skip", "", "localhost", "", nil, 400, "skip where?"},
		{"skip twice", "POST", "/skip?by=1s&to=2s", "", "localhost", "", nil, 400, "skip where?"},
		{"skip by nothing", "POST", "/skip?by=0s", "", "localhost", "", nil, 400, "there already"},
		{"skip by a word", "POST", "/skip?by=soon", "", "localhost", "", nil, 400, `by "soon": write a time such as 1m30s`},
		{"cut what", "POST", "/cut", "", "localhost", "", nil, 400, "cut which link?"},
		{"cut how", "POST", "/cut?link=a&mode=axe", "", "localhost", "", nil, 400, "write one of drop-both"},
		{"needless", "POST", "/pause?link=a", "", "localhost", "", nil, 400, "pause takes no link"},
		{"misspelt", "POST", "/cut?lnk=a", "", "localhost", "", nil, 400, `"lnk" in the query`},
		{"misspelt in the body", "POST", "/cut", `{"lnk":"a"}`, "localhost", "", nil, 400, "lnk"},
		{"two objects", "POST", "/cut", `{"link":"a"}{}`, "localhost", "", nil, 400, "something after"},
		{"long", "POST", "/cut", strings.Repeat(" ", mostBody+1), "localhost", "", nil, 400, "more than 65536 bytes"},
		{"unknown link", "POST", "/cut?link=x", "", "localhost", "", fmt.Errorf("x: %w", replay.ErrUnknownLink), 404, "no such link"},
		{"not begun", "POST", "/pause", "", "localhost", "", replay.ErrNotBegun, 409, "not begun"},
		{"ended", "POST", "/pause", "", "localhost", "", replay.ErrEnded, 410, "ended"},
		{"refused", "POST", "/skip?by=1h", "", "localhost", "", replay.ErrRefused, 409, "refused"},
		{"not supported", "POST", "/cut?link=a", "", "localhost", "", netsetup.ErrNotSupported, 422, "not supported"},
		{"other", "POST", "/cut?link=a", "", "localhost", "", errors.New("no such device"), 500, "no such device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			f.err = c.err
			w := httptest.NewRecorder()
			r := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
			r.Host = c.host
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			Handler(f, "http", "").ServeHTTP(w, r)
			var fault Fault
			if c.want != "" {
				if err := json.Unmarshal(w.Body.Bytes(), &fault); err != nil {
					t.Errorf("answered %q: %v", w.Body, err)
				}
			}
			if w.Code != c.status || !strings.Contains(fault.Error, c.want) || len(f.commands) > 0 {
				t.Errorf("got status %d, %q, %d commands; want %d, %q", w.Code, fault.Error, len(f.commands), c.status, c.want)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Error("lets other origins read")
			}
		})
	}
}

func TestHosts(t *testing.T) {
	for header, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "127.0.0.1:8080": true, "[::1]:8080": true, "10.1.2.3:80": true, "bench.lan:80": true, "BENCH.lan": true,
		"": false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example:80": false,
	} {
		if got := local(header, "bench.lan"); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
	if local("bench.lan", "") {
		t.Error("a name that nobody asked for")
	}
}

// serve serves a fake on a socket.
func serve(t *testing.T, f *fake) (*Client, *Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Handler(f, "socket", ""))
	t.Cleanup(func() { s.Close() })
	return NewClient(path), s, path
}

func TestSocket(t *testing.T) {
	f := newFake()
	c, s, path := serve(t, f)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, error %v", info, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("something else was left: %v", entries)
	}
	if _, err := ListenUnix(path); err == nil || !strings.Contains(err.Error(), "another process answers there") {
		t.Errorf("while one lives: got error %v", err)
	}
	st, err := c.Status(t.Context())
	if err != nil || st.Tape != 3*time.Second || st.Links[0].Rate != 5e6 {
		t.Errorf("got %+v, error %v", st, err)
	}
	a, err := c.Do(t.Context(), replay.Cut, Request{Link: "a", Mode: "stall"})
	if err != nil || a.Link != "a" || a.Source != "socket" || f.commands[0].Mode != edit.Stall {
		t.Errorf("got %+v, error %v, commands %+v", a, err, f.commands)
	}
	var refused *RefusedError
	if _, err := c.Do(t.Context(), replay.Cut, Request{}); !errors.As(err, &refused) || refused.Status != 400 || refused.Text != "cut which link? name it as link" {
		t.Errorf("got error %v", err)
	}
	if err := c.Await(t.Context(), true); err != nil {
		t.Error(err)
	}
	f.set(func(s *replay.Status) { s.State = replay.Waiting })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Await(gone, true); err == nil {
		t.Error("did not wait for the beginning")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if err := c.AwaitEnd(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrNobody) {
		t.Errorf("got error %v", err)
	}
}

func TestSocketInPlaceOf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatalf("in place of one that was left behind: %v", err)
	}
	// One that has come in its place is another's.
	if err := errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600), l.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("removed what another made: %v", err)
	}
	if _, err := ListenUnix(path); err == nil || !strings.Contains(err.Error(), "a file that is no socket") {
		t.Errorf("in place of a file: got error %v", err)
	}
	if _, err := ListenUnix(filepath.Join(dir, "none", "s")); err == nil {
		t.Error("in a folder that is not there")
	}
}

func TestListenTCP(t *testing.T) {
	for _, c := range []struct{ address, want, name string }{
		{":0", "127.0.0.1:", "127.0.0.1"}, {"localhost:0", "127.0.0.1:", "localhost"}, {"0.0.0.0:0", "0.0.0.0:", "0.0.0.0"},
	} {
		l, name, err := ListenTCP(c.address)
		if err != nil {
			t.Errorf("%s: %v", c.address, err)
			continue
		}
		if got := l.Addr().String(); !strings.HasPrefix(got, c.want) || name != c.name {
			t.Errorf("%s: listens on %s, name %q", c.address, got, name)
		}
		l.Close()
	}
	if _, _, err := ListenTCP("8080"); err == nil || !strings.Contains(err.Error(), "write host:port, or :port") {
		t.Errorf("got error %v", err)
	}
}

// Events come as they happen, each once, until the replay has ended.
func TestEvents(t *testing.T) {
	f := newFake()
	f.acts = []replay.Act{{Verb: replay.Pause}} // before anybody listened
	c, _, _ := serve(t, f)
	var got []string
	err := c.Events(t.Context(), func(e Event) error {
		switch {
		case e.Act != nil:
			got = append(got, string(e.Act.Verb))
			f.set(func(s *replay.Status) { s.State = replay.Paused })
		case e.Tape != nil:
			got = append(got, fmt.Sprint(e.Tape.Tape))
			if e.Tape.Tape == 5*time.Second {
				f.Do(t.Context(), replay.Command{Verb: replay.Pause})
			}
		default:
			got = append(got, e.State)
			switch e.State {
			case replay.Playing:
				f.set(func(s *replay.Status) { s.Tape = 5500 * time.Millisecond })
			case replay.Paused:
				f.set(func(s *replay.Status) { s.State = replay.Ended })
				close(f.ended)
			}
		}
		return nil
	})
	if want := "playing 4s 5s pause paused ended"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %q, error %v; want %q", got, err, want)
	}
	stop := errors.New("enough")
	if err := c.Events(t.Context(), func(Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got error %v", err)
	}
}

func TestPassed(t *testing.T) {
	f := newFake()
	at := func(tape time.Duration, loop int) *replay.Status {
		return &replay.Status{Tape: tape, Loop: loop, From: time.Second, To: 10 * time.Second}
	}
	if got := passed(f, at(8500*time.Millisecond, 0), at(2*time.Second, 1)); len(got) != 3 { // 9, 10 and 2 s
		t.Errorf("over the end of a pass: got %+v", got)
	}
}

// No request makes the server panic, and what is accepted is a command.
func FuzzCommand(f *testing.F) {
	f.Add("skip", "by=1s", "")
	f.Add("skip", "to=next", "{}")
	f.Add("cut", "link=a", `{"mode":"stall"}`)
	f.Add("cut", "", `{"link":"a","mode":"x"}`)
	f.Fuzz(func(t *testing.T, verb, query, body string) {
		r := &http.Request{Method: "POST", Body: io.NopCloser(strings.NewReader(body))}
		r.URL = httptest.NewRequest("POST", "/", nil).URL
		r.URL.RawQuery = query
		c, err := command(replay.Verb(verb), r)
		if err != nil {
			return
		}
		switch c.Verb {
		case replay.Skip:
			if c.By == 0 && c.To == nil && !c.Next {
				t.Errorf("skips nowhere: %q %q", query, body)
			}
		case replay.Cut, replay.RestoreLink:
			if c.Link == "" {
				t.Errorf("no link: %q %q", query, body)
			}
		}
	})
}
