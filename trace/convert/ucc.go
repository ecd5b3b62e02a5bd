package convert

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"linktape/trace"
)

// ucc reads the logs of the Irish data sets of University College Cork: 5G
// (Raca et al., MMSys 2020) and 4G (Raca et al., MMSys 2018), recorded with
// G-NetTrack: one CSV line about every second, with the rates of both
// directions.
//
// DL_bitrate and UL_bitrate are in kbit/s by G-NetTrack's convention; the data
// sets do not say. They are what a transfer achieved, not what the link could
// have carried: where nothing was sent they are 0.
type ucc struct{ uccSet }

// uccSet is one of the data sets.
type uccSet struct {
	name, what, header string
}

var (
	ucc5G = uccSet{"ucc-5g", "UCC Irish 5G (G-NetTrack)", "Timestamp,Longitude,Latitude,Speed,Operatorname,CellID,NetworkMode,RSRP,RSRQ,SNR,CQI,RSSI,DL_bitrate,UL_bitrate,State,PINGAVG,PINGMIN,PINGMAX,PINGSTDEV,PINGLOSS,CELLHEX,NODEHEX,LACHEX,RAWCELLID,NRxRSRP,NRxRSRQ"}
	ucc4G = uccSet{"ucc-4g", "UCC Irish 4G (G-NetTrack)", "Timestamp,Longitude,Latitude,Speed,Operatorname,CellID,NetworkMode,RSRP,RSRQ,SNR,CQI,RSSI,DL_bitrate,UL_bitrate,State,NRxRSRP,NRxRSRQ,ServingCell_Lon,ServingCell_Lat,ServingCell_Distance"}
)

func (u ucc) Name() string { return u.name }

func (u ucc) Description() string {
	if u.name == ucc5G.name {
		return "UCC Irish 5G data set: CSV, rates of both directions in kbit/s, pings"
	}
	return "UCC Irish 4G data set: CSV, rates of both directions in kbit/s"
}

func (u ucc) Sniff(head []byte) (string, error) { return sniffHeader(head, u.header, u.what) }

// List says that a file holds both directions.
func (u ucc) List(io.Reader, string, ImportOptions) ([]trace.LinkDir, error) {
	return []trace.LinkDir{{Dir: trace.Down}, {Dir: trace.Up}}, nil
}

// Import takes the rate of opts.LinkDir's direction, with the network mode as
// label. With RoleDelay it takes half of PINGAVG. A sample stands for the time
// since the one before (IntervalEnd); lines of the same second, which the logger
// writes when the cell or a ping is reported, are joined to their mean.
func (u ucc) Import(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	t := newTable(name, opts)
	t.interval, t.same, t.clock, t.local = IntervalEnd, SameMean, true, opts.Zone == nil
	f := newFields(t, r, ',')
	columns := strings.Split(u.header, ",")
	at, ok := f.header(columns...)
	if !ok {
		if err := f.finish(name); err != nil {
			return nil, err
		}
		return nil, t.faults.err()
	}
	own, other := "DL_bitrate", "UL_bitrate"
	if opts.LinkDir.Dir == trace.Up {
		own, other = other, own
	}
	ping, pinged := at["PINGAVG"]
	if opts.Role == RoleDelay && !pinged {
		return nil, fmt.Errorf("%s: the file holds no delay: the format %s has no pings", name, u.name)
	}
	var idle, idleAt, sum, otherSum int64
	var pingRates []row // of the lines with a ping
	for f.next() {
		t.res.Lines++
		n := f.in.n
		ns, _, err := parseClock(f.cells[at["Timestamp"]], opts.Zone)
		if err != nil {
			t.fault(n, "timestamp %s: %v", quote(f.cells[at["Timestamp"]]), clockFault(err, "YYYY.MM.DD_HH.MM.SS"))
			continue
		}
		x := newRow(n, ns)
		const most = int64(trace.MaxRate)
		var ok1, ok2, ok3 bool
		x.rate, ok1 = t.number(n, own, f.cells[at[own]], 3, most, "kbit/s, such as 4200")
		o, ok2 := t.number(n, other, f.cells[at[other]], 3, most, "kbit/s, such as 4200")
		ok3 = true
		if pinged && opts.Role == RoleDelay {
			x.delay, ok3 = t.number(n, "PINGAVG", f.cells[ping], 6, 2*int64(trace.MaxDelay), "ms, such as 42.5")
			if x.delay != missing {
				x.delay = (x.delay + 1) / 2
			}
		}
		if !ok1 || !ok2 || !ok3 {
			continue
		}
		x.label = label(f.cells[at["NetworkMode"]])
		if bytes.Equal(f.cells[at["State"]], []byte("I")) {
			if idle++; idle == 1 {
				idleAt = n
			}
		}
		if x.rate != missing {
			sum += min(x.rate, most)
		}
		if pinged && x.rate != missing && !isMissing(f.cells[ping]) {
			pingRates = append(pingRates, x)
		}
		if o != missing {
			otherSum += min(o, most)
		}
		t.add(x)
	}
	if err := f.finish(name); err != nil {
		return nil, err
	}
	if opts.Role == RoleDelay {
		t.choose("delay", "half of PINGAVG")
	} else {
		t.choose("column", "%s", own)
		t.choose("unit", "kbit/s, by G-NetTrack's convention")
		t.choose("meaning", "what a transfer achieved: the link may have carried more")
		if idle > 0 {
			t.warn(idleAt, "%s in state I, this one first: nothing was transferred", samples(idle))
		}
		low := slices.DeleteFunc(pingRates, func(x row) bool { return x.rate > sum/max(t.res.Lines, 1)/10 })
		if len(low) > 0 {
			t.warn(low[0].line, "%s with a ping below a tenth of the mean rate, this one first: the logger seems to pause its transfer for a ping", samples(int64(len(low))))
		}
		if sum < otherSum/10 {
			t.warn(0, "%s is below a tenth of %s: probably the acknowledgements of the other direction, not what the link could carry", own, other)
		}
	}
	return t.finish(0)
}

// clockFault writes an error of parseClock with the form that is expected.
func clockFault(err error, form string) string {
	if err == errTime {
		return "not a time: write " + form
	}
	return err.Error()
}
