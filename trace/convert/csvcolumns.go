package convert

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"linktape/trace"
)

// CSVOptions say how the format csv reads a table that is no tape.
type CSVOptions struct {
	// Columns maps columns to what they hold, separated by commas, as
	// ROLE=COLUMN:UNIT, such as
	//
	//	time=ts:s,rate=dl:kbit,delay=rtt:ms/2,loss=loss:%,label=mode
	//
	// ROLE is time, end or duration (of the sample's interval), rate, bytes (in
	// the interval), delay, loss or label; .up or .down after it names the
	// direction that the column is for. COLUMN is a name of the header line, or
	// a number from 1. UNIT is
	//
	//	time, end  s, ms, us, ns; unix-s, unix-ms, unix-us, unix-ns; clock
	//	duration   s, ms, us, ns
	//	rate       bit, kbit, Mbit, Gbit, B, KB, MB, GB (each per second)
	//	bytes      B, KB, MB
	//	delay      s, ms, us, ns, and /2 for half of it
	//	loss       % or 1
	Columns   string
	Separator string // "," (also ""), ";", "tab" or "space" (any run of blanks)
	Header    string // "yes" or "no"; "" = yes where a column is given by name
}

// Check verifies the mapping.
func (o CSVOptions) Check() error {
	_, err := parseColumns(o)
	return err
}

// csvColumn is one column of a mapping.
type csvColumn struct {
	role   string
	dir    trace.Direction
	any    bool   // for both directions
	name   string // of the header; or else
	number int    // from 1
	unit   string
	scale  int   // power of ten from the unit to the internal one
	by     int64 // divisor; 1 = none
}

func (c csvColumn) String() string {
	if c.name != "" {
		return strconv.Quote(c.name)
	}
	return fmt.Sprintf("column %d", c.number)
}

// csvMapping is a parsed CSVOptions.
type csvMapping struct {
	columns []csvColumn
	sep     byte
	header  bool
}

// csvUnits lists the units of a role.
func csvUnits(role string) []string {
	switch role {
	case "time", "end":
		return []string{"s", "ms", "us", "ns", "unix-s", "unix-ms", "unix-us", "unix-ns", "clock"}
	case "duration", "delay":
		return []string{"s", "ms", "us", "ns"}
	case "rate":
		return []string{"bit", "kbit", "Mbit", "Gbit", "B", "KB", "MB", "GB"}
	case "bytes":
		return []string{"B", "KB", "MB"}
	case "loss":
		return []string{"%", "1"}
	}
	return nil
}

// csvScale is the power of ten from a unit to the internal one.
func csvScale(unit string) int {
	return map[string]int{
		"s": 9, "ms": 6, "us": 3, "ns": 0, "bit": 0, "kbit": 3, "Mbit": 6, "Gbit": 9, "B": 0, "KB": 3, "MB": 6, "GB": 9,
	}[strings.TrimPrefix(unit, "unix-")]
}

func parseColumns(o CSVOptions) (csvMapping, error) {
	var m csvMapping
	bad := func(format string, args ...any) (csvMapping, error) {
		return m, fmt.Errorf("columns %q: %s", o.Columns, fmt.Sprintf(format, args...))
	}
	named := ""
	for _, part := range strings.Split(o.Columns, ",") {
		role, rest, ok := strings.Cut(part, "=")
		if !ok {
			return bad("%q: write ROLE=COLUMN:UNIT, such as time=ts:s or rate=2:Mbit", part)
		}
		c := csvColumn{any: true, by: 1}
		var dir string
		if c.role, dir, ok = strings.Cut(role, "."); ok {
			d, err := trace.ParseDirection(dir)
			if err != nil {
				return bad("%q: %v", part, err)
			}
			c.dir, c.any = d, false
		}
		units := csvUnits(c.role)
		if units == nil && c.role != "label" {
			return bad("%q is no role: write time, end, duration, rate, bytes, delay, loss or label", c.role)
		}
		column := rest
		if units != nil {
			i := strings.LastIndexByte(rest, ':')
			if i < 0 {
				return bad("%q has no unit: write %s=%s:UNIT with one of %s", part, role, rest, strings.Join(units, ", "))
			}
			column, c.unit = rest[:i], rest[i+1:]
			if c.role == "rate" {
				c.unit = strings.TrimSuffix(c.unit, "/s")
			}
			if unit, by, ok := strings.Cut(c.unit, "/"); ok && c.role == "delay" {
				v, err := parseInt([]byte(by), 1000)
				if err != nil || v < 1 {
					return bad("%q: write a divisor from 1 to 1000, such as ms/2", part)
				}
				c.unit, c.by = unit, v
			}
			found := false
			for _, u := range units {
				found = found || u == c.unit
			}
			c.scale = csvScale(c.unit)
			if !found {
				return bad("%q: %q is no unit of a %s: write one of %s", part, c.unit, c.role, strings.Join(units, ", "))
			}
		}
		if column == "" {
			return bad("%q has no column", part)
		}
		if v, err := parseInt([]byte(column), 10_000); err == nil {
			if v < 1 {
				return bad("%q: columns count from 1", part)
			}
			c.number = int(v)
		} else {
			c.name, named = column, column
		}
		for _, x := range m.columns {
			if x.role == c.role && (x.any == c.any && (x.any || x.dir == c.dir)) {
				return bad("%s is given twice", role)
			}
		}
		m.columns = append(m.columns, c)
	}
	switch o.Separator {
	case "", ",":
		m.sep = ','
	case ";":
		m.sep = ';'
	case "tab":
		m.sep = '\t'
	case "space":
		m.sep = ' '
	default:
		return m, fmt.Errorf("separator %q: write \",\", \";\", tab or space", o.Separator)
	}
	switch o.Header {
	case "":
		m.header = named != ""
	case "yes":
		m.header = true
	case "no":
		if named != "" {
			return m, fmt.Errorf("header no: the column %q is given by name: give its number", named)
		}
	default:
		return m, fmt.Errorf("header %q: write yes or no", o.Header)
	}
	var has []string
	for _, c := range m.columns {
		has = append(has, c.role)
	}
	is := func(role string) bool {
		for _, h := range has {
			if h == role {
				return true
			}
		}
		return false
	}
	switch {
	case !is("time"):
		return bad("no column holds the time: write time=COLUMN:UNIT")
	case !is("rate") && !is("bytes") && !is("delay") && !is("loss"):
		return bad("no column holds a rate, bytes, a delay or a loss")
	case is("rate") && is("bytes"):
		return bad("rate and bytes: give one of them")
	case is("end") && is("duration"):
		return bad("end and duration: give one of them")
	}
	return m, nil
}

// directions lists the directions that columns are for by name.
func (m csvMapping) directions() []trace.LinkDir {
	seen := map[trace.LinkDir]bool{}
	for _, c := range m.columns {
		if !c.any {
			seen[trace.LinkDir{Dir: c.dir}] = true
		}
	}
	return sortedDirs(seen)
}

// of returns the column of a role for a direction.
func (m csvMapping) of(role string, d trace.Direction) (csvColumn, bool) {
	var out csvColumn
	found := false
	for _, c := range m.columns {
		if c.role == role && (c.any && !found || !c.any && c.dir == d) {
			out, found = c, true
		}
	}
	return out, found
}

// importColumns reads any table by its mapping. Without end or duration,
// opts.Interval has to say what a sample names.
func importColumns(r io.Reader, name string, opts ImportOptions) (*Result, error) {
	m, err := parseColumns(opts.CSV)
	if err != nil {
		return nil, err
	}
	t := newTable(name, opts)
	d := opts.LinkDir.Dir
	roles := []string{"time", "end", "duration", "rate", "bytes", "delay", "loss", "label"}
	has := map[string]csvColumn{}
	for _, role := range roles {
		if c, ok := m.of(role, d); ok {
			has[role] = c
		}
	}
	if len(has) == 0 || has["rate"].role == "" && has["bytes"].role == "" && has["delay"].role == "" && has["loss"].role == "" {
		return nil, fmt.Errorf("%s: the columns hold nothing for the direction %s", name, d)
	}
	_, ends := has["end"]
	_, lasts := has["duration"]
	if !ends && !lasts {
		if opts.Interval == "" {
			return nil, fmt.Errorf("%s: say with --interval start or --interval end whether a sample names the start or the end of its interval", name)
		}
		t.interval = opts.Interval
	}
	_, t.served = has["bytes"]
	t.clock = strings.HasPrefix(has["time"].unit, "unix-") || has["time"].unit == "clock"
	f := newFields(t, r, m.sep)
	at := map[string]int{}
	good := true
	if m.header {
		good = f.next()
		for role, c := range has {
			if !good || c.name == "" {
				continue
			}
			i := -1
			for k, cell := range f.cells {
				if string(cell) == c.name {
					if i >= 0 {
						t.fault(f.in.n, "the header has %s twice: give the column's number", c)
						break
					}
					i = k
				}
			}
			if i < 0 {
				t.fault(f.in.n, "the header %s has no column %s", quote(f.in.text), c)
			}
			at[role] = i
		}
	}
	for role, c := range has {
		if c.name == "" {
			at[role] = c.number - 1
		}
	}
	sortFaults(&t.faults)
	if t.faults.Count > 0 {
		f.drain()
	}
	zones := map[bool]int64{}
	for good && f.next() {
		n := f.in.n
		t.res.Lines++
		wide := true
		for _, role := range roles {
			if c, ok := has[role]; ok && at[role] >= len(f.cells) {
				t.fault(n, "%s in place of %d or more: %s holds the %s", columnsText(len(f.cells)), at[role]+1, c, role)
				wide = false
			}
		}
		if !wide {
			f.drain() // every line is as wide
			break
		}
		if !m.header && n == 1 && has["time"].unit != "clock" {
			if _, err := parseScaled(f.cells[at["time"]], 9, 1<<62); err == errNumber && !isMissing(f.cells[at["time"]]) {
				t.fault(n, "%s looks like a header: say --header yes", quote(f.in.text))
				continue
			}
		}
		x, ok := t.csvRow(n, f.cells, has, at, zones, opts)
		if ok {
			t.add(x)
		}
	}
	if err := f.finish(name); err != nil {
		return nil, err
	}
	t.local = t.clock && zones[false] > 0
	for _, role := range roles {
		if c, ok := has[role]; ok {
			text := c.String()
			if c.unit != "" {
				text += " in " + c.unit
			}
			if c.by != 1 {
				text += fmt.Sprintf("/%d", c.by)
			}
			t.choose("column_"+role, "%s", text)
		}
	}
	if ends || lasts {
		t.choose("interval", "both ends are in the file")
	}
	return t.finish(0)
}

// sortFaults orders the faults that a map's order has mixed.
func sortFaults(f *Faults) {
	for i := range f.First {
		for k := i; k > 0 && f.First[k].Text < f.First[k-1].Text; k-- {
			f.First[k], f.First[k-1] = f.First[k-1], f.First[k]
		}
	}
}

// csvRow reads one line by the mapping.
func (t *table) csvRow(n int64, cells [][]byte, has map[string]csvColumn, at map[string]int, zones map[bool]int64, opts ImportOptions) (row, bool) {
	ok := true
	fail := func(c csvColumn, b []byte, why any) {
		t.fault(n, "%s %s is %v: it is the %s in %s", c, quote(b), why, c.role, c.unit)
		ok = false
	}
	instant := func(role string) int64 {
		c, b := has[role], cells[at[role]]
		if c.unit == "clock" {
			ns, zoned, err := parseClock(b, opts.Zone)
			if err != nil {
				fail(c, b, err)
				return 0
			}
			if zones[zoned]++; zones[!zoned] > 0 && zones[zoned] == 1 {
				t.fault(n, "%s %s: some times have a zone and some have none", c, quote(b))
			}
			return ns
		}
		v, err := parseScaled(b, c.scale, int64(MaxDuration))
		if err != nil {
			fail(c, b, numberFault(b, err))
		}
		return v
	}
	value := func(role string, scale int, most int64) int64 {
		c, used := has[role]
		if !used || isMissing(cells[at[role]]) {
			return missing
		}
		v, err := parseScaled(cells[at[role]], scale, most)
		if err != nil {
			fail(c, cells[at[role]], numberFault(cells[at[role]], err))
		}
		return v
	}
	x := newRow(n, instant("time"))
	if _, used := has["end"]; used {
		x.to = instant("end")
	}
	if c, used := has["duration"]; used {
		switch v := value("duration", c.scale, int64(MaxDuration)); {
		case v == missing && ok:
			fail(c, cells[at["duration"]], "missing")
		case ok && v > int64(MaxDuration)-x.at:
			fail(c, cells[at["duration"]], errRange)
		default:
			x.to = x.at + v
		}
	}
	if c, used := has["rate"]; used {
		if strings.HasSuffix(c.unit, "B") {
			// In thousandths of a byte, so that no bit is lost.
			if x.rate = value("rate", c.scale+3, int64(trace.MaxRate)/8*1000); x.rate > 0 {
				x.rate = (x.rate*8 + 500) / 1000
			}
		} else {
			x.rate = value("rate", c.scale, int64(trace.MaxRate))
		}
	}
	if c, used := has["bytes"]; used {
		x.bytes = value("bytes", c.scale, 1<<50)
	}
	if c, used := has["delay"]; used {
		if x.delay = value("delay", c.scale, int64(trace.MaxDelay)*c.by); x.delay > 0 {
			x.delay = (x.delay + c.by/2) / c.by
		}
	}
	if c, used := has["loss"]; used && !isMissing(cells[at["loss"]]) {
		b := cells[at["loss"]]
		v, err := strconv.ParseFloat(string(b), 64)
		if c.unit == "%" {
			v /= 100
		}
		switch {
		case err != nil || bytes.ContainsAny(b, "xXpP_"):
			fail(c, b, errNumber)
		case !trace.Prob(v).Valid():
			fail(c, b, "outside 0 to 1")
		default:
			x.loss = v + 0 // no −0
		}
	}
	if _, used := has["label"]; used {
		x.label = label(cells[at["label"]])
	}
	return x, ok
}
