package convert_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/convert"
)

// probe imports seconds and Mbit/s in CSV.
func probe(t testing.TB, text, interval string, set func(*convert.ImportOptions)) *convert.Result {
	t.Helper()
	o := convert.ImportOptions{LinkDir: attDown, Interval: interval, CSV: convert.CSVOptions{Columns: "time=1:s,rate=2:Mbit"}}
	if set != nil {
		set(&o)
	}
	return mustImport(t, "csv", text, o)
}

func TestGaps(t *testing.T) {
	const text = "0,1\n1,2\n2,3\n9,4\n10,5\n" // 7 s without a sample
	for _, tc := range []struct{ interval, gap, want, warning string }{
		{"end", "", "0s 1Mbit, 1s 2Mbit, 2s 3Mbit, 3s 4Mbit, 10s 5Mbit", "line 4: 1 time without a sample for more than 3s, the longest, of 7s, before this one: hold: the sample stands for all of it"},
		{"end", "hold", "0s 1Mbit, 1s 2Mbit, 2s 3Mbit, 3s 4Mbit, 10s 5Mbit", "line 4: 1 time without a sample for more than 3s, the longest, of 7s, before this one: hold: the sample stands for all of it"},
		{"end", "zero", "0s 1Mbit, 1s 2Mbit, 2s 3Mbit, 3s 0bit, 9s 4Mbit, 10s 5Mbit", "line 4: 1 time without a sample for more than 3s, the longest, of 7s, before this one: zero: nothing is served"},
		{"end", "outage", "0s 1Mbit, 1s 2Mbit, 2s 3Mbit, 3s 0bit [outage] no carrier, 9s 4Mbit, 10s 5Mbit", "line 4: 1 time without a sample for more than 3s, the longest, of 7s, before this one: outage: no carrier"},
		{"start", "zero", "0s 1Mbit, 1s 2Mbit, 2s 3Mbit, 3s 0bit, 9s 4Mbit, 10s 5Mbit", "line 4: 1 time without a sample for more than 3s, the longest, of 7s, before this one: zero: nothing is served"},
	} {
		res := probe(t, text, tc.interval, func(o *convert.ImportOptions) { o.Gap = tc.gap })
		if got := showStates(res.Steps); got != tc.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", tc.interval, tc.gap, got, tc.want)
		}
		if got := fmt.Sprint(res.Warnings); got != "["+tc.warning+"]" {
			t.Errorf("%s %s:\ngot  %s\nwant %s", tc.interval, tc.gap, got, tc.warning)
		}
		if res.Duration != 11*time.Second {
			t.Errorf("%s %s: got %v, want 11s", tc.interval, tc.gap, res.Duration)
		}
		checkPart(t, res)
	}
	res := probe(t, text, "end", func(o *convert.ImportOptions) { o.Gap, o.GapAfter = "zero", 7*time.Second })
	if got, want := show(res.Steps), "0s 1Mbit, 1s 2Mbit, 2s 3Mbit, 3s 4Mbit, 10s 5Mbit"; got != want {
		t.Errorf("gap after 7s:\ngot  %s\nwant %s", got, want)
	}
	// A rate that is missing is a gap, however short.
	res = probe(t, "0,1\n1,-\n2,3\n3,3\n", "start", func(o *convert.ImportOptions) {
		o.Gap = "zero"
		o.CSV.Columns = "time=1:s,rate=2:Mbit,delay=1:ms"
	})
	if got, want := showStates(res.Steps), "0s 1Mbit, 1s 0bit delay 1ms, 2s 3Mbit delay 2ms, 3s 3Mbit delay 3ms"; got != want {
		t.Errorf("missing rate:\ngot  %s\nwant %s", got, want)
	}
	// Pensieve looks for gaps only when asked.
	pens := mustImport(t, "pensieve", "0 1\n1 2\n2 2\n12 4\n", convert.ImportOptions{Gap: "zero"})
	if got, want := show(pens.Steps), "0s 2Mbit, 2s 0bit, 11s 4Mbit"; got != want {
		t.Errorf("pensieve:\ngot  %s\nwant %s", got, want)
	}
}

func TestSameAndSort(t *testing.T) {
	const text = "0,1\n1,2\n1,4\n2,3\n"
	for same, want := range map[string]string{
		"mean": "0s 1Mbit, 1s 3Mbit", "first": "0s 1Mbit, 1s 2Mbit, 2s 3Mbit", "last": "0s 1Mbit, 1s 4Mbit, 2s 3Mbit",
	} {
		res := probe(t, text, "start", func(o *convert.ImportOptions) { o.Same = same })
		if got := show(res.Steps); got != want {
			t.Errorf("%s: got %s, want %s", same, got, want)
		}
		if len(res.Warnings) != 1 || !strings.HasPrefix(res.Warnings[0].String(), "line 3: 1 sample of an instant that has one already") {
			t.Errorf("%s: got %v, want a warning for line 3", same, res.Warnings)
		}
	}
	sorted := func(o *convert.ImportOptions) { o.Sort = true }
	res := probe(t, "2,3\n0,1\n1,2\n", "start", sorted)
	if got, want := show(res.Steps), "0s 1Mbit, 1s 2Mbit, 2s 3Mbit"; got != want {
		t.Errorf("sort: got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(res.Warnings), "[the samples were out of order and are sorted by time]"; got != want {
		t.Errorf("sort: got %s, want %s", got, want)
	}
	if res := probe(t, "0,1\n1,2\n", "start", sorted); len(res.Warnings) != 0 || res.Choices["sort"] != "by time" {
		t.Errorf("sorted file: got %v, %v", res.Warnings, res.Choices)
	}
	m := mustImport(t, "mahimahi", "4\n1\n2\n", convert.ImportOptions{Sort: true, Step: ms})
	if got, want := show(m.Steps), show(mustImport(t, "mahimahi", "1\n2\n4\n", convert.ImportOptions{Step: ms}).Steps); got != want {
		t.Errorf("mahimahi: got %s, want %s", got, want)
	}
	p := mustImport(t, "pensieve", "2 3\n0 1\n1 2\n", convert.ImportOptions{Sort: true})
	if got, want := show(p.Steps), "0s 2Mbit, 1s 3Mbit"; got != want {
		t.Errorf("pensieve: got %s, want %s", got, want)
	}
}

// Scaling keeps ⌊bytes · factor⌋ of the loop, however the rates round.
func TestScale(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 200 {
		text := randomPensieve(rng)
		own := mustImport(t, "pensieve", text, convert.ImportOptions{})
		var bits trace.Service // exact, in 10^-9 bit
		var last trace.Step
		for s := range own.Steps {
			bits.Add(last.Rate, s.At-last.At)
			last = s
		}
		bits.Add(last.Rate, own.Duration-last.At)
		for factor, den := range map[string]int{"0.5": 2, "0.25": 4} {
			scale, err := convert.ParseScale(factor)
			if err != nil {
				t.Fatal(err)
			}
			res := mustImport(t, "pensieve", text, convert.ImportOptions{Scale: scale})
			// ⌊⌊x⌋ / n⌋ = ⌊x / n⌋ for whole n.
			if want := own.Bytes / int64(den); res.Bytes != want || totalBytes(res) != want {
				t.Fatalf("scale %s: got %d bytes, %d in the steps, want %d\n%s", factor, res.Bytes, totalBytes(res), want, text)
			}
			binned, err := convert.Import("pensieve", strings.NewReader(text), "f", convert.ImportOptions{Scale: scale, Step: 100 * ms})
			if err == nil && totalBytes(binned) != own.Bytes/int64(den) {
				t.Fatalf("scale %s, binned: got %d bytes, want %d\n%s", factor, totalBytes(binned), own.Bytes/int64(den), text)
			}
		}
	}
	two, _ := convert.ParseScale("2")
	m := mustImport(t, "mahimahi", "1\n2\n4\n", convert.ImportOptions{Step: ms, Scale: two, Clip: &convert.RateRange{Min: trace.Mbit, Max: 20 * trace.Mbit}})
	if got, want := show(m.Steps), "0s 20Mbit, 2ms 1Mbit, 3ms 20Mbit"; got != want {
		t.Errorf("mahimahi: got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(m.Choices["scale"], " ", m.Choices["clip"], " ", m.Warnings), "2 1Mbit,20Mbit [4 rates were clipped to 1Mbit,20Mbit]"; got != want {
		t.Errorf("mahimahi: got %s, want %s", got, want)
	}
}

func TestSettings(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{fmt.Sprint(convert.ParseScale("0")), `1 scale "0": must be above 0 by at least 1e-9`},
		{fmt.Sprint(convert.ParseScale("-1")), `1 scale "-1": negative: write a factor such as 0.5`},
		{fmt.Sprint(convert.ParseScale("2000000")), `1 scale "2000000": too large: write a factor such as 0.5`},
		{fmt.Sprint(convert.ParseScale("1.5")), "1.5 <nil>"},
		{fmt.Sprint(convert.ParseRateRange("1Mbit")), `0bit,0bit clip "1Mbit": write MIN,MAX, such as 100kbit,50Mbit`},
		{fmt.Sprint(convert.ParseRateRange("2Mbit,1Mbit")), `2Mbit,1Mbit clip "2Mbit,1Mbit": the lower bound is above the upper one`},
		{fmt.Sprint(convert.ParseRateRange("1Mbit,2")), `1Mbit,0bit clip "1Mbit,2": rate "2": write a number with bit, kbit, Mbit or Gbit, such as 6Mbit`},
		{fmt.Sprint(convert.ParseRateRange("0,2Mbit")), "0bit,2Mbit <nil>"},
		{fmt.Sprint(convert.ParseZone("-05:00")), "{-05:00 -5h0m0s} <nil>"},
		{fmt.Sprint(convert.ParseZone("+0130")), "{+0130 1h30m0s} <nil>"},
		{fmt.Sprint(convert.ParseZone("CEST")), "{CEST 2h0m0s} <nil>"},
		{fmt.Sprint(convert.ParseZone("IST")), `{ 0s} time zone "IST" is not known: write an offset such as -05:00, or UTC, CET, CEST, EST, EDT, CST, CDT, MST, MDT, PST or PDT`},
		{fmt.Sprint(convert.ParseZone("+15:00")), `{ 0s} time zone "+15:00" is not known: write an offset such as -05:00, or UTC, CET, CEST, EST, EDT, CST, CDT, MST, MDT, PST or PDT`},
		{fmt.Sprint(convert.ParseGap("keep")), `gap "keep": write hold, zero or outage`},
		{fmt.Sprint(convert.ParseSame("all")), `same "all": write mean, first or last`},
		{fmt.Sprint(convert.ParseRole("jitter")), `role "jitter": write rate, delay or loss`},
	} {
		if tc.got != tc.want {
			t.Errorf("got  %s\nwant %s", tc.got, tc.want)
		}
	}
	for _, o := range []convert.ImportOptions{{Gap: "keep"}, {Same: "all"}, {Role: "x"}, {GapAfter: -1}, {Run: -1}} {
		if _, err := convert.Import("mahimahi", strings.NewReader("1\n"), "f", o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// A mapping that cannot work is refused before a file is read.
func TestColumns(t *testing.T) {
	for _, tc := range []struct{ columns, separator, header, want string }{
		{"time=ts:s,rate=dl:kbit", "", "", ""},
		{"time=ts", "", "", `columns "time=ts": "time=ts" has no unit: write time=ts:UNIT with one of s, ms, us, ns, unix-s, unix-ms, unix-us, unix-ns, clock`},
		{"time=1:s,rate=2:bps", "", "", `columns "time=1:s,rate=2:bps": "rate=2:bps": "bps" is no unit of a rate: write one of bit, kbit, Mbit, Gbit, B, KB, MB, GB`},
		{"time=1:s", "", "", `columns "time=1:s": no column holds a rate, bytes, a delay or a loss`},
		{"rate=2:bit", "", "", `columns "rate=2:bit": no column holds the time: write time=COLUMN:UNIT`},
		{"time=0:s,rate=2:bit", "", "", `columns "time=0:s,rate=2:bit": "time=0:s": columns count from 1`},
		{"time=1:s,rate=2:bit,rate=3:bit", "", "", `columns "time=1:s,rate=2:bit,rate=3:bit": rate is given twice`},
		{"time=1:s,rate=2:bit,bytes=3:B", "", "", `columns "time=1:s,rate=2:bit,bytes=3:B": rate and bytes: give one of them`},
		{"time=1:s,rate=2:bit,end=3:s,duration=4:s", "", "", `columns "time=1:s,rate=2:bit,end=3:s,duration=4:s": end and duration: give one of them`},
		{"time=1:s,delay=2:ms/0", "", "", `columns "time=1:s,delay=2:ms/0": "delay=2:ms/0": write a divisor from 1 to 1000, such as ms/2`},
		{"time=1:s,rate.sideways=2:bit", "", "", `columns "time=1:s,rate.sideways=2:bit": "rate.sideways=2:bit": direction "sideways": write up or down`},
		{"time=1:s,speed=2:m", "", "", `columns "time=1:s,speed=2:m": "speed" is no role: write time, end, duration, rate, bytes, delay, loss or label`},
		{"time:1", "", "", `columns "time:1": "time:1": write ROLE=COLUMN:UNIT, such as time=ts:s or rate=2:Mbit`},
		{"time=:s,rate=2:bit", "", "", `columns "time=:s,rate=2:bit": "time=:s" has no column`},
		{"time=1:s,rate=2:bit", "|", "", `separator "|": write ",", ";", tab or space`},
		{"time=1:s,rate=2:bit", "", "maybe", `header "maybe": write yes or no`},
		{"time=ts:s,rate=2:bit", "", "no", `header no: the column "ts" is given by name: give its number`},
	} {
		err := convert.CSVOptions{Columns: tc.columns, Separator: tc.separator, Header: tc.header}.Check()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

// The delay of one file and the loss of another lie under the rate of a third.
func TestMergeRoles(t *testing.T) {
	rate := mustImport(t, "pensieve", "0 1\n2 2\n4 4\n", convert.ImportOptions{Loss: 0.5})
	delay := mustImport(t, "netem-trace", `{"RepeatedDelayPatternConfig":{"pattern":[{"StaticDelayConfig":{"delay":"10ms","duration":"1s"}},{"StaticDelayConfig":{"delay":"20ms","duration":"1s"}}],"count":0}}`,
		convert.ImportOptions{Role: convert.RoleDelay})
	loss := mustImport(t, "netem-trace", `{"StaticLossConfig":{"loss":[0.1,0.5],"duration":"4s"}}`, convert.ImportOptions{Role: convert.RoleLoss})
	in := func(r *convert.Result) convert.Input { return convert.Input{LinkDir: attUp, Result: r} }
	meta, steps, err := convert.Merge([]convert.Input{in(loss), in(delay), in(rate)}, convert.MergeOptions{Fit: convert.FitLoop})
	if err != nil {
		t.Fatal(err)
	}
	want := "0s 2Mbit delay 10ms chain 10%/50%, 1s 2Mbit delay 20ms chain 10%/50%, 2s 4Mbit delay 10ms chain 10%/50%, 3s 4Mbit delay 20ms chain 10%/50%"
	if got := showStates(steps); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var roles []string
	for _, s := range meta.Sources {
		roles = append(roles, s.Choices["role"]+" "+s.Choices["fit"])
	}
	if got, want := strings.Join(roles, ", "), " , delay looped from 2s to 4s, loss "; got != want {
		t.Errorf("sources: got %q, want %q", got, want)
	}
	c, err := trace.NewChecker(meta)
	if err != nil {
		t.Fatal(err)
	}
	for s := range steps {
		c.Step(&s)
	}
	if err := c.Finish(); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		inputs []convert.Input
		want   string
	}{
		{[]convert.Input{in(delay)}, "att.up has no rate: file holds a delay only; give a file with the rate as att.up, and this one as att.up.delay"},
		{[]convert.Input{in(rate), in(delay), in(delay)}, "att.up is given twice: file and file"},
	} {
		if _, _, err := convert.Merge(tc.inputs, convert.MergeOptions{Fit: convert.FitLoop}); err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
	if _, err := convert.Import("pensieve", strings.NewReader("0 1\n1 2\n"), "f", convert.ImportOptions{Role: convert.RoleDelay}); err == nil || err.Error() != "f: no sample with a delay: nothing to import" {
		t.Errorf("a delay of pensieve: got %v", err)
	}
}

// sat imports lines of Satellite-vs-Cellular: seconds after 10:07:00 CDT and Mbit/s.
func sat(t *testing.T, link, zone string, samples ...int) convert.Input {
	t.Helper()
	text := satHeader
	for i := 0; i < len(samples); i += 2 {
		text += fmt.Sprintf("2023-04-04 10:07:%02d%s,%d,30,41.8,-87.6,\n", samples[i], zone, samples[i+1])
	}
	ld := trace.LinkDir{Link: link, Dir: trace.Down}
	return convert.Input{LinkDir: ld, Result: mustImport(t, "sat-vs-cell", text, convert.ImportOptions{LinkDir: ld})}
}

func TestJoin(t *testing.T) {
	a := sat(t, "att", " CDT", 11, 1, 12, 2, 13, 3)         // 10 to 13
	s := sat(t, "starlink", " CDT", 13, 10, 14, 20, 15, 30) // 12 to 15
	for _, tc := range []struct {
		name string
		opts convert.JoinOptions
		want string
	}{
		{"hold", convert.JoinOptions{}, "att.down 0s 1Mbit, 1s 2Mbit, 2s 3Mbit; starlink.down 0s 10Mbit, 3s 20Mbit, 4s 30Mbit"},
		{"zero", convert.JoinOptions{Gap: "zero"}, "att.down 0s 1Mbit, 1s 2Mbit, 2s 3Mbit, 3s 0bit; starlink.down 0s 0bit, 2s 10Mbit, 3s 20Mbit, 4s 30Mbit"},
		{"outage", convert.JoinOptions{Gap: "outage"}, "att.down 0s 1Mbit, 1s 2Mbit, 2s 3Mbit, 3s 0bit [outage] no carrier; starlink.down 0s 0bit [outage] no carrier, 2s 10Mbit, 3s 20Mbit, 4s 30Mbit"},
		{"overlap", convert.JoinOptions{Overlap: true}, "att.down 0s 3Mbit; starlink.down 0s 10Mbit"},
	} {
		out, err := convert.Join([]convert.Input{a, s}, tc.opts)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var got []string
		for _, in := range out {
			got = append(got, in.LinkDir.String()+" "+showStates(in.Steps))
			if in.Bytes != totalBytes(in.Result) {
				t.Errorf("%s: %s: got %d bytes, %d in the steps", tc.name, in.LinkDir, in.Bytes, totalBytes(in.Result))
			}
		}
		if got := strings.Join(got, "; "); got != tc.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.name, got, tc.want)
		}
		if _, _, err := convert.Merge(out, convert.MergeOptions{}); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if a.Duration != 3*time.Second || a.Choices["join"] != "" {
		t.Error("Join changed its input")
	}
	out, err := convert.Join([]convert.Input{a, s}, convert.JoinOptions{Gap: "zero"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := out[1].Choices["join"], "on time, from 2023-04-04T15:07:10Z to 2023-04-04T15:07:15Z; 2s before the first sample: zero"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	other := sat(t, "late", " CDT", 40, 1, 41, 2)
	zone := sat(t, "other", " EDT", 11, 1, 12, 2, 13, 3)
	local := sat(t, "local", "", 11, 1, 12, 2)
	none := convert.Input{LinkDir: attUp, Result: mustImport(t, "pensieve", "0 1\n1 2\n", convert.ImportOptions{})}
	between := sat(t, "between", " CDT", 14, 1, 15, 1, 16, 1, 17, 1)
	for _, tc := range []struct {
		inputs []convert.Input
		opts   convert.JoinOptions
		want   string
	}{
		{[]convert.Input{a, s, other}, convert.JoinOptions{}, "join late.down on time: file, from 2023-04-04T15:07:39Z to 2023-04-04T15:07:41Z, was recorded when no other one was"},
		{[]convert.Input{a, s, zone}, convert.JoinOptions{}, "join other.down on time: file, from 2023-04-04T14:07:10Z to 2023-04-04T14:07:13Z, was recorded when no other one was"},
		{[]convert.Input{a, local}, convert.JoinOptions{}, "join local.down on time: the times of file have no zone and those of others have one: give it with --zone"},
		{[]convert.Input{a, none}, convert.JoinOptions{}, "join att.up on time: file (pensieve) holds no absolute times"},
		{[]convert.Input{a, s, between}, convert.JoinOptions{Overlap: true}, "join on time: there is no time that all have: att.down 2023-04-04T15:07:10Z to 2023-04-04T15:07:13Z, starlink.down 2023-04-04T15:07:12Z to 2023-04-04T15:07:15Z, between.down 2023-04-04T15:07:13Z to 2023-04-04T15:07:17Z"},
		{[]convert.Input{a, s}, convert.JoinOptions{Gap: "keep"}, `gap "keep": write hold, zero or outage`},
	} {
		if _, err := convert.Join(tc.inputs, tc.opts); err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
}

// Any binning of a table with changing delays, losses and labels passes the
// checker and keeps the bytes.
func TestTableBins(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 100 {
		var b strings.Builder
		at := 0
		for range 2 + rng.IntN(40) {
			fmt.Fprintf(&b, "%d,%d,%d,%d,%c\n", at, rng.IntN(5000), rng.IntN(300), rng.IntN(100), 'a'+rune(rng.IntN(3)))
			at += 1 + rng.IntN(3000)
		}
		opts := convert.ImportOptions{LinkDir: attUp, Interval: []string{"start", "end"}[rng.IntN(2)], Gap: []string{"", "zero", "outage"}[rng.IntN(3)],
			CSV: convert.CSVOptions{Columns: "time=1:ms,rate=2:kbit,delay=3:ms/2,loss=4:%,label=5"}}
		own := mustImport(t, "csv", b.String(), opts)
		if totalBytes(own) != own.Bytes {
			t.Fatalf("got %d bytes in the steps, %d in the summary\n%s", totalBytes(own), own.Bytes, b.String())
		}
		mean := meanDelay(own)
		for _, step := range []time.Duration{7 * ms, 100 * ms, time.Second, time.Hour} {
			opts.Step = step
			res := mustImport(t, "csv", b.String(), opts)
			if got := totalBytes(res); got != own.Bytes || res.Duration != own.Duration {
				t.Fatalf("step %v: got %d bytes in %v, want %d in %v\n%s", step, got, res.Duration, own.Bytes, own.Duration, b.String())
			}
			if d := meanDelay(res) - mean; d > 1 || d < -1 {
				t.Fatalf("step %v: got a mean delay of %v, want %v\n%s", step, meanDelay(res), mean, b.String())
			}
			check(t, res)
		}
	}
}

// meanDelay is the mean over time.
func meanDelay(res *convert.Result) time.Duration {
	var sum trace.Service
	var last trace.Step
	for s := range res.Steps {
		sum.Add(trace.BitRate(last.Delay), s.At-last.At)
		last = s
	}
	sum.Add(trace.BitRate(last.Delay), res.Duration-last.At)
	return time.Duration(sum.Mean(res.Duration))
}
