package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"linktape/netsetup"
	"linktape/replay"
	"linktape/trace/edit"
)

// Player is what is driven: a [replay.Player].
type Player interface {
	Do(ctx context.Context, c replay.Command) (replay.Act, error)
	Status() replay.Status
	Acts(n int) ([]replay.Act, <-chan struct{})
	EventsBetween(after, until time.Duration) []replay.TapeEvent
	Begun() <-chan struct{}
	Ended() <-chan struct{}
}

// Request is what a command needs, as JSON or as a query. Times are written as in
// Go, such as "1m30s".
type Request struct {
	By   string `json:"by,omitempty"`   // skip: by this time of the tape, below 0: back
	To   string `json:"to,omitempty"`   // skip: to this instant of the tape, or "next": its next event
	Link string `json:"link,omitempty"` // cut, restore
	Mode string `json:"mode,omitempty"` // cut: drop-both (without it), drop-up, drop-down, stall, carrier-down
}

// Next is [Request.To] of the tape's next event.
const Next = "next"

// Event is a line of /events: one of its fields.
type Event struct {
	Act   *replay.Act       `json:"by_hand,omitempty"` // something was done
	Tape  *replay.TapeEvent `json:"tape,omitempty"`    // the tape has come to a change
	State string            `json:"state,omitempty"`   // of the replay, when it has changed and at first
}

// Fault is what is answered where a request failed.
type Fault struct {
	Error string `json:"error"`
}

// mostBody bounds a request.
const mostBody = 1 << 16

// verbs are the commands' paths.
var verbs = []replay.Verb{replay.Pause, replay.Resume, replay.StepOn, replay.Skip, replay.Cut, replay.RestoreLink, replay.StopNow}

// Handler serves a replay. source stands in the log for what is done through it;
// host is a name, beside localhost and addresses, that requests may be for.
func Handler(p Player, source, host string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, p.Status()) })
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { events(p, w, r) })
	for _, v := range verbs {
		mux.HandleFunc("POST /"+string(v), func(w http.ResponseWriter, r *http.Request) {
			c, err := command(v, r)
			if err != nil {
				answer(w, http.StatusBadRequest, Fault{err.Error()})
				return
			}
			c.From = source
			act, err := p.Do(r.Context(), c)
			if err != nil {
				answer(w, statusOf(err), Fault{err.Error()})
				return
			}
			answer(w, http.StatusOK, act)
		})
	}
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusForbidden, Fault{"a page of another origin may not drive a replay"})
	}))
	guarded := origin.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host, host) {
			answer(w, http.StatusForbidden, Fault{fmt.Sprintf("requests for the host %q are not answered: use localhost or an address", r.Host)})
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// local reports whether a Host header names no other site: an address, which no name
// server can point elsewhere, localhost, or the name that was asked for.
func local(header, host string) bool {
	name := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	return name == "localhost" || host != "" && strings.EqualFold(name, host) || net.ParseIP(name) != nil
}

// statusOf is the HTTP status of a command's error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, replay.ErrUnknownLink):
		return http.StatusNotFound
	case errors.Is(err, replay.ErrNotBegun), errors.Is(err, replay.ErrRefused):
		return http.StatusConflict
	case errors.Is(err, replay.ErrEnded):
		return http.StatusGone
	case errors.Is(err, netsetup.ErrNotSupported):
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v)
}

// command reads what a request asks for.
func command(v replay.Verb, r *http.Request) (replay.Command, error) {
	q := r.URL.Query()
	req := Request{By: q.Get("by"), To: q.Get("to"), Link: q.Get("link"), Mode: q.Get("mode")}
	for k := range q {
		switch k {
		case "by", "to", "link", "mode":
		default:
			return replay.Command{}, fmt.Errorf("%q in the query: there are by, to, link and mode", k)
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody+1))
	switch {
	case err != nil:
		return replay.Command{}, fmt.Errorf("read the request: %w", err)
	case len(body) > mostBody:
		return replay.Command{}, fmt.Errorf("the request has more than %d bytes", mostBody)
	case len(body) > 0:
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.DisallowUnknownFields()
		if err := d.Decode(&req); err != nil {
			return replay.Command{}, fmt.Errorf("read the request: %w: write a JSON object with by, to, link or mode", err)
		}
		if _, err := d.Token(); err != io.EOF {
			return replay.Command{}, errors.New("read the request: there is something after its JSON object")
		}
	}
	return req.Command(v)
}

// Command is what the request asks for with a verb.
func (r Request) Command(v replay.Verb) (replay.Command, error) {
	c := replay.Command{Verb: v, Link: r.Link}
	needless := func(name, value string) error {
		if value == "" {
			return nil
		}
		return fmt.Errorf("%s takes no %s", v, name)
	}
	var err error
	if v != replay.Skip {
		err = errors.Join(needless("by", r.By), needless("to", r.To))
	}
	if v != replay.Cut {
		err = errors.Join(err, needless("mode", r.Mode))
	}
	switch v {
	case replay.Cut, replay.RestoreLink:
		if r.Link == "" {
			err = errors.Join(err, fmt.Errorf("%s which link? name it as link", v))
		}
		if r.Mode != "" && v == replay.Cut {
			var e error
			c.Mode, e = edit.ParseMode(r.Mode)
			err = errors.Join(err, e)
		}
	case replay.Skip:
		err = errors.Join(err, needless("link", r.Link))
		switch {
		case (r.By != "") == (r.To != ""):
			err = errors.Join(err, errors.New("skip where? write by, a time, or to, an instant of the tape or next"))
		case r.To == Next:
			c.Next = true
		case r.To != "":
			d, e := duration("to", r.To)
			c.To, err = &d, errors.Join(err, e)
		default:
			var e error
			c.By, e = duration("by", r.By)
			if e == nil && c.By == 0 {
				e = errors.New("by 0: the tape is there already")
			}
			err = errors.Join(err, e)
		}
	default:
		err = errors.Join(err, needless("link", r.Link))
	}
	if err != nil {
		return replay.Command{}, err
	}
	return c, nil
}

func duration(name, s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%s %q: write a time such as 1m30s", name, s)
	}
	return d, nil
}

// looking is how often the tape's position is looked at for its events.
const looking = 50 * time.Millisecond

// events writes what happens, from the request on, until the replay has ended.
func events(p Player, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	flush := func() { http.NewResponseController(w).Flush() }
	before, _ := p.Acts(0)
	n, state := len(before), ""
	var last replay.Status
	tick := time.NewTicker(looking)
	defer tick.Stop()
	for {
		acts, changed := p.Acts(n)
		n += len(acts)
		now := p.Status()
		fresh := len(acts) > 0
		for i := range acts {
			out.Encode(Event{Act: &acts[i]})
		}
		if goesOn := last.State == replay.Playing && now.State == last.State && len(acts) == 0; goesOn {
			for _, e := range passed(p, &last, &now) {
				fresh = true
				out.Encode(Event{Tape: &e})
			}
		}
		if now.State != state {
			fresh, state = true, now.State
			out.Encode(Event{State: state})
		}
		if fresh {
			flush()
		}
		last = now
		if state == replay.Ended {
			return
		}
		select {
		case <-tick.C:
		case <-changed:
		case <-p.Ended():
		case <-r.Context().Done():
			return
		}
	}
}

// passed are the tape's events between two looks, also over the end of a pass.
func passed(p Player, last, now *replay.Status) []replay.TapeEvent {
	if now.Loop == last.Loop {
		return p.EventsBetween(last.Tape, now.Tape)
	}
	return append(p.EventsBetween(last.Tape, now.To), p.EventsBetween(now.From, now.Tape)...)
}
