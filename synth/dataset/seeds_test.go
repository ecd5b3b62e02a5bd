package dataset

import (
	"slices"
	"strings"
	"testing"
)

func TestParseSeeds(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"7", "7"},
		{"0", "0"},
		{"007", "7"},
		{"1..100", "1..100"},
		{"300..302, 5,1..3", "1..3,5,300..302"},
		{"4..4", "4"},
		{"9223372036854775806..9223372036854775807", "9223372036854775806..9223372036854775807"},
		{"1..1000000", "1..1000000"},
	} {
		got, err := ParseSeeds(c.text)
		if err != nil || got.String() != c.want {
			t.Errorf("%q: got %v, %v, want %s", c.text, got, err, c.want)
		}
	}
	got, _ := ParseSeeds("300..302,5,1..3")
	if all, want := slices.Collect(got.All()), []uint64{1, 2, 3, 5, 300, 301, 302}; !slices.Equal(all, want) || got.Len() != int64(len(want)) {
		t.Errorf("got %v, %d of them, want %v", all, got.Len(), want)
	}
	for seed, want := range map[uint64]bool{0: false, 1: true, 2: true, 3: true, 4: false, 5: true, 6: false, 299: false, 300: true, 302: true, 303: false} {
		if got.Has(seed) != want {
			t.Errorf("has %d: got %v", seed, !want)
		}
	}
}

func TestParseSeedsFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "no seeds: write such as 1..100"},
		{" ", "no seeds: write such as 1..100"},
		{",", `"": write a seed such as 7, or a range such as 1..100; "": write a seed`},
		{"1..", `"1..": write a seed`},
		{"..3", `"..3": write a seed`},
		{"1..3..5", `"1..3..5": write a seed`},
		{"1-100", `"1-100": write a seed`},
		{"x", `"x": write a seed`},
		{"1.5", `"1.5": write a seed`},
		{"0x10", `"0x10": write a seed`},
		{"+1", `"+1": write a seed`},
		{"-3", `"-3": a seed is not negative`},
		{"-3..5", `"-3..5": a seed is not negative`},
		{"5..1", `"5..1": runs backwards: write 1..5`},
		{"9223372036854775808", "above the largest seed of a data set, 9223372036854775807"},
		{"99999999999999999999999", "above the largest seed"},
		{"1,1", "seed 1 occurs twice, in 1 and 1"},
		{"1..5,3", "seed 3 occurs twice, in 1..5 and 3"},
		{"1..9,2,4", "seed 2 occurs twice, in 1..9 and 2; seed 4 occurs twice"},
		{"1..1000001", "1000001 seeds: at most 1000000"},
		{"0..9223372036854775807", "9223372036854775807 seeds: at most"},
		{"5..1,x,-1", `"5..1": runs backwards: write 1..5; "x": write a seed such as 7, or a range such as 1..100; "-1": a seed is not negative`},
	} {
		_, err := ParseSeeds(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := ParseSeeds(strings.Repeat("x,", 1000)); err == nil || len(err.Error()) > 2000 {
		t.Errorf("a thousand faults: got %v", err)
	}
}

// What is accepted is written and read again unchanged, without duplicates.
func FuzzParseSeeds(f *testing.F) {
	for _, s := range []string{"1..100,200", "0", "5..1", "1,1", "9223372036854775807", "-1", " 3 , 4..6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seeds, err := ParseSeeds(text)
		if err != nil {
			return
		}
		again, err := ParseSeeds(seeds.String())
		if err != nil || !slices.Equal(again, seeds) {
			t.Fatalf("%q: got %v, then %v, %v", text, seeds, again, err)
		}
		n, last := int64(0), uint64(0)
		for seed := range seeds.All() {
			if n > 0 && seed <= last || !seeds.Has(seed) || seed > MaxSeed {
				t.Fatalf("%q: %d after %d", text, seed, last)
			}
			n, last = n+1, seed
			if n > 1000 {
				return
			}
		}
		if n != seeds.Len() || n == 0 {
			t.Fatalf("%q: %d seeds, Len says %d", text, n, seeds.Len())
		}
	})
}
