package main

import "testing"

func TestWatchCommandLines(t *testing.T) {
	fixtures(t)
	runCommandLines(t, []commandLine{
		{"watch-help", "watch --help", 0},
		{"watch-nothing", "watch -o a.tape", 2},
		{"watch-both", "watch -o a.tape --run x --if lo", 2},
		{"watch-bad-links", "watch -o a.tape --if A=lo --if a=lo --if b=lo --ping c=10.0.0.1 --ping a=there", 2},
		{"watch-bad-step", "watch -o a.tape --if lo --step 1s", 2},
		{"watch-bad-duration", "watch -o a.tape --if lo --duration 1ms", 2},
		{"watch-no-output", "watch --if lo", 2},
		{"watch-argument", "watch -o a.tape --if lo lo", 2},
		{"watch-outputs", "watch -o - --json --if lo", 2},
	})
}
