package main

import (
	"io"
	"runtime"
	"testing"
	"time"

	"linktape/internal/bare"
	"linktape/internal/cli"
	"linktape/synth"
	"linktape/trace"
)

// benchSteps is about what the scenario makes.
const benchSteps = 10_000_000

// benchScenario has eight directions with the processes of a cellular link. All
// change with every step of 100 ms.
func benchScenario() string {
	text := "scenario: bench\nduration: 125000s\nlinks:\n"
	direction := "{rate: {model: log-ou, mean: 6Mbit, cv: 0.7, tau: 5s, floor: 100kbit}, delay: 40ms, " +
		"jitter: {model: ou, mean: 5ms, cv: 0.3, tau: 2s}, loss: {model: ge, mean_good: 10s, mean_bad: 300ms, loss_bad: 0.5, loss_good: 0.001}}"
	for _, name := range []string{"att", "sat", "tmo", "vzw"} {
		text += "  " + name + ": {queue: 300KB, up: " + direction + ", down: " + direction + "}\n"
	}
	return text
}

// BenchmarkSynth synthesizes ten million steps into a tape as the command does,
// on one processor, and lets the bare Parquet writer write the same rows, ready
// as columns. The two take turns, a row group each, so that both see the same
// machine; "of-bare" is the ratio of their rows per second.
func BenchmarkSynth(b *testing.B) {
	sc, err := synth.Parse("bench.yaml", []byte(benchScenario()), synth.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var steps int64
	var tape, plain time.Duration
	for b.Loop() {
		w, rows := bare.NewWriter(io.Discard), &bare.Rows{}
		timed := func(f func() error) error {
			start := time.Now()
			err := f()
			plain += time.Since(start)
			return err
		}
		aside := time.Duration(0) // what the tape's time is without
		start := time.Now()
		out, err := cli.WriteTape(b.Context(), cli.StdStream, io.Discard, sc.Meta(), func(write func([]trace.Step) error) error {
			return sc.Synthesize(b.Context(), func(batch []trace.Step) error {
				start := time.Now()
				for i := range batch {
					rows.Add(&batch[i])
					if rows.Len() == bare.GroupRows {
						if err := timed(func() error { return w.Write(rows) }); err != nil {
							return err
						}
						rows.Reset()
					}
				}
				aside += time.Since(start)
				return write(batch)
			}, nil)
		})
		tape += time.Since(start) - aside
		if err != nil {
			b.Fatal(err)
		}
		if err := timed(func() error {
			if err := w.Write(rows); err != nil {
				return err
			}
			return w.Close()
		}); err != nil {
			b.Fatal(err)
		}
		if steps += out.Steps; out.Steps < benchSteps*9/10 {
			b.Fatalf("%d steps, not about %d", out.Steps, benchSteps)
		}
	}
	b.ReportMetric(float64(steps)/tape.Seconds()/1e6, "Mrows/s")
	b.ReportMetric(float64(steps)/plain.Seconds()/1e6, "bare-Mrows/s")
	b.ReportMetric(plain.Seconds()/tape.Seconds(), "of-bare")
}
