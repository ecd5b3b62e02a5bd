package cli

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Table writes aligned columns: the first to the left, the others to the right.
func Table(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, cell := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// Number writes a value with three significant digits and at most two
// decimals, unless it is small.
func Number(v float64) string {
	if v == 0 {
		return "0"
	}
	if math.Abs(v) < 0.0995 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	if r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64); err == nil {
		v = r // 9.996 is 10.0, not 10.00
	}
	switch a := math.Abs(v); {
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Mbits writes a rate in Mbit/s.
func Mbits(bitPerSecond float64) string { return Number(bitPerSecond / 1e6) }

// Percent writes a share as a percentage, without its sign.
func Percent(share float64) string { return Number(share * 100) }

// Seconds writes a duration in s.
func Seconds(d time.Duration) string { return Number(d.Seconds()) }

// Millis writes a duration in ms.
func Millis(d time.Duration) string { return Number(float64(d) / 1e6) }
