package convert

import (
	"errors"
	"fmt"
	"time"
)

// Zone is an offset from UTC.
type Zone struct {
	Name   string        // as written
	Offset time.Duration // to add to UTC
}

// zoneNames are the abbreviations that have one meaning in the recordings read
// here; those with several, such as IST, are left out.
func zoneOffset(name string) (time.Duration, bool) {
	minutes := map[string]int{
		"UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180,
		"EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420,
		"AKST": -540, "AKDT": -480, "HST": -600,
	}
	m, ok := minutes[name]
	return time.Duration(m) * time.Minute, ok
}

// ParseZone reads an offset from UTC, such as -05:00 or +0100, or an
// abbreviation of North America or Europe, such as CDT. Names such as
// America/Chicago are not read, because they mean what the machine's own tables
// say.
func ParseZone(s string) (Zone, error) {
	if off, ok := zoneOffset(s); ok {
		return Zone{s, off}, nil
	}
	digits := s
	if len(s) == 6 && s[3] == ':' {
		digits = s[:3] + s[4:]
	}
	if len(digits) == 3 {
		digits += "00"
	}
	if len(digits) == 5 && (s[0] == '+' || s[0] == '-') {
		if v, err := parseInt([]byte(digits[1:]), 9999); err == nil && v/100 <= 14 && v%100 < 60 {
			off := time.Duration(v/100)*time.Hour + time.Duration(v%100)*time.Minute
			if s[0] == '-' {
				off = -off
			}
			return Zone{s, off}, nil
		}
	}
	return Zone{}, fmt.Errorf("time zone %q is not known: write an offset such as -05:00, or UTC, CET, CEST, EST, EDT, CST, CDT, MST, MDT, PST or PDT", s)
}

var errTime = errors.New("not a time: write YYYY-MM-DD HH:MM:SS")

// parseClock reads a date and a time of day: the parts of the date separated by
// '-', '.' or '/', then a blank, 'T' or '_', then hours, minutes and seconds
// separated by ':' or '.', a fraction of a second after ':', and a zone, which
// may be missing. It returns ns since 1970 in UTC; without zone, in own.
func parseClock(b []byte, own *Zone) (ns int64, zoned bool, err error) {
	const layout = "dddd-dd-dd dd:dd:dd"
	if len(b) < len(layout) {
		return 0, false, errTime
	}
	var parts [6]int
	part := 0
	for i, want := range []byte(layout) {
		c := b[i]
		ok := false
		switch want {
		case 'd':
			if ok = c >= '0' && c <= '9'; ok {
				parts[part] = parts[part]*10 + int(c-'0')
			}
		case '-':
			ok = (c == '-' || c == '.' || c == '/') && c == b[4]
			part++
		case ' ':
			ok = c == ' ' || c == 'T' || c == '_'
			part++
		case ':':
			ok = (c == ':' || c == '.') && c == b[13]
			part++
		}
		if !ok {
			return 0, false, errTime
		}
	}
	year, month, day := parts[0], parts[1], parts[2]
	t := time.Date(year, time.Month(month), day, parts[3], parts[4], parts[5], 0, time.UTC)
	switch {
	case t.Year() != year || int(t.Month()) != month || t.Day() != day || parts[3] > 23 || parts[4] > 59 || parts[5] > 59:
		return 0, false, errors.New("not in the calendar or on the clock")
	case year < 1971 || year > 2110:
		return 0, false, errors.New("outside the years 1971 to 2110")
	}
	ns = t.Unix() * int64(time.Second)
	rest := b[len(layout):]
	if len(rest) > 1 && rest[0] == '.' && b[13] == ':' {
		k := 1
		for k < len(rest) && rest[k] >= '0' && rest[k] <= '9' {
			k++
		}
		frac, err := parseScaled(append([]byte("0"), rest[:k]...), 9, int64(time.Second))
		if err != nil {
			return 0, false, errTime
		}
		ns += frac
		rest = rest[k:]
	}
	if len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		if own != nil {
			return ns - int64(own.Offset), true, nil
		}
		return ns, false, nil
	}
	z, err := ParseZone(string(rest))
	if err != nil {
		return 0, false, err
	}
	return ns - int64(z.Offset), true, nil
}
