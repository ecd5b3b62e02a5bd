package convert_test

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"linktape/trace"
	"linktape/trace/convert"
)

var attDown = trace.LinkDir{Link: "att", Dir: trace.Down}

// showStates writes steps with all that is set: "0s 1Mbit delay 5ms loss 2% chain
// 1%/50% [5G] down".
func showStates(steps iter.Seq[trace.Step]) string {
	var out []string
	for s := range steps {
		text := fmt.Sprintf("%v %v", s.At, s.Rate)
		if s.Delay != 0 {
			text += fmt.Sprintf(" delay %v", s.Delay)
		}
		if s.Loss != 0 {
			text += fmt.Sprintf(" loss %v", s.Loss)
		}
		if s.GE.Enabled() {
			text += fmt.Sprintf(" chain %v/%v", s.GE.P, s.GE.R)
		}
		if s.Label != "" {
			text += " [" + s.Label + "]"
		}
		if !s.Carrier {
			text += " no carrier"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// Headers of the CSV formats, from their authors' files.
const (
	ucc5GHeader = "Timestamp,Longitude,Latitude,Speed,Operatorname,CellID,NetworkMode,RSRP,RSRQ,SNR,CQI,RSSI,DL_bitrate,UL_bitrate,State,PINGAVG,PINGMIN,PINGMAX,PINGSTDEV,PINGLOSS,CELLHEX,NODEHEX,LACHEX,RAWCELLID,NRxRSRP,NRxRSRQ\n"
	ucc4GHeader = "Timestamp,Longitude,Latitude,Speed,Operatorname,CellID,NetworkMode,RSRP,RSRQ,SNR,CQI,RSSI,DL_bitrate,UL_bitrate,State,NRxRSRP,NRxRSRQ,ServingCell_Lon,ServingCell_Lat,ServingCell_Distance\n"
	lumosHeader = "run_num,seq_num,abstractSignalStr,latitude,longitude,movingSpeed,compassDirection,nrStatus,lte_rssi,lte_rsrp,lte_rsrq,lte_rssnr,nr_ssRsrp,nr_ssRsrq,nr_ssSinr,Throughput,mobility_mode,trajectory_direction,tower_id\n"
	satHeader   = "time,throughput,speed,latitude,longtitude,area_type\n"
	iperfHeader = "timestamp_start,timestamp_end,server,ip_protocol,transport_protocol,download,upload,priority,average_speed,download_mbps,upload_mbps\n"
	netemHeader = "start_time_secs,bandwidth_bps,duration_secs\n"
	tapeHeader  = "t_ns,link,dir,rate_bit_s,delay_ns,jitter_ns,loss,ge_p,ge_r,ge_loss_bad,ge_loss_good,duplicate,corrupt,reorder,carrier,label,duration_ns\n"
)

// ucc5GLine is a line of a UCC 5G log.
func ucc5GLine(clock, mode, dl, ul, state, ping string) string {
	return fmt.Sprintf("2020.02.13_%s,-8.39,51.88,0,B,11,%s,-101,-15,4.0,11,-103,%s,%s,%s,%s,-,-,-,-,B,A4DF,9CBA,10805003,-103,-11\n", clock, mode, dl, ul, state, ping)
}

func ucc4GLine(clock, dl, ul string) string {
	return fmt.Sprintf("2017.11.30_%s,-8.4,51.8,0,A,2,LTE,-95,-13,6.0,12,-80,%s,%s,D,-,-,-,-,-\n", clock, dl, ul)
}

func lumosLine(run, seq, rate, status string) string {
	return fmt.Sprintf("%s,%s,4,44.9,-93.2,0.2,150,%s,-70,-95,-10,10,-85,-11,20,%s,walking,CW,5\n", run, seq, status, rate)
}

func iperfLine(from, to, down, up, downM, upM string) string {
	return fmt.Sprintf("%s,%s,fra,ipv4,tcp,%s,%s,1,50,%s,%s\n", from, to, down, up, downM, upM)
}

var (
	ucc5GText = ucc5GHeader +
		ucc5GLine("13.57.29", "5G", "8000", "100", "D", "-") +
		ucc5GLine("13.57.30", "5G", "4000", "200", "D", "80.0") +
		ucc5GLine("13.57.30", "5G", "2000", "200", "D", "-") +
		ucc5GLine("13.57.31", "LTE", "-", "200", "D", "-") +
		ucc5GLine("13.57.32", "LTE", "1000", "50", "I", "40.5")
	satText = satHeader +
		"2023-04-04 10:07:13 CDT,10,30,41.8,-87.6,urban\n" +
		"2023-04-04 10:07:14 CDT,20.5,31,41.8,-87.6,urban\n" +
		"2023-04-04 10:07:15 CDT,0,32,41.8,-87.6,rural\n"
	lightText     = "0 20 0 1 2\n1000 25.5 0 0 1 3\n2500 30 0\n"
	saturatorText = "Config: a=1,b=2\nSEQ_NUM\tSEND_TIMESTAMP\tRECV_TIMESTAMP\tPACKET_SIZE\n" +
		"1\t1600000000000000000\t1600000000010000000\t1500\n2\t1600000000001000000\t1600000000050000000\t1500\n4\t1600000000300000000\t1600000000320000000\t1000\n"
	hsdpaText = "1289406399 549893 59.92 10.66 0 1000\n1289406400 550893 59.92 10.66 125000 1000\n1289406401 552143 59.92 10.66 250001 1250\n"
	ghentText = "1453121790686 54169 51.03 3.73 62500 0999\n1453121791686 55169 51.03 3.73 125000 1000\n"
	netemText = `{"RepeatedBwPatternConfig":{"pattern":[{"StaticBwConfig":{"bw":"12Mbps","duration":"1s"}},{"TraceBwConfig":{"pattern":[["1ms",["2Mbps","4Mbps"]],["2ms",["1Mbps"]]]}}],"count":0}}`
	netemTOML = `# the same
[RepeatedBwPatternConfig]
count = 0
[[RepeatedBwPatternConfig.pattern]]
StaticBwConfig = {bw = "12Mbps", duration = "1s"}
[[RepeatedBwPatternConfig.pattern]]
[RepeatedBwPatternConfig.pattern.TraceBwConfig]
pattern = [["1ms", ["2Mbps", "4Mbps"]], ["2ms", ["1Mbps"]]]
`
	netemCSVText = netemHeader + "0,1000000,0.5\n0.5,2000000,1\n"
	iperfText    = iperfHeader +
		iperfLine("2023-01-01 00:00:00 UTC", "2023-01-01 00:00:01 UTC", "8000000", "", "8.0", "") +
		iperfLine("2023-01-01 00:00:01 UTC", "2023-01-01 00:00:02 UTC", "16000000", "1000000", "16", "1") +
		iperfLine("2023-01-01 00:00:09 UTC", "2023-01-01 00:00:10 UTC", "24000000", "1000000", "24", "1")
	lumosText = lumosHeader + lumosLine("1", "1", "100", "CONNECTED") + lumosLine("1", "2", "200.5", "CONNECTED") + lumosLine("1", "3", "0", "NOT_RESTRICTED")
	tapeText  = tapeHeader +
		"0,att,down,20000000,35000000,1000000,0,0.01,0.25,1,0,0,0,0,true,good,2000000000\n" +
		"0,att,up,6000000,35000000,0,0.001,0,0,0,0,0.1,0.2,0.3,true,\"a, b\",2000000000\n" +
		"500000000,att,up,3000000,35000000,0,0.001,0,0,0,0,0,0,0,false,outage,2000000000\n"
	probeText = "ts;dl;rtt;loss;mode\n100;1000;40;0;a\n101;2000;41;50;b\n102;3000;-;100;b\n"
	probeCSV  = convert.CSVOptions{Columns: "time=ts:s,rate=dl:kbit/s,delay=rtt:ms/2,loss=loss:%,label=mode", Separator: ";"}
)

func TestFormats(t *testing.T) {
	down := convert.ImportOptions{LinkDir: attDown}
	up := convert.ImportOptions{LinkDir: attUp}
	with := func(o convert.ImportOptions, set func(*convert.ImportOptions)) convert.ImportOptions {
		set(&o)
		return o
	}
	for _, tc := range []struct {
		name, format, text string
		opts               convert.ImportOptions
		want               string
		duration           time.Duration
		bytes              int64
		start              string
	}{
		{"ucc-5g down", "ucc-5g", ucc5GText, down, "0s 8Mbit [5G], 1s 3Mbit [5G], 2s 3Mbit [LTE], 3s 1Mbit [LTE]", 4 * time.Second, 1_875_000, "2020-02-13T13:57:28Z"},
		{"ucc-5g up", "ucc-5g", ucc5GText, up, "0s 100kbit [5G], 1s 200kbit [5G], 2s 200kbit [LTE], 3s 50kbit [LTE]", 4 * time.Second, 68_750, "2020-02-13T13:57:28Z"},
		{"ucc-5g start", "ucc-5g", ucc5GText, with(down, func(o *convert.ImportOptions) { o.Interval = "start" }), "0s 8Mbit [5G], 1s 3Mbit [5G], 2s 3Mbit [LTE], 3s 1Mbit [LTE]", 4 * time.Second, 1_875_000, "2020-02-13T13:57:29Z"},
		{"ucc-5g pings", "ucc-5g", ucc5GText, with(down, func(o *convert.ImportOptions) { o.Role = convert.RoleDelay }), "0s 0bit delay 40ms [5G], 2s 0bit delay 40ms [LTE], 3s 0bit delay 20.25ms [LTE]", 4 * time.Second, 0, "2020-02-13T13:57:28Z"},
		{"ucc-5g last of a second", "ucc-5g", ucc5GText, with(down, func(o *convert.ImportOptions) { o.Same = "last" }), "0s 8Mbit [5G], 1s 2Mbit [5G], 2s 2Mbit [LTE], 3s 1Mbit [LTE]", 4 * time.Second, 1_625_000, "2020-02-13T13:57:28Z"},
		{"ucc-5g zone", "ucc-5g", ucc5GText, with(down, func(o *convert.ImportOptions) { o.Zone = &convert.Zone{Name: "+01:00", Offset: time.Hour} }), "0s 8Mbit [5G], 1s 3Mbit [5G], 2s 3Mbit [LTE], 3s 1Mbit [LTE]", 4 * time.Second, 1_875_000, "2020-02-13T12:57:28Z"},
		{"ucc-4g", "ucc-4g", ucc4GHeader + ucc4GLine("16.48.26", "800", "8") + ucc4GLine("16.48.27", "1600", "8") + ucc4GLine("16.48.28", "2400", "8"), down, "0s 800kbit [LTE], 1s 1.6Mbit [LTE], 2s 2.4Mbit [LTE]", 3 * time.Second, 600_000, "2017-11-30T16:48:25Z"},
		{"lumos5g", "lumos5g", lumosText, down, "0s 100Mbit [CONNECTED], 1s 200.5Mbit [CONNECTED], 2s 0bit [NOT_RESTRICTED]", 3 * time.Second, 37_562_500, ""},
		{"lumos5g run", "lumos5g", lumosText + lumosLine("2", "1", "1", "X") + lumosLine("2", "2", "2", "X"), with(down, func(o *convert.ImportOptions) { o.Run = 2 }), "0s 1Mbit [X], 1s 2Mbit [X]", 2 * time.Second, 375_000, ""},
		{"sat-vs-cell", "sat-vs-cell", satText, down, "0s 10Mbit [urban], 1s 20.5Mbit [urban], 2s 0bit [rural]", 3 * time.Second, 3_812_500, "2023-04-04T15:07:12Z"},
		{"starlink down", "starlink-iperf", iperfText, down, "0s 8Mbit, 1s 16Mbit, 9s 24Mbit", 10 * time.Second, 1_000_000 + 16_000_000 + 3_000_000, "2023-01-01T00:00:00Z"},
		{"starlink gap", "starlink-iperf", iperfText, with(down, func(o *convert.ImportOptions) { o.Gap = "outage" }), "0s 8Mbit, 1s 16Mbit, 2s 0bit [outage] no carrier, 9s 24Mbit", 10 * time.Second, 6_000_000, "2023-01-01T00:00:00Z"},
		{"starlink up", "starlink-iperf", iperfText, with(up, func(o *convert.ImportOptions) { o.Gap = "zero" }), "0s 0bit, 1s 1Mbit, 2s 0bit, 9s 1Mbit", 10 * time.Second, 250_000, "2023-01-01T00:00:00Z"},
		{"hsdpa", "hsdpa", hsdpaText, down, "0s 0bit, 1s 1Mbit, 2s 1600.007kbit", 3250 * ms, 375_001, "2010-11-10T16:26:38Z"},
		{"ghent", "ghent-4g", ghentText, down, "0s 500.501kbit, 999ms 1Mbit", 1999 * ms, 187_500, "2016-01-18T12:56:29.687Z"},
		{"cellreplay", "cellreplay", lightText, down, "0s 12Mbit delay 20ms, 1s 12Mbit delay 25.5ms, 2.5s 12Mbit delay 30ms", 4 * time.Second, 6_000_000, ""},
		{"cellreplay delay", "cellreplay", lightText, with(down, func(o *convert.ImportOptions) { o.Role = convert.RoleDelay }), "0s 0bit delay 20ms, 1s 0bit delay 25.5ms, 2.5s 0bit delay 30ms", 4 * time.Second, 0, ""},
		{"saturator", "saturator", saturatorText, down, "0s 240kbit, 100ms 0bit, 300ms 80kbit", 400 * ms, 4000, "2020-09-13T12:26:40.01Z"},
		{"saturator delay", "saturator", saturatorText, with(down, func(o *convert.ImportOptions) { o.Role = convert.RoleDelay }), "0s 0bit delay 10ms, 300ms 0bit delay 20ms", 400 * ms, 0, "2020-09-13T12:26:40.01Z"},
		{"saturator step", "saturator", saturatorText, with(down, func(o *convert.ImportOptions) { o.Step = 200 * ms }), "0s 120kbit, 200ms 40kbit", 400 * ms, 4000, "2020-09-13T12:26:40.01Z"},
		{"netem-trace", "netem-trace", netemText, down, "0s 12Mbit, 1s 2Mbit, 1.001s 4Mbit, 1.002s 1Mbit", 1004 * ms, 1_501_000, ""},
		{"netem-trace toml", "netem-trace", netemTOML, down, "0s 12Mbit, 1s 2Mbit, 1.001s 4Mbit, 1.002s 1Mbit", 1004 * ms, 1_501_000, ""},
		{"netem-trace toml numbers", "netem-trace", "RepeatedBwPatternConfig.count = 0x1\nRepeatedBwPatternConfig.pattern = [{StaticBwConfig = {bw = {gbps = 1, bps = 5}, duration.secs = 0, duration.nanos = 8}}, {TraceBwConfig = [[1.5, [2.0, 4]]]}]\n", down, "0s 1000000.005kbit, 8ns 2Mbit, 1.500008ms 4Mbit", 3*ms + 8, 1126, ""},
		{"netem-trace numbers", "netem-trace", `{"RepeatedBwPatternConfig":{"pattern":[{"StaticBwConfig":{"bw":{"gbps":1,"bps":5},"duration":{"secs":0,"nanos":8}}},{"TraceBwConfig":[[1.5,[2.0,4]]]}],"count":2}}`, down, "0s 1000000.005kbit, 8ns 2Mbit, 1.500008ms 4Mbit, 3.000008ms 1000000.005kbit, 3.000016ms 2Mbit, 4.500016ms 4Mbit", 6*ms + 16, 2252, ""},
		{"netem-trace sawtooth", "netem-trace", `{"SawtoothBwConfig":{"bottom":"12Mbps","top":"16Mbps","duration":"1s","step":"100ms","interval":"500ms","duty_ratio":0.8}}`, down,
			"0s 12Mbit, 100ms 13Mbit, 200ms 14Mbit, 300ms 15Mbit, 400ms 16Mbit, 500ms 12Mbit, 600ms 13Mbit, 700ms 14Mbit, 800ms 15Mbit, 900ms 16Mbit", time.Second, 1_750_000, ""},
		{"netem-trace without spread", "netem-trace", `{"NormalizedBwConfig":{"mean":"12Mbps","std_dev":"0bps","upper_bound":"10Mbps","duration":"1s","seed":42}}`, down, "0s 10Mbit", time.Second, 1_250_000, ""},
		{"netem-trace delay", "netem-trace", `{"RepeatedDelayPatternConfig":{"pattern":[{"StaticDelayConfig":{"delay":"10ms","duration":"1s 500ms"}},{"StaticDelayConfig":{"delay":"1s","duration":"1s"}}],"count":1}}`, with(down, func(o *convert.ImportOptions) { o.Role = convert.RoleDelay }), "0s 0bit delay 10ms, 1.5s 0bit delay 1s", 2500 * ms, 0, ""},
		{"netem-trace loss", "netem-trace", `{"RepeatedLossPatternConfig":{"pattern":[{"StaticLossConfig":{"loss":[0.1,0.25],"duration":"1s"}},{"StaticLossConfig":{"loss":[0.2,0.2],"duration":"1s"}},{"StaticLossConfig":{"loss":[],"duration":"1s"}}],"count":0}}`, down, "0s 0bit chain 10%/75%, 1s 0bit loss 20%, 2s 0bit", 3 * time.Second, 0, ""},
		{"netem-trace-csv", "netem-trace-csv", netemCSVText, down, "0s 1Mbit, 500ms 2Mbit", 1500 * ms, 312_500, ""},
		{"tape", "csv", tapeText, up, `0s 6Mbit delay 35ms loss 0.1% [a, b], 500ms 3Mbit delay 35ms loss 0.1% [outage] no carrier`, 2 * time.Second, 375_000, ""},
		{"tape binned", "csv", tapeText, with(up, func(o *convert.ImportOptions) { o.Step = time.Second }), `0s 3Mbit delay 35ms loss 0.1% [a, b], 1s 0bit delay 35ms loss 0.1% [outage] no carrier`, 2 * time.Second, 375_000, ""},
		{"rate of a tape", "csv", tapeText, with(up, func(o *convert.ImportOptions) { o.Role, o.Delay = convert.RoleRate, 5*ms }), "0s 6Mbit delay 5ms [a, b], 500ms 3Mbit delay 5ms [outage] no carrier", 2 * time.Second, 375_000, ""},
		{"delay of a tape", "csv", tapeText, with(down, func(o *convert.ImportOptions) { o.Role = convert.RoleDelay }), "0s 0bit delay 35ms [good]", 2 * time.Second, 0, ""},
		{"loss of a tape", "csv", tapeText, with(down, func(o *convert.ImportOptions) { o.Role = convert.RoleLoss }), "0s 0bit chain 1%/25% [good]", 2 * time.Second, 0, ""},
		{"any csv", "csv", probeText, with(down, func(o *convert.ImportOptions) { o.CSV, o.Interval = probeCSV, "end" }), "0s 1Mbit delay 20ms [a], 1s 2Mbit delay 20.5ms loss 50% [b], 2s 3Mbit delay 20.5ms loss 100% [b]", 3 * time.Second, 750_000, ""},
		{"any csv, bins", "csv", probeText, with(down, func(o *convert.ImportOptions) { o.CSV, o.Interval, o.Step = probeCSV, "end", 2*time.Second }), "0s 1.5Mbit delay 20.25ms loss 25% [a], 2s 3Mbit delay 20.5ms loss 100% [b]", 3 * time.Second, 750_000, ""},
		{"csv by number", "csv", "0 1.5\n2 3\n", with(down, func(o *convert.ImportOptions) {
			o.CSV, o.Interval = convert.CSVOptions{Columns: "time=1:ms,rate=2:MB", Separator: "space"}, "start"
		}), "0s 12Mbit, 2ms 24Mbit", 4 * ms, 9000, ""},
		{"csv bytes", "csv", "1,0\n2,1001\n3,1001\n", with(down, func(o *convert.ImportOptions) {
			o.CSV, o.Interval = convert.CSVOptions{Columns: "time=1:s,bytes=2:B"}, "end"
		}), "0s 0bit, 1s 8.008kbit", 3 * time.Second, 2002, ""},
		{"csv with durations", "csv", "t,d,r\n0,1,8\n1,2,16\n", with(down, func(o *convert.ImportOptions) {
			o.CSV = convert.CSVOptions{Columns: "time=t:s,duration=d:s,rate=r:Mbit"}
		}), "0s 8Mbit, 1s 16Mbit", 3 * time.Second, 5_000_000, ""},
		{"csv with ends", "csv", "2023-01-01T00:00:00Z,2023-01-01T00:00:01.5Z,8\n2023-01-01T01:00:01.5+01:00,2023-01-01 00:00:02 UTC,16\n", with(down, func(o *convert.ImportOptions) {
			o.CSV = convert.CSVOptions{Columns: "time=1:clock,end=2:clock,rate=3:bit"}
		}), "0s 8bit, 1.5s 16bit", 2 * time.Second, 2, "2023-01-01T00:00:00Z"},
		{"csv of both directions", "csv", "0,1,2\n1,1,2\n", with(up, func(o *convert.ImportOptions) {
			o.CSV, o.Interval = convert.CSVOptions{Columns: "time=1:unix-s,rate.up=2:Mbit,rate.down=3:Mbit"}, "start"
		}), "0s 1Mbit", 2 * time.Second, 250_000, "1970-01-01T00:00:00Z"},
		{"csv with a quoted header", "csv", "\"the, time\",rate\r\n\"0\",1\r\n1,1\r\n\r\n", with(up, func(o *convert.ImportOptions) {
			o.CSV, o.Interval = convert.CSVOptions{Columns: "time=1:s,rate=rate:Mbit"}, "start"
		}), "0s 1Mbit", 2 * time.Second, 250_000, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := mustImport(t, tc.format, tc.text, tc.opts)
			if got := showStates(res.Steps); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if res.Duration != tc.duration {
				t.Errorf("duration: got %v, want %v", res.Duration, tc.duration)
			}
			if res.Bytes != tc.bytes || totalBytes(res) != tc.bytes {
				t.Errorf("bytes: got %d in the summary and %d in the steps, want %d", res.Bytes, totalBytes(res), tc.bytes)
			}
			start := ""
			if !res.Start.IsZero() {
				start = res.Start.Format(time.RFC3339Nano)
			}
			if start != tc.start {
				t.Errorf("start: got %s, want %s", start, tc.start)
			}
			checkPart(t, res)
		})
	}
}

// checkPart runs the steps of a result, which may lack a rate, through the
// checker of package trace.
func checkPart(t testing.TB, res *convert.Result) {
	t.Helper()
	whole := *res
	whole.HasRate = true
	check(t, &whole)
}

// Each format is told from the others by its content, and only it.
func TestDetectFormats(t *testing.T) {
	for format, text := range map[string]string{
		"ucc-5g": ucc5GText, "ucc-4g": ucc4GHeader + ucc4GLine("16.48.26", "800", "8"), "lumos5g": lumosText, "sat-vs-cell": satText,
		"starlink-iperf": iperfText, "hsdpa": hsdpaText, "ghent-4g": ghentText, "cellreplay": lightText, "saturator": saturatorText,
		"netem-trace": netemText, "netem-trace-csv": netemCSVText, "csv": tapeText, "mahimahi": "1\n2\n", "pensieve": "0 1\n1 2\n",
		"json": `{"format":"linktape","version":1,`,
	} {
		matches := 0
		for _, c := range convert.Candidates([]byte(text)) {
			if c.Why == "" {
				t.Errorf("%s: no reason given for %s", format, c.Format)
			}
			if c.Match {
				matches++
				if c.Format != format {
					t.Errorf("%s is taken for %s: %s", format, c.Format, c.Why)
				}
			}
		}
		if matches != 1 {
			t.Errorf("%s: got %d matches, want 1", format, matches)
		}
	}
	if n := len(convert.Importers()); n != 15 {
		t.Errorf("there are %d importers: add the new one's file here", n)
	}
}

// Files that hold several directions say which.
func TestList(t *testing.T) {
	for _, tc := range []struct {
		format, text, want string
		csv                convert.CSVOptions
	}{
		{"ucc-5g", ucc5GText, "[.down .up]", convert.CSVOptions{}},
		{"starlink-iperf", iperfText, "[.down .up]", convert.CSVOptions{}},
		{"csv", tapeText, "[att.down att.up]", convert.CSVOptions{}},
		{"csv", "", "[.down .up]", convert.CSVOptions{Columns: "time=1:s,rate.up=2:bit,rate.down=3:bit"}},
		{"csv", "", "[]", convert.CSVOptions{Columns: "time=1:s,rate=2:bit"}},
	} {
		im, err := convert.FindImporter(tc.format)
		if err != nil {
			t.Fatal(err)
		}
		got, err := im.(convert.Lister).List(strings.NewReader(tc.text), "f", convert.ImportOptions{CSV: tc.csv})
		if err != nil || fmt.Sprint(got) != tc.want {
			t.Errorf("%s: got %v, %v, want %s", tc.format, got, err, tc.want)
		}
	}
}
