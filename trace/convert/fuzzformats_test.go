package convert_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"linktape/trace/convert"
)

// fuzzImport feeds an importer with any bytes: no panic; what is accepted passes
// the checker of package trace and keeps its bytes with any step, gap policy and
// role.
func fuzzImport(f *testing.F, format string, seeds []string, set func(*convert.ImportOptions)) {
	for i, s := range seeds {
		for k := range 4 {
			f.Add([]byte(s), int64(k)*int64(70*time.Millisecond), uint8(i+16*k))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, step int64, choice uint8) {
		if bytes.Count(data, []byte("\n")) > maxFuzzLines {
			t.Skip("more lines than one input may take")
		}
		opts := convert.ImportOptions{LinkDir: attDown, Gap: []string{"", "hold", "zero", "outage"}[choice&3]}
		if choice&4 != 0 {
			opts.LinkDir = attUp
		}
		if choice&8 != 0 {
			opts.Sort, opts.Same = true, []string{"mean", "first", "last", ""}[choice>>6]
		}
		opts.Role = []convert.Role{convert.RoleAll, convert.RoleAll, convert.RoleDelay, convert.RoleRate}[choice>>4&3]
		if set != nil {
			set(&opts)
		}
		own, err := convert.Import(format, bytes.NewReader(data), "f", opts)
		if err != nil {
			return
		}
		checkPart(t, own)
		if got := totalBytes(own); got != own.Bytes {
			t.Fatalf("got %d bytes in the steps, %d in the summary", got, own.Bytes)
		}
		opts.Step = time.Duration(step)
		res, err := convert.Import(format, bytes.NewReader(data), "f", opts)
		if err != nil || step == 0 {
			return // such as a step that asks for too high a rate
		}
		checkPart(t, res)
		if got := totalBytes(res); got != res.Bytes {
			t.Fatalf("step %v: got %d bytes in the steps, %d in the summary", opts.Step, got, res.Bytes)
		}
		if format == "saturator" || opts.CSV.Columns == "" && (format == "csv" || format == "json") {
			return // bins of its own; a tape without carrier serves nothing in bins
		}
		if res.Bytes != own.Bytes || res.Duration != own.Duration {
			t.Fatalf("step %v: got %d bytes in %v, want %d in %v", opts.Step, res.Bytes, res.Duration, own.Bytes, own.Duration)
		}
	})
}

func FuzzNetemTrace(f *testing.F) {
	seeds := []string{netemText, netemTOML}
	for _, b := range badFiles() {
		if b.format == "netem-trace" {
			seeds = append(seeds, b.text)
		}
	}
	fuzzImport(f, "netem-trace", append(seeds,
		`{"SawtoothBwConfig":{"bottom":"12Mbps","top":"16Mbps","duration":"1s","step":"100ms","interval":"500ms","duty_ratio":0.8}}`,
		`{"RepeatedLossPatternConfig":{"pattern":[{"StaticLossConfig":{"loss":[0.1,0.25],"duration":"1s"}}],"count":3}}`,
		`{"StaticDelayConfig":{"delay":{"secs":0,"nanos":5},"duration":"1s"}}`), nil)
}

func FuzzNetemTraceCSV(f *testing.F) {
	fuzzImport(f, "netem-trace-csv", []string{netemCSVText, netemHeader + "0,1e3,0.333333333\n0.333333334,5,1\n9,1,1\n"}, nil)
}

func FuzzCellReplay(f *testing.F) { fuzzImport(f, "cellreplay", []string{lightText}, nil) }

func FuzzSaturator(f *testing.F) { fuzzImport(f, "saturator", []string{saturatorText}, nil) }

func FuzzHSDPA(f *testing.F) { fuzzImport(f, "hsdpa", []string{hsdpaText}, nil) }

func FuzzGhent4G(f *testing.F) { fuzzImport(f, "ghent-4g", []string{ghentText}, nil) }

func FuzzUCC5G(f *testing.F) { fuzzImport(f, "ucc-5g", []string{ucc5GText}, nil) }

func FuzzUCC4G(f *testing.F) {
	fuzzImport(f, "ucc-4g", []string{ucc4GHeader + ucc4GLine("16.48.26", "800", "8") + ucc4GLine("16.48.29", "-", "8") + ucc4GLine("16.48.49", "1", "8")}, nil)
}

func FuzzLumos5G(f *testing.F) {
	fuzzImport(f, "lumos5g", []string{lumosText, lumosText + lumosLine("2", "1", "1", "X")}, nil)
}

func FuzzSatVsCell(f *testing.F) {
	fuzzImport(f, "sat-vs-cell", []string{satText, strings.ReplaceAll(satText, " CDT", "")}, nil)
}

func FuzzStarlinkIperf(f *testing.F) { fuzzImport(f, "starlink-iperf", []string{iperfText}, nil) }

func FuzzCSV(f *testing.F) {
	fuzzImport(f, "csv", []string{"0,1,2,3,a\n1,2,3,4,b\n", "0,1,-,,\n5,\"2\",1,100,\"a,b\"\n\n"}, func(o *convert.ImportOptions) {
		o.Interval, o.CSV.Columns = "start", "time=1:s,rate=2:KB,delay=3:ms/2,loss=4:%,label=5"
	})
}

func FuzzCSVBytes(f *testing.F) {
	fuzzImport(f, "csv", []string{"2023-01-01 00:00:00;2023-01-01 00:00:01;100\n2023-01-01 00:00:01;2023-01-01 00:00:03.5;7\n"}, func(o *convert.ImportOptions) {
		o.CSV = convert.CSVOptions{Columns: "time=1:clock,end=2:clock,bytes=3:B", Separator: ";"}
	})
}

// FuzzColumns: no panic for any mapping over any table.
func FuzzColumns(f *testing.F) {
	f.Add("time=1:s,rate=2:Mbit", ",", "", "0,1\n1,2\n")
	f.Add("time=ts:unix-ms,end=3:ms,rate.up=dl:GB,loss=4:1", "space", "yes", "ts dl e l\n1 2 3 0\n")
	f.Add("time=1:clock,duration=2:ns,bytes=3:MB,delay.down=4:us/7,label=5", "tab", "no", "2023-01-01T00:00:00Z\t5\t6\t7\ta\n")
	f.Fuzz(func(t *testing.T, columns, separator, header, text string) {
		opts := convert.ImportOptions{LinkDir: attUp, Interval: "end", CSV: convert.CSVOptions{Columns: columns, Separator: separator, Header: header}}
		res, err := convert.Import("csv", strings.NewReader(text), "f", opts)
		if err == nil {
			checkPart(t, res)
		}
	})
}

// fuzzTape: what is accepted as a tape comes back from both forms.
func fuzzTape(f *testing.F, format string, seeds []string) {
	for _, s := range seeds {
		f.Add([]byte(s), int64(0))
		f.Add([]byte(s), int64(300*time.Millisecond))
	}
	f.Fuzz(func(t *testing.T, data []byte, step int64) {
		own, err := convert.Import(format, bytes.NewReader(data), "f", convert.ImportOptions{LinkDir: attUp})
		if err != nil {
			return
		}
		check(t, own)
		for _, to := range []string{"csv", "json"} {
			out, e := export(t, to, direction(own), convert.ExportOptions{})
			again := mustImport(t, to, out, convert.ImportOptions{LinkDir: attUp})
			if got, want := hashOf(t, again), hashOf(t, own); got != want || e.Duration != own.Duration {
				t.Fatalf("%s gave another tape back:\n%.300s\n%.300s", to, showStates(again.Steps), showStates(own.Steps))
			}
		}
		binned, err := convert.Import(format, bytes.NewReader(data), "f", convert.ImportOptions{LinkDir: attUp, Step: time.Duration(step)})
		if err == nil {
			check(t, binned)
		}
	})
}

func FuzzCSVTape(f *testing.F) { fuzzTape(f, "csv", []string{tapeText}) }

func FuzzJSONTape(f *testing.F) { fuzzTape(f, "json", []string{jsonTapeText}) }

// FuzzDetect: no panic, and a reason for each format.
func FuzzDetect(f *testing.F) {
	for _, s := range []string{"1\n", "0 1\n1 2\n", netemText, tapeText, jsonTapeText, ucc5GText, satText, hsdpaText, ghentText, lightText, saturatorText, iperfText} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, c := range convert.Candidates(data) {
			if c.Why == "" {
				t.Fatalf("no reason for %s", c.Format)
			}
		}
	})
}
