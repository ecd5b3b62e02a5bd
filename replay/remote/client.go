package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"linktape/replay"
)

// Client drives a replay through its control socket.
type Client struct {
	path string
	http http.Client
}

// NewClient makes a client of a socket, which need not be there yet.
func NewClient(path string) *Client {
	c := &Client{path: path}
	var d net.Dialer
	c.http.Transport = &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) },
		DisableKeepAlives: true,
	}
	return c
}

// ErrNobody: no replay listens on the socket.
var ErrNobody = errors.New("no replay listens there")

// do sends a request. The caller closes the body.
func (c *Client) do(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, &b)
	if err != nil {
		return nil, err
	}
	a, err := c.http.Do(r)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("control socket %s: %w", c.path, ErrNobody)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", c.path, err)
	}
	if a.StatusCode == http.StatusOK {
		return a.Body, nil
	}
	defer a.Body.Close()
	var f Fault
	if err := json.NewDecoder(io.LimitReader(a.Body, mostBody)).Decode(&f); err != nil || f.Error == "" {
		return nil, fmt.Errorf("control socket %s: HTTP status %s", c.path, a.Status)
	}
	return nil, &RefusedError{a.StatusCode, f.Error}
}

// RefusedError is what the replay has answered.
type RefusedError struct {
	Status int // of HTTP
	Text   string
}

func (e *RefusedError) Error() string { return e.Text }

func get[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var v T
	r, err := c.do(ctx, method, path, body)
	if err != nil {
		return v, err
	}
	defer r.Close()
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		return v, fmt.Errorf("control socket %s: read the answer: %w", c.path, err)
	}
	return v, nil
}

// Status asks how the replay stands.
func (c *Client) Status(ctx context.Context) (replay.Status, error) {
	return get[replay.Status](ctx, c, http.MethodGet, "/status", nil)
}

// Do gives a command. Errors: [ErrNobody]; a [RefusedError].
func (c *Client) Do(ctx context.Context, v replay.Verb, r Request) (replay.Act, error) {
	return get[replay.Act](ctx, c, http.MethodPost, "/"+string(v), r)
}

// Events calls a function with each event until the replay has ended, which is no
// error, or ctx has.
func (c *Client) Events(ctx context.Context, each func(Event) error) error {
	r, err := c.do(ctx, http.MethodGet, "/events", nil)
	if err != nil {
		return err
	}
	defer r.Close()
	d := json.NewDecoder(r)
	for {
		var e Event
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("control socket %s: read events: %w", c.path, err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// asking is how often a client that waits asks.
const asking = 20 * time.Millisecond

// Await waits until a replay listens on the socket and, where begun is asked for,
// has begun.
func (c *Client) Await(ctx context.Context, begun bool) error {
	for {
		s, err := c.Status(ctx)
		switch {
		case err == nil && (!begun || s.State != replay.Waiting):
			return nil
		case err != nil && !errors.Is(err, ErrNobody):
			return err
		case err == nil:
			err = replay.ErrNotBegun
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(asking):
		}
	}
}

// AwaitEnd waits until nobody listens on the socket any more.
func (c *Client) AwaitEnd(ctx context.Context) error {
	for {
		if _, err := c.Status(ctx); err != nil {
			if errors.Is(err, ErrNobody) {
				return nil
			}
			if ctx.Err() == nil { // it went away in the middle of an answer
				continue
			}
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end: %w", context.Cause(ctx))
		case <-time.After(asking):
		}
	}
}
