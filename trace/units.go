package trace

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// BitRate is a capacity in bit/s of IP packets; 1 Mbit/s = 1e6 bit/s.
// 0 means stalled: nothing leaves, the queue stays.
type BitRate int64

// Decimal multiples of a bit per second.
const (
	BitPerSecond BitRate = 1
	Kbit                 = 1000 * BitPerSecond
	Mbit                 = 1000 * Kbit
	Gbit                 = 1000 * Mbit
)

// MaxRate is the highest rate that a timeline may hold. It keeps every
// rate × duration product of the tools within 128 bits and far above any link.
const MaxRate = 10_000 * Gbit

// Mbits returns the rate in Mbit/s.
func (r BitRate) Mbits() float64 { return float64(r) / 1e6 }

// String writes the rate exactly, with the largest unit that needs no more
// than three decimals: "6Mbit", "1.5Gbit", "120kbit".
func (r BitRate) String() string {
	for _, u := range []struct {
		unit BitRate
		name string
	}{{Gbit, "Gbit"}, {Mbit, "Mbit"}, {Kbit, "kbit"}} {
		if r >= u.unit && r%(u.unit/1000) == 0 {
			return strconv.FormatFloat(float64(r)/float64(u.unit), 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(r), 10) + "bit"
}

// ParseBitRate reads a rate such as "6Mbit", "1.5Gbit", "120kbit" or "0". A
// number other than 0 needs its unit.
func ParseBitRate(s string) (BitRate, error) {
	v, err := parseQuantity(s, []unit{
		{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1},
	})
	switch {
	case errors.Is(err, errUnit):
		return 0, fmt.Errorf("rate %q: write a number with bit, kbit, Mbit or Gbit, such as 6Mbit", s)
	case err != nil:
		return 0, fmt.Errorf("rate %q: %w", s, err)
	case v > float64(MaxRate):
		return 0, fmt.Errorf("rate %q: above the maximum of %v", s, MaxRate)
	}
	return BitRate(math.Round(v)), nil
}

// ParseBytes reads a size such as "64KB", "1.5MB", "150KiB" or "1500B" and
// returns bytes. KB, MB and GB are powers of 1000, KiB, MiB and GiB of 1024.
func ParseBytes(s string) (int64, error) {
	v, err := parseQuantity(s, []unit{
		{"gib", 1 << 30}, {"mib", 1 << 20}, {"kib", 1 << 10},
		{"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"b", 1},
	})
	switch {
	case errors.Is(err, errUnit):
		return 0, fmt.Errorf("size %q: write a number with B, KB, MB, KiB or MiB, such as 64KB", s)
	case err != nil:
		return 0, fmt.Errorf("size %q: %w", s, err)
	case v > 1<<53:
		return 0, fmt.Errorf("size %q: too large", s)
	}
	return int64(math.Round(v)), nil
}

// Prob is a probability in [0, 1]; NaN is invalid.
type Prob float64

// Valid reports whether p lies in [0, 1].
func (p Prob) Valid() bool { return p >= 0 && p <= 1 }

// String writes the probability as a percentage: "2%".
func (p Prob) String() string {
	return strconv.FormatFloat(float64(p)*100, 'g', 6, 64) + "%"
}

// ParseProb reads a probability such as "0.02" or "2%".
func ParseProb(s string) (Prob, error) {
	num, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(num, 64)
	if err != nil {
		return 0, fmt.Errorf("probability %q: write a number from 0 to 1, such as 0.02, or a percentage, such as 2%%", s)
	}
	if percent {
		v /= 100
	}
	if !Prob(v).Valid() {
		return 0, fmt.Errorf("probability %q: outside 0 to 1", s)
	}
	return Prob(v), nil
}

// Direction is one direction of a link. Its values order as its names do, so
// that sorting rows by name in a database gives the canonical order.
type Direction uint8

// The two directions of a link.
const (
	Down Direction = iota // receiver → sender
	Up                    // sender → receiver
)

// String returns "up" or "down".
func (d Direction) String() string {
	switch d {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// ParseDirection reads "up" or "down".
func ParseDirection(s string) (Direction, error) {
	switch s {
	case "up":
		return Up, nil
	case "down":
		return Down, nil
	}
	return 0, fmt.Errorf("direction %q: write up or down", s)
}

// LinkDir names one direction of one link.
type LinkDir struct {
	Link string
	Dir  Direction
}

// String returns LINK.DIR, such as "att.up".
func (ld LinkDir) String() string { return ld.Link + "." + ld.Dir.String() }

// Compare orders by link name and then by direction name.
func (ld LinkDir) Compare(o LinkDir) int {
	if c := strings.Compare(ld.Link, o.Link); c != 0 {
		return c
	}
	return int(ld.Dir) - int(o.Dir)
}

// ParseLinkDir reads LINK.DIR, such as "att.up".
func ParseLinkDir(s string) (LinkDir, error) {
	link, dir, ok := strings.Cut(s, ".")
	if !ok {
		return LinkDir{}, fmt.Errorf("%q: write LINK.up or LINK.down, such as att.up", s)
	}
	if err := CheckName(link); err != nil {
		return LinkDir{}, fmt.Errorf("%q: link: %w", s, err)
	}
	d, err := ParseDirection(dir)
	if err != nil {
		return LinkDir{}, fmt.Errorf("%q: %w", s, err)
	}
	return LinkDir{link, d}, nil
}

// MaxName is the longest name of a link, run or scenario, in bytes.
const MaxName = 32

// CheckName verifies the name of a link, run or scenario: lower-case letters,
// digits and hyphens, the first one no hyphen, at most [MaxName] bytes.
func CheckName(s string) error {
	switch {
	case s == "":
		return errors.New("name is empty")
	case len(s) > MaxName:
		return fmt.Errorf("name %q: longer than %d characters", s, MaxName)
	}
	for i, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' && i > 0) {
			return fmt.Errorf("name %q: use lower-case letters, digits and, after the first character, hyphens", s)
		}
	}
	return nil
}

type unit struct {
	suffix string // lower case
	factor float64
}

var errUnit = errors.New("unit missing or unknown")

// parseQuantity reads a finite number ≥ 0 followed by one of the units, of
// which none but the last may be a suffix of a later one. 0 needs no unit.
func parseQuantity(s string, units []unit) (float64, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	if t == "0" {
		return 0, nil
	}
	for _, u := range units {
		num, ok := strings.CutSuffix(t, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		if err != nil || strings.ContainsAny(num, "xpinf_") {
			return 0, errUnit
		}
		if v < 0 {
			return 0, errors.New("negative")
		}
		return v * u.factor, nil
	}
	return 0, errUnit
}
