package suite

import "testing"

// What Parse accepts is a suite with cases and seeds, and no input makes it panic.
func FuzzParse(f *testing.F) {
	f.Add([]byte("suite: s\nseeds: 3\njudge: every\ncases:\n  - a1-clean\n"))
	f.Add([]byte("suite: s\nseeds: [1, 18446744073709551615]\ncases: [strategy-loss, a2-loss-1]\n"))
	f.Add([]byte("cases:\n- ../../x\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("s.yaml", data, dir)
		if err != nil {
			return
		}
		if s.Name == "" || len(s.Cases) == 0 || len(s.Seeds) == 0 || s.Judge != Median && s.Judge != Every {
			t.Errorf("accepted %+v", s)
		}
	})
}
