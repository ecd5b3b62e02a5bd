package watch

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
)

// Wireless returns the signal of each Wi-Fi interface in dBm, from
// /proc/net/wireless; none where the kernel has no such file.
func Wireless() map[string]float64 {
	f, err := os.Open("/proc/net/wireless")
	if err != nil {
		return nil
	}
	defer f.Close()
	return parseWireless(f)
}

// parseWireless reads net/wireless/wext-proc.c's table: two lines of headings, then
// "NAME: STATUS LINK LEVEL NOISE …", with a dot after figures that are fresh. Levels
// from 0 up are no dBm and are left out.
func parseWireless(r io.Reader) map[string]float64 {
	out := map[string]float64{}
	for s := bufio.NewScanner(r); s.Scan(); {
		name, rest, ok := strings.Cut(s.Text(), ":")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 3 {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSuffix(fields[2], "."), 64)
		if err == nil && v < 0 && v > -200 {
			out[strings.TrimSpace(name)] = v
		}
	}
	return out
}
