package suggest_test

import (
	"strconv"
	"testing"

	"linktape/trace/suggest"
)

func TestAmong(t *testing.T) {
	known := []string{"outage", "rate", "label"}
	for _, c := range []struct{ s, want string }{
		{"outge", `did you mean "outage"?`},
		{"otuage", `did you mean "outage"?`},
		{"rat", `did you mean "rate"?`},
		{"zebra", "known: outage, rate, label"},
		{"ra", "known: outage, rate, label"}, // too short to guess from
	} {
		if got := suggest.Among(c.s, known); got != c.want {
			t.Errorf("%q: got %s, want %s", c.s, got, c.want)
		}
	}
	if got, want := suggest.Among("rate", nil), "there are none"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestList(t *testing.T) {
	var names []string
	for i := range 26 {
		names = append(names, strconv.Itoa(i))
	}
	const want = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 and 2 more"
	if got := suggest.List(names); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
