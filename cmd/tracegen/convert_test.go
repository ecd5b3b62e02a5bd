package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"linktape/internal/cli"
	"linktape/trace"
)

// formatFixtures makes files in foreign formats in this folder.
func formatFixtures(t *testing.T) {
	t.Helper()
	var lumos strings.Builder
	lumos.WriteString("run_num,seq_num,abstractSignalStr,latitude,longitude,movingSpeed,compassDirection,nrStatus,lte_rssi,lte_rsrp,lte_rsrq,lte_rssnr,nr_ssRsrp,nr_ssRsrq,nr_ssSinr,Throughput,mobility_mode,trajectory_direction,tower_id\n")
	for run := 1; run <= 2; run++ {
		for s := 1; s <= 3; s++ {
			fmt.Fprintf(&lumos, "%d,%d,4,44.9,-93.2,0.2,150,CONNECTED,-70,-95,-10,10,-85,-11,20,%d,walking,CW,5\n", run, s, 100*run+s)
		}
	}
	sat := func(from, n int) string {
		out := "time,throughput,speed,latitude,longtitude,area_type\n"
		for i := range n {
			out += fmt.Sprintf("2023-04-04 10:07:%02d CDT,%d,30,41.8,-87.6,urban\n", from+i, from+i)
		}
		return out
	}
	ucc := "Timestamp,Longitude,Latitude,Speed,Operatorname,CellID,NetworkMode,RSRP,RSRQ,SNR,CQI,RSSI,DL_bitrate,UL_bitrate,State,PINGAVG,PINGMIN,PINGMAX,PINGSTDEV,PINGLOSS,CELLHEX,NODEHEX,LACHEX,RAWCELLID,NRxRSRP,NRxRSRQ\n"
	for i, rates := range []string{"8000,4000", "6000,3000", "6000,3000", "-,2000"} {
		ping := "-"
		if i == 1 {
			ping = "80.0"
		}
		ucc += fmt.Sprintf("2020.02.13_13.57.%02d,-8.39,51.88,0,B,11,5G,-101,-15,4.0,11,-103,%s,D,%s,-,-,-,-,B,A4DF,9CBA,10805003,-103,-11\n", 29+i, rates, ping)
	}
	for name, text := range map[string]string{
		"lumos.csv":    lumos.String(),
		"att.csv":      sat(11, 5),
		"starlink.csv": sat(13, 6),
		"ucc.csv":      ucc,
		"probe.csv":    "ts;down;up;rtt;lost\n100;4000;1000;40;0\n101;5000;1500;42;50\n102;6000;2000;41;0\n109;7000;2000;41;0\n",
		"bw.json":      `{"RepeatedBwPatternConfig":{"pattern":[{"StaticBwConfig":{"bw":"12Mbps","duration":"1s"}},{"StaticBwConfig":{"bw":"6Mbps","duration":"1s"}}],"count":0}}` + "\n",
		"delay.json":   `{"StaticDelayConfig":{"delay":"35ms","duration":"1s"}}` + "\n",
		"loss.json":    `{"StaticLossConfig":{"loss":[0.01,0.5],"duration":"2s"}}` + "\n",
		"random.json":  `{"NormalizedBwConfig":{"mean":"12Mbps","std_dev":"1Mbps","duration":"1s"}}` + "\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"export --format csv -o two.csv two.tape",
		"export --format json -o two.json two.tape",
	} {
		if _, stderr, err := call("", strings.Fields(line)...); err != nil {
			t.Fatalf("tracegen %s: %v\n%s", line, err, stderr)
		}
	}
}

func TestConvertLines(t *testing.T) {
	fixtures(t)
	formatFixtures(t)
	runCommandLines(t, []commandLine{
		{"detect", "import --detect a.up rates ucc.csv", "", 0},
		{"detect-json", "import --detect --json bw.json", "", 0},
		{"detect-stdin", "import --detect -", "0 1\n1 2\n", 0},
		{"detect-unknown", "import --detect notes.txt a.up", "", 1},
		{"detect-gzip", "import --detect packed.gz", "", 1},
		{"detect-missing", "import --detect no-such", "", 1},

		{"import-ucc", "import -o i.tape b=ucc.csv b.down.delay=ucc.csv", "", 0},
		{"import-ucc-dry", "import --dry-run --gap outage --gap-after 1500ms b.down=ucc.csv", "", 0},
		{"import-report", "import --dry-run --json --delay 5ms b.down=ucc.csv b.down.delay=ucc.csv", "", 0},
		{"import-report-to-stdout", "import -o - --json b=ucc.csv", "", 2},
		{"import-zone", "import --dry-run --zone +01:00 b.up=ucc.csv", "", 0},
		{"import-bad-zone", "import --dry-run --zone Europe/Dublin b.up=ucc.csv", "", 2},
		{"import-run", "import -o i.tape --run 2 l.down=lumos.csv", "", 0},
		{"import-no-run", "import -o i.tape l.down=lumos.csv", "", 1},
		{"import-bad-run", "import -o i.tape --run 0 l.down=lumos.csv", "", 2},
		{"import-join", "import -o i.tape --join time --gap outage att.down=att.csv starlink.down=starlink.csv", "", 0},
		{"import-join-overlap", "import -o i.tape --join time --fit shortest att.down=att.csv starlink.down=starlink.csv", "", 0},
		{"import-join-none", "import -o i.tape --join time a.up=a.up att.down=att.csv", "", 1},
		{"import-join-loop", "import -o i.tape --join time --fit loop att.down=att.csv starlink.down=starlink.csv", "", 2},
		{"import-bad-join", "import -o i.tape --join place att.down=att.csv", "", 2},
		{"import-roles", "import -o i.tape --fit loop x.up=bw.json x.up.delay=delay.json x.up.loss=loss.json", "", 0},
		{"import-role-only", "import -o i.tape x.up=delay.json", "", 1},
		{"import-role-twice", "import -o i.tape x.up=bw.json x.up.delay=delay.json x.up.delay=loss.json", "", 2},
		{"import-bad-role", "import -o i.tape x.up.jitter=delay.json", "", 2},
		{"import-wrong-role", "import -o i.tape x.up=bw.json x.up.delay=loss.json", "", 1},
		{"import-random", "import -o i.tape x.up=random.json", "", 1},
		{"import-columns", "import -o i.tape --format csv --interval end --gap zero --separator ; --columns time=ts:unix-s,rate.down=down:kbit,rate.up=up:kbit,delay=rtt:ms/2,loss=lost:% lte=probe.csv", "", 0},
		{"import-columns-alone", "import --dry-run --interval start --separator space --columns time=1:s,rate=2:Mbit --format b=mahimahi --fit shortest x.up=rates b.up=b.up", "", 0},
		{"import-not-used", "import --dry-run --interval start --run 3 --delay 5ms --loss 1% att.up=two.csv", "", 0},
		{"import-columns-no-interval", "import -o i.tape --format csv --separator ; --columns time=ts:s,rate=down:kbit lte.up=probe.csv", "", 1},
		{"import-columns-no-direction", "import -o i.tape --format csv --interval end --separator ; --columns time=ts:s,rate=down:kbit lte=probe.csv", "", 2},
		{"import-bad-columns", "import -o i.tape --format csv --columns time=ts lte.up=probe.csv", "", 2},
		{"import-header-only", "import -o i.tape --header yes lte.up=probe.csv", "", 2},
		{"import-scoped", "import -o i.tape --fit loop --scale 2 --scale b=0.5 --clip b.up=1Mbit,1.1Mbit --format a=mahimahi a.up=a.up b.up=b.up", "", 0},
		{"import-bad-scale", "import -o i.tape --scale -1 a.up=a.up", "", 2},
		{"import-bad-clip", "import -o i.tape --clip 5Mbit a.up=a.up", "", 2},
		{"import-bad-gap", "import -o i.tape --gap keep a.up=a.up", "", 2},
		{"import-bad-same", "import -o i.tape --same any a.up=a.up", "", 2},
		{"import-unsorted", "import -o i.tape x.up=-", "2 1\n0 1\n1 5\n", 1},
		{"import-sort", "import -o i.tape --format pensieve --sort x.up=-", "2 1\n0 1\n1 5\n", 0},
		{"import-both-of-one", "import -o i.tape a=a.up", "", 2},
		{"import-whole-csv", "import -o i.tape two.csv", "", 0},
		{"import-whole-json", "import -o i.tape two.json", "", 0},
		{"import-link-of-csv", "import -o i.tape att=two.csv", "", 0},
		{"import-other-link", "import -o i.tape tmobile=two.csv", "", 2},
		{"import-renamed", "import -o i.tape new.up=two.csv", "", 1},

		{"import-opportunities", "import -o o.tape --opportunities --delay 5ms a.up=a.up", "", 0},
		{"info-opportunities", "info o.tape", "", 0},
		{"export-opportunities", "export --format mahimahi -o back.up o.tape a.up", "", 0},
		{"import-opportunities-roles", "import --dry-run --opportunities --interval start --fit loop a.down=a.down a.down.delay=delay.json", "", 0},
		{"import-opportunities-other", "import -o i.tape --opportunities --fit loop a.up=a.up b.up=rates", "", 1},
		{"import-opportunities-step", "import -o i.tape --opportunities --step 1ms a.up=a.up", "", 2},
		{"import-opportunities-clip", "import -o i.tape --opportunities --clip a=1Mbit,2Mbit a.up=a.up", "", 2},

		{"export-csv", "export --format csv -o - two.tape", "", 0},
		{"export-json", "export --format json -o - two.tape sat", "", 0},
		{"export-parquet", "export --format parquet -o e.tape two.tape att", "", 0},
		{"info-parquet", "info --json e.tape", "", 0},
		{"export-netem-trace", "export --format netem-trace -o - two.tape att.up", "", 0},
		{"export-netem-trace-delay", "export --format netem-trace --plain --what delay -o - two.tape sat.up", "", 0},
		{"export-netem-trace-loss", "export --format netem-trace --what loss -o - two.tape att.up", "", 0},
		{"export-bad-what", "export --format netem-trace --what jitter -o - two.tape att.up", "", 2},
		{"export-what-of-csv", "export --format csv --what delay -o - two.tape", "", 2},
		{"export-csv-missing", "export --format csv -o - two.tape verizon", "", 2},
	})
}

// Opportunities come back as the very same file, and every statistic over bins is
// that of the same trace in bins of 1 ms; a picture says what it shows.
func TestConvertOpportunities(t *testing.T) {
	fixtures(t)
	for _, line := range []string{
		"import --opportunities -o o.tape a.up=a.up",
		"import --step 1ms -o ms.tape a.up=a.up",
		"export --format mahimahi -o back.up o.tape a.up",
		"plot -o o.svg o.tape",
		"plot -o ms.svg ms.tape",
	} {
		if _, stderr, err := call("", strings.Fields(line)...); err != nil {
			t.Fatalf("tracegen %s: %v\n%s", line, err, stderr)
		}
	}
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if got, want := read("back.up"), read("a.up"); got != want {
		t.Errorf("the file did not come back: got %.100q, want %.100q", got, want)
	}
	if !strings.Contains(read("o.svg"), "mean rate up 6 Mbit/s · opportunities, as means of 5ms") || strings.Contains(read("ms.svg"), "opportunities") {
		t.Error("the pictures do not say which one shows opportunities")
	}
	stats := func(tape string) trace.Stats {
		stdout, _, err := call("", "info", "--json", tape)
		var in info
		if err := errors.Join(err, json.Unmarshal([]byte(stdout), &in)); err != nil {
			t.Fatal(err)
		}
		return in.Directions[0]
	}
	got, want := stats("o.tape"), stats("ms.tape")
	if got.LongestGap != want.LongestGap+time.Millisecond-time.Microsecond {
		t.Errorf("longest gap: got %v, want that of %v and the rest of a ms", got.LongestGap, want.LongestGap)
	}
	got.LongestGap, got.Steps = want.LongestGap, want.Steps
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	stdout, _, err := call("", "compare", "--json", "o.tape", "ms.tape")
	var c struct {
		Pairs []struct {
			KS          float64 `json:"ks"`
			Wasserstein float64 `json:"wasserstein"`
		} `json:"directions"`
	}
	if err := errors.Join(err, json.Unmarshal([]byte(stdout), &c)); err != nil || len(c.Pairs) != 1 || c.Pairs[0].KS != 0 || c.Pairs[0].Wasserstein != 0 {
		t.Errorf("the comparison with bins of 1 ms: got %v, %+v", err, c)
	}
}

// A whole tape goes through CSV and JSON, files and pipes, and is the same tape.
func TestConvertWholeTape(t *testing.T) {
	fixtures(t)
	sha := func(args ...string) string {
		t.Helper()
		_, stderr, err := call("", args...)
		if err != nil {
			t.Fatalf("tracegen %s: %v\n%s", strings.Join(args, " "), err, stderr)
		}
		_, out, _ := strings.Cut(stderr, "sha256 ")
		return strings.TrimSpace(out)
	}
	want := sha("synth", "-o", "three.tape", "--duration", "30s", "three-carrier-drive")
	for _, format := range []string{"csv", "json"} {
		text, _, err := call("", "export", "--format", format, "-o", "-", "three.tape")
		if err != nil {
			t.Fatal(err)
		}
		_, stderr, err := call(text, "import", "-o", "again.tape", "-")
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		if _, got, _ := strings.Cut(stderr, "sha256 "); strings.TrimSpace(got) != want {
			t.Errorf("%s: got %s, want %s", format, strings.TrimSpace(got), want)
		}
	}
	if _, _, err := call("", "export", "--format", "parquet", "-o", "copy.tape", "three.tape"); err != nil {
		t.Fatal(err)
	}
	a, err := os.ReadFile("three.tape")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("copy.tape")
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Error("a copy in Parquet has other bytes")
	}
	if _, _, err := call("", "export", "--format", "csv", "-o", "three.tape", "three.tape"); cli.Status(err) != cli.ExitUsage {
		t.Errorf("writing onto the input: got %v", err)
	}
}
