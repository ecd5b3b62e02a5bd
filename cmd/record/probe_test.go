package main

import "testing"

func TestProbeCommandLines(t *testing.T) {
	fixtures(t)
	runCommandLines(t, []commandLine{
		{"probe-help", "probe --help", 0},
		{"probe-unknown", "probe frob", 2},
		{"probe-serve-help", "probe serve --help", 0},
		{"probe-serve-bad-address", "probe serve --listen here", 2},
		{"probe-run-help", "probe run --help", 0},
		{"probe-run-nothing", "probe run -o a.tape", 2},
		{"probe-run-bad-flags", "probe run -o a.tape --link a --link b=lo:127.0.0.1 --link b=127.0.0.1 --load fast --max 0 --offset soon --step 1h", 2},
		{"probe-run-bad-values", "probe run -o a.tape --link b=lo:127.0.0.1 --bytes 3 --echo 1us --timeout 0s --duration 1ms", 2},
		{"probe-run-no-output", "probe run --link b=lo:127.0.0.1", 2},
		{"probe-run-stdout", "probe run -o - --link b=lo:127.0.0.1", 2},
	})
}
