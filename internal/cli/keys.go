package cli

import "strings"

// arrows are what terminals send for them, in both of their modes.
var arrows = map[string]string{
	"\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left",
	"\x1bOA": "up", "\x1bOB": "down", "\x1bOC": "right", "\x1bOD": "left",
}

// ParseKeys splits what a terminal has sent into keys: characters, and the names of
// arrows. Other sequences of escape are left out.
func ParseKeys(b []byte) (keys []string) {
	for s := string(b); s != ""; {
		if s[0] != '\x1b' {
			keys, s = append(keys, s[:1]), s[1:]
			continue
		}
		if len(s) >= 3 && arrows[s[:3]] != "" {
			keys, s = append(keys, arrows[s[:3]]), s[3:]
			continue
		}
		n := 1
		if len(s) > 1 && (s[1] == '[' || s[1] == 'O') {
			end := strings.IndexFunc(s[2:], func(r rune) bool { return r >= '@' && r <= '~' })
			n = len(s)
			if end >= 0 {
				n = 2 + end + 1
			}
		}
		s = s[n:]
	}
	return keys
}
