package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"linktape/internal/cli"
	"linktape/netsetup"
)

// listenAddress is where --prometheus serves: this machine only, unless a host
// is named.
func listenAddress(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil && !strings.Contains(s, ":") {
		host, port, err = "", s, nil // a port alone
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", cli.Usagef("--prometheus %q: write an address such as :9560 or 0.0.0.0:9560", s)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// serve answers requests for /metrics until the context ends or the run is
// taken down.
func serve(ctx context.Context, w sampler, address string, stderr io.Writer) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve to Prometheus: %w", err)
	}
	fmt.Fprintf(stderr, "linkup: serving http://%s/metrics\n", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", exporter(w))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	look := time.NewTicker(goneInterval)
	defer look.Stop()
	for {
		select {
		case err = <-ended:
			return fmt.Errorf("serve to Prometheus: %w", err)
		case <-look.C:
			if !w.Gone() {
				continue
			}
			err = netsetup.ErrGone
		case <-ctx.Done():
		}
		break
	}
	// What is being answered may end.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if e := server.Shutdown(closing); e != nil && !errors.Is(e, context.DeadlineExceeded) {
		err = errors.Join(err, e)
	}
	<-ended
	return err
}

// exporter answers with the figures of the instant, in Prometheus's text format
// (version 0.0.4).
func exporter(w sampler) http.Handler {
	var one sync.Mutex // a watcher is for one at a time
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		one.Lock()
		samples, err := w.Sample()
		one.Unlock()
		if err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(rw, samples) // an error is the client's, which has gone
	})
}

// metric is one of each direction's figures.
type metric struct {
	name, kind, help string
	value            func(s *netsetup.Sample) (value float64, known bool)
}

func metrics() []metric {
	always := func(f func(s *netsetup.Sample) float64) func(*netsetup.Sample) (float64, bool) {
		return func(s *netsetup.Sample) (float64, bool) { return f(s), true }
	}
	return []metric{
		{"linktape_link_delivered_bytes_total", "counter", "Bytes of IP packets that left the bottleneck.", always(func(s *netsetup.Sample) float64 { return float64(s.Bytes) })},
		{"linktape_link_delivered_packets_total", "counter", "Packets that left the bottleneck.", always(func(s *netsetup.Sample) float64 { return float64(s.Packets) })},
		{"linktape_link_queue_dropped_packets_total", "counter", "Packets that found the bottleneck's queue full.", always(func(s *netsetup.Sample) float64 { return float64(s.Drops) })},
		{"linktape_link_path_dropped_packets_total", "counter", "Packets that the path lost.", always(func(s *netsetup.Sample) float64 { return float64(s.PathDrops) })},
		{"linktape_link_queue_backlog_bytes", "gauge", "Bytes that wait in the bottleneck's queue.", always(func(s *netsetup.Sample) float64 { return float64(s.BacklogBytes) })},
		{"linktape_link_queue_limit_bytes", "gauge", "Bytes that the bottleneck's queue takes.", always(func(s *netsetup.Sample) float64 { return float64(s.LimitBytes) })},
		{"linktape_link_queue_delay_seconds", "gauge", "How long what waits in the queue will take to leave; absent while nothing leaves.", func(s *netsetup.Sample) (float64, bool) {
			if s.QueueDelay == nil {
				return 0, false
			}
			return s.QueueDelay.Seconds(), true
		}},
		{"linktape_link_rate_bytes_per_second", "gauge", "Rate of the bottleneck's bucket in force, in bytes of IP packets; 0: closed.", always(func(s *netsetup.Sample) float64 { return float64(s.Rate) / 8 })},
		{"linktape_link_delay_seconds", "gauge", "One-way delay of the path.", always(func(s *netsetup.Sample) float64 { return s.Delay.Seconds() })},
		{"linktape_link_jitter_seconds", "gauge", "Standard deviation of the path's delay.", always(func(s *netsetup.Sample) float64 { return s.Jitter.Seconds() })},
		{"linktape_link_loss_ratio", "gauge", "Mean loss of the path, 0 to 1.", always(func(s *netsetup.Sample) float64 { return float64(s.Loss) })},
		{"linktape_link_carrier", "gauge", "Whether the link has its carrier.", always(func(s *netsetup.Sample) float64 { return truth(s.Carrier) })},
		{"linktape_link_replaying", "gauge", "Whether a replay changes the run's links.", always(func(s *netsetup.Sample) float64 { return truth(s.Replaying) })},
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// writeMetrics writes every figure of every direction. The names in the labels
// need no escapes (trace.CheckName).
func writeMetrics(w io.Writer, samples []netsetup.Sample) error {
	var b strings.Builder
	for _, m := range metrics() {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		for i := range samples {
			s := &samples[i]
			if v, known := m.value(s); known {
				fmt.Fprintf(&b, "%s{run=%q,link=%q,dir=%q} %s\n", m.name, s.Run, s.Link, s.Dir, strconv.FormatFloat(v, 'g', -1, 64))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
