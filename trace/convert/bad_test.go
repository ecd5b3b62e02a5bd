package convert_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"linktape/trace"
	"linktape/trace/convert"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// badFile is a malformed trace. What its import says is in
// testdata/bad/NAME.txt.
type badFile struct {
	name, format, text string
	set                func(*convert.ImportOptions)
}

func badFiles() []badFile {
	columns := func(columns string) func(*convert.ImportOptions) {
		return func(o *convert.ImportOptions) {
			o.Interval, o.CSV.Columns = "start", columns
		}
	}
	line := func(text string, n int, replace string) string { // replaces line n, from 1
		lines := strings.SplitAfter(text, "\n")
		lines[n-1] = replace
		return strings.Join(lines, "")
	}
	const rates = "time=1:s,rate=2:Mbit"
	static := func(body string) string { return `{"StaticBwConfig":` + body + "}\n" }
	step := func(old, new string) string { return strings.Replace(tapeText, old, new, 1) }
	jsonTape := func(old, new string) string { return strings.Replace(jsonTapeText, old, new, 1) }
	return []badFile{
		{"mahimahi-empty", "mahimahi", "", nil},
		{"mahimahi-crlf", "mahimahi", "1\r\n2\r\n", nil},
		{"mahimahi-decreasing", "mahimahi", "5\n4\n3\n", nil},
		{"mahimahi-only-zero", "mahimahi", "0\n0\n", nil},
		{"mahimahi-fraction", "mahimahi", "1.5\n2\n", nil},
		{"mahimahi-many-faults", "mahimahi", strings.Repeat("x\n", 30), nil},
		{"pensieve-header", "pensieve", "time rate\n0 1\n1 2\n", nil},
		{"pensieve-not-finite", "pensieve", "0 1\n1 nan\n2 inf\n", nil},
		{"pensieve-comma", "pensieve", "0,1\n1,2\n", nil},
		{"pensieve-equal-times", "pensieve", "0 1\n1 2\n1 3\n", nil},

		{"netem-trace-not-json", "netem-trace", "{\n\"StaticBwConfig\": {\n  \"bw\": 12Mbps\n}}\n", nil},
		{"netem-trace-toml-date", "netem-trace", "[StaticBwConfig]\nbw = \"12Mbps\"\nduration = 2020-01-01\n", nil},
		{"netem-trace-toml-twice", "netem-trace", "StaticBwConfig = {bw = \"12Mbps\", duration = \"1s\", bw = \"3Mbps\"}\n", nil},
		{"netem-trace-toml-unknown-key", "netem-trace", "[StaticBwConfig]\nbw = \"12Mbps\"\ndur = \"1s\"\n", nil},
		{"netem-trace-toml-number", "netem-trace", "[StaticLossConfig]\nduration = \"1s\"\nloss = [0.1, inf]\n", nil},
		{"netem-trace-toml-cut", "netem-trace", "[[RepeatedBwPatternConfig.pattern]]\nStaticBwConfig = {bw = \n", nil},
		{"netem-trace-cut", "netem-trace", "{\"RepeatedBwPatternConfig\":{\"pattern\":[\n", nil},
		{"netem-trace-empty", "netem-trace", "", nil},
		{"netem-trace-list", "netem-trace", "[1, 2]\n", nil},
		{"netem-trace-random", "netem-trace", "{\"NormalizedBwConfig\":{\n\"mean\":\"12Mbps\",\"std_dev\":\"1Mbps\",\"duration\":\"1s\"}}\n", nil},
		{"netem-trace-random-sawtooth", "netem-trace", "{\"SawtoothBwConfig\":{\"bottom\":\"1Mbps\",\"top\":\"2Mbps\",\"interval\":\"1s\",\"duty_ratio\":0.5,\"duration\":\"1s\",\"std_dev\":{\"gbps\":0,\"bps\":5}}}\n", nil},
		{"netem-trace-per-packet", "netem-trace", "{\"UniformDelayPerPacketConfig\":{}}\n", nil},
		{"netem-trace-unknown", "netem-trace", "{\"DuplicateConfig\":{}}\n", nil},
		{"netem-trace-mixed", "netem-trace", "{\"RepeatedBwPatternConfig\":{\"pattern\":[\n{\"StaticBwConfig\":{\"bw\":\"1Mbps\",\"duration\":\"1s\"}},\n{\"StaticDelayConfig\":{\"delay\":\"1ms\",\"duration\":\"1s\"}}],\"count\":1}}\n", nil},
		{"netem-trace-no-unit", "netem-trace", static(`{"bw":"12","duration":"1s"}`), nil},
		{"netem-trace-bad-unit", "netem-trace", static(`{"bw":"12MBps","duration":"1ts"}`), nil},
		{"netem-trace-number", "netem-trace", static(`{"bw":12,"duration":1.5}`), nil},
		{"netem-trace-left-out", "netem-trace", static(`{"bw":"12Mbps"}`), nil},
		{"netem-trace-unknown-key", "netem-trace", static(`{"bw":"12Mbps","length":"1s","duration":"1s"}`), nil},
		{"netem-trace-bad-pair", "netem-trace", static(`{"bw":{"gbps":0,"bps":1000000000},"duration":{"secs":1}}`), nil},
		{"netem-trace-no-time", "netem-trace", static(`{"bw":"12Mbps","duration":"0s"}`), nil},
		{"netem-trace-inner-forever", "netem-trace", "{\"RepeatedBwPatternConfig\":{\"count\":1,\"pattern\":[\n{\"RepeatedBwPatternConfig\":{\"count\":0,\"pattern\":[" + strings.TrimSpace(static(`{"bw":"1Mbps","duration":"1s"}`)) + "]}},\n" + strings.TrimSpace(static(`{"bw":"1Mbps","duration":"1s"}`)) + "]}}\n", nil},
		{"netem-trace-too-many", "netem-trace", "{\"RepeatedBwPatternConfig\":{\"count\":6000000,\"pattern\":[" + strings.TrimSpace(static(`{"bw":"1Mbps","duration":"1ms"}`)) + "]}}\n", nil},
		{"netem-trace-three-losses", "netem-trace", "{\"StaticLossConfig\":{\"loss\":[0.1,0.2,0.3],\"duration\":\"1s\"}}\n", nil},
		{"netem-trace-no-probability", "netem-trace", "{\"StaticLossConfig\":{\"loss\":[1.5],\"duration\":\"1s\"}}\n", nil},
		{"netem-trace-second-document", "netem-trace", static(`{"bw":"1Mbps","duration":"1s"}`) + "{}\n", nil},
		{"netem-trace-csv-unknown-column", "netem-trace-csv", "start,bandwidth,duration\n0,1,1\n", nil},
		{"netem-trace-csv-overlap", "netem-trace-csv", netemHeader + "0,1000,2\n1,2000,1\n", nil},
		{"netem-trace-csv-missing", "netem-trace-csv", netemHeader + "0,,2\n", nil},

		{"cellreplay-two-lines", "cellreplay", "0 20 0 1\n10 20 0 1\n", nil},
		{"cellreplay-two-columns", "cellreplay", lightText + "3000 20\n", nil},
		{"cellreplay-offsets", "cellreplay", "0 20 1 2\n10 20 0 3 2\n20 -5 0 1\n", nil},
		{"cellreplay-decreasing", "cellreplay", "10 20 0 1\n0 20 0 1\n20 20 0 1\n", nil},
		{"cellreplay-long-delay", "cellreplay", lightText + "3000 99999999 0 1\n", nil},
		{"saturator-three-columns", "saturator", saturatorText + "5\t1\t2\n", nil},
		{"saturator-decreasing", "saturator", saturatorText + "5\t1600000000000000000\t1600000000000000001\t1500\n", nil},
		{"saturator-no-packets", "saturator", "Config: a=1\n", nil},
		{"saturator-fraction", "saturator", "1\t1600000000.5\t1600000000000000001\t1500\n", nil},

		{"hsdpa-milliseconds", "hsdpa", ghentText, nil},
		{"ghent-4g-seconds", "ghent-4g", hsdpaText, nil},
		{"hsdpa-five-columns", "hsdpa", hsdpaText + "1289406402 553143 59.92 10.66 5\n", nil},
		{"hsdpa-decreasing", "hsdpa", hsdpaText + "1289406402 551143 59.92 10.66 5 1000\n", nil},
		{"hsdpa-negative", "hsdpa", hsdpaText + "1289406402 553143 59.92 10.66 -5 1000\n", nil},
		{"hsdpa-interval-start", "hsdpa", hsdpaText, func(o *convert.ImportOptions) { o.Interval = "start" }},
		{"hsdpa-equal-times", "hsdpa", hsdpaText + "1289406401 552143 59.92 10.66 5 0\n", nil},

		{"ucc-5g-header", "ucc-5g", ucc4GHeader + ucc4GLine("16.48.26", "800", "8"), nil},
		{"ucc-5g-blank", "ucc-5g", " \n\n", nil},
		{"ucc-5g-short-line", "ucc-5g", ucc5GText + "2020.02.13_13.57.33,-8.39\n", nil},
		{"ucc-5g-timestamps", "ucc-5g", ucc5GHeader + ucc5GLine("25.00.00", "5G", "1", "1", "D", "-") + ucc5GLine("13:57", "5G", "1", "1", "D", "-"), nil},
		{"ucc-5g-decreasing", "ucc-5g", ucc5GText + ucc5GLine("13.57.00", "5G", "1", "1", "D", "-"), nil},
		{"ucc-5g-rate", "ucc-5g", line(ucc5GText, 2, ucc5GLine("13.57.29", "5G", "many", "-1", "D", "-")), nil},
		{"ucc-5g-no-sample", "ucc-5g", ucc5GHeader, nil},
		{"ucc-5g-one-sample", "ucc-5g", ucc5GHeader + ucc5GLine("13.57.29", "5G", "1", "1", "D", "-"), nil},
		{"ucc-4g-no-pings", "ucc-4g", ucc4GHeader + ucc4GLine("16.48.26", "800", "8"), func(o *convert.ImportOptions) { o.Role = convert.RoleDelay }},

		{"lumos5g-runs", "lumos5g", lumosText + lumosLine("7", "1", "1", "X"), nil},
		{"lumos5g-no-such-run", "lumos5g", lumosText, func(o *convert.ImportOptions) { o.Run = 9 }},
		{"lumos5g-header", "lumos5g", "run_num,seq_num\n1,1\n", nil},
		{"lumos5g-repeated-second", "lumos5g", lumosText + lumosLine("1", "3", "1", "X"), nil},
		{"lumos5g-no-number", "lumos5g", lumosText + lumosLine("", "4", "fast", "X"), nil},

		{"starlink-iperf-backwards", "starlink-iperf", iperfHeader + iperfLine("2023-01-01 00:00:01 UTC", "2023-01-01 00:00:00 UTC", "1", "1", "1", "1"), nil},
		{"starlink-iperf-time", "starlink-iperf", iperfHeader + iperfLine("now", "later", "1", "1", "1", "1"), nil},
		{"starlink-iperf-zones", "starlink-iperf", iperfHeader + iperfLine("2023-01-01 00:00:00 UTC", "2023-01-01 00:00:01", "1", "1", "1", "1"), nil},
		{"starlink-iperf-no-upload", "starlink-iperf", iperfHeader + iperfLine("1", "2", "5", "", "", ""), func(o *convert.ImportOptions) { o.LinkDir = attUp }},
		{"sat-vs-cell-header", "sat-vs-cell", "time,rate\n2023-04-04 10:07:13 CDT,1\n", nil},
		{"sat-vs-cell-zone", "sat-vs-cell", satHeader + "2023-04-04 10:07:13 XYZ,10,30,41.8,-87.6,urban\n", nil},
		{"sat-vs-cell-some-zones", "sat-vs-cell", satText + "2023-04-04 10:07:16,10,30,41.8,-87.6,urban\n", nil},
		{"sat-vs-cell-date", "sat-vs-cell", satHeader + "2023-02-30 10:07:13 CDT,10,30,41.8,-87.6,urban\n", nil},

		{"csv-not-a-tape", "csv", "time,rate\n0,1\n", nil},
		{"csv-no-interval", "csv", "0,1\n1,2\n", func(o *convert.ImportOptions) { o.CSV.Columns = rates }},
		{"csv-no-such-column", "csv", "time,rate\n0,1\n1,2\n", columns("time=ts:s,rate=rate:Mbit")},
		{"csv-column-twice", "csv", "time,rate,rate\n0,1,2\n1,2,2\n", columns("time=time:s,rate=rate:Mbit")},
		{"csv-too-few-columns", "csv", "0,1\n1,2\n", columns("time=1:s,rate=3:Mbit")},
		{"csv-ragged", "csv", "0,1\n1,2,3\n2\n3,4\n", columns(rates)},
		{"csv-header-line", "csv", "time,rate\n0,1\n1,2\n", columns(rates)},
		{"csv-empty-line", "csv", "0,1\n\n1,2\n", columns(rates)},
		{"csv-quote", "csv", "0,\"1\n1,\"2\"x\n", columns(rates)},
		{"csv-decreasing", "csv", "1,1\n0,2\n", columns(rates)},
		{"csv-equal-times", "csv", "0,1\n0,2\n1,2\n", columns(rates)},
		{"csv-numbers", "csv", "0,1\n1,-2\n2,0x5\n3,1e9\n", columns(rates)},
		{"csv-loss", "csv", "0,101\n1,x\n2,-1\n", columns("time=1:s,loss=2:%")},
		{"csv-duration", "csv", "0,0,1\n1,,1\n", columns("time=1:s,duration=2:s,rate=3:bit")},
		{"csv-other-direction", "csv", "0,1\n", columns("time=1:s,rate.up=2:bit")},
		{"csv-long-line", "csv", "0,1" + strings.Repeat(" ", 5000) + "\n1,2\n", columns(rates)},
		{"csv-one-sample", "csv", "0,1\n", columns(rates)},

		{"csv-tape-values", "csv", step("6000000,35000000", "-1,99999999999999"), nil},
		{"csv-tape-probability", "csv", step("0.001", "1.001"), nil},
		{"csv-tape-link", "csv", step("att,up", "AT&T,sideways"), nil},
		{"csv-tape-carrier", "csv", step("true,good", "1,good"), nil},
		{"csv-tape-durations", "csv", step("outage,2000000000", "outage,3000000000"), nil},
		{"csv-tape-order", "csv", step("500000000,att,up", "0,att,up"), nil},
		{"csv-tape-late", "csv", step("500000000,att,up", "2000000000,att,up"), nil},
		{"csv-tape-first-step", "csv", tapeHeader + "5,att,down,1,0,0,0,0,0,0,0,0,0,0,true,,10\n", nil},
		{"csv-tape-chain", "csv", step("0,0.01,0.25,1,0", "0.5,0.01,0.25,1,0"), nil},
		{"csv-tape-no-steps", "csv", tapeHeader, nil},
		{"csv-tape-other-link", "csv", tapeText, func(o *convert.ImportOptions) { o.LinkDir.Link = "verizon" }},

		{"json-no-object", "json", "[]\n", nil},
		{"json-other-format", "json", jsonTape(`"linktape"`, `"tape"`), nil},
		{"json-version", "json", jsonTape(`"version":1`, `"version":2`), nil},
		{"json-cut", "json", jsonTapeText[:len(jsonTapeText)-20], nil},
		{"json-unknown-key", "json", jsonTape(`"generator"`, `"author"`), nil},
		{"json-step-key", "json", jsonTape(`"jitter_ns":0,`, ""), nil},
		{"json-step-unknown-key", "json", jsonTape(`"jitter_ns":0,`, `"jitter_ns":0,"speed":1,`), nil},
		{"json-step-kind", "json", jsonTape(`"rate_bit_s":6000000`, `"rate_bit_s":"6Mbit"`), nil},
		{"json-step-values", "json", jsonTape(`"rate_bit_s":6000000`, `"rate_bit_s":-1`), nil},
		{"json-no-steps", "json", `{"format":"linktape","version":1,"duration_ns":5,"links":[{"name":"a","up":true,"down":false}],"steps":[]}`, nil},
		{"json-steps-first", "json", `{"format":"linktape","version":1,"steps":[]}`, nil},
		{"json-links", "json", jsonTape(`"name":"att"`, `"name":"AT&T"`), nil},
		{"json-second-document", "json", jsonTapeText + "{}", nil},
	}
}

const jsonTapeText = `{"format":"linktape","version":1,"duration_ns":2000000000,"generator":"import 1",
"links":[{"name":"att","up":true,"down":false,"queue":{"kind":"droptail","limit_bytes":64000}}],
"steps":[
{"t_ns":0,"link":"att","dir":"up","rate_bit_s":6000000,"delay_ns":35000000,"jitter_ns":0,"loss":0.001,"ge_p":0,"ge_r":0,"ge_loss_bad":0,"ge_loss_good":0,"duplicate":0,"corrupt":0,"reorder":0,"carrier":true,"label":"good"},
{"t_ns":500000000,"link":"att","dir":"up","rate_bit_s":0,"delay_ns":35000000,"jitter_ns":0,"loss":0.001,"ge_p":0,"ge_r":0,"ge_loss_bad":0,"ge_loss_good":0,"duplicate":0,"corrupt":0,"reorder":0,"carrier":true,"label":"bad"}
]}
`

// Each malformed trace is refused with exactly this message.
func TestBad(t *testing.T) {
	files := badFiles()
	names := map[string]bool{}
	formats := map[string]bool{}
	for _, f := range files {
		names[f.name+".txt"], formats[f.format] = true, true
		t.Run(f.name, func(t *testing.T) {
			opts := convert.ImportOptions{LinkDir: attDown}
			if f.format == "json" {
				opts.LinkDir = attUp
			}
			if f.set != nil {
				f.set(&opts)
			}
			_, err := convert.Import(f.format, strings.NewReader(f.text), "bad", opts)
			if err == nil {
				t.Fatal("accepted")
			}
			checkBad(t, f.name+".txt", err.Error()+"\n")
		})
	}
	for _, im := range convert.Importers() {
		if !formats[im.Name()] {
			t.Errorf("%s has no malformed file", im.Name())
		}
	}
	entries, err := os.ReadDir("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !names[e.Name()] {
			t.Errorf("testdata/bad/%s is of no file: remove it", e.Name())
		}
	}
	if len(entries) < 50 {
		t.Errorf("%d malformed files, want 50 or more", len(entries))
	}
}

func checkBad(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "bad", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// The queue of a tape in JSON comes back.
func TestJSONQueue(t *testing.T) {
	res := mustImport(t, "json", jsonTapeText, convert.ImportOptions{LinkDir: trace.LinkDir{Link: "other", Dir: trace.Up}})
	if res.Queue == nil || *res.Queue != (trace.Queue{Kind: trace.DropTail, LimitBytes: 64000}) {
		t.Errorf("got %v, want 64000 bytes", res.Queue)
	}
	if got, want := showStates(res.Steps), "0s 6Mbit delay 35ms loss 0.1% [good], 500ms 0bit delay 35ms loss 0.1% [bad]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := res.Choices["direction"], "att.up, the only one of the file"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	meta, _, err := convert.Merge([]convert.Input{{LinkDir: attUp, Result: res}}, convert.MergeOptions{})
	if err != nil || meta.Links[0].Queue == nil || meta.Links[0].Queue.LimitBytes != 64000 {
		t.Errorf("got %+v, %v, want the queue", meta.Links, err)
	}
}
