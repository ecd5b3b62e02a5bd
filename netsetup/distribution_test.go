package netsetup

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

// moments of a table, in units of the jitter.
func moments(table []int16) (mean, sd, skew float64) {
	n := float64(len(table))
	for _, v := range table {
		mean += float64(v) / NetemDistScale / n
	}
	for _, v := range table {
		d := float64(v)/NetemDistScale - mean
		sd += d * d / n
		skew += d * d * d / n
	}
	sd = math.Sqrt(sd)
	return mean, sd, skew / (sd * sd * sd)
}

// The tables have the moments of their distributions. A Pareto distribution
// with shape 3 has the mean 1.5 and the variance 0.75, which iproute2's formula
// takes to 0 and (4/3)²·0.75; cut off at 4, the integral of its quantile
// function gives the numbers below.
func TestDistributionTables(t *testing.T) {
	// Of min(q, 4) with q(u) = ((1−u)^(−1/3) − 3/2)·4/3, by integration over u:
	// the cut is at s = (4·3/4 + 3/2)^−3.
	cut := math.Pow(4.5, -3)
	first := 4.0 / 3 * (1.5*(1-math.Pow(cut, 2.0/3)) - 1.5*(1-cut))
	second := 16.0 / 9 * (3*(1-math.Pow(cut, 1.0/3)) - 4.5*(1-math.Pow(cut, 2.0/3)) + 2.25*(1-cut))
	mean := first + 4*cut
	sd := math.Sqrt(second + 16*cut - mean*mean)
	for _, c := range []struct {
		name           string
		mean, sd, skew float64 // skew 0: symmetric; else the least
	}{
		{Normal, 0, 1, 0},
		{Pareto, mean, sd, 1},
		{ParetoNormal, 0.75 * mean, 0.8339, 0.5}, // both parts rise together
	} {
		d := Distribution{Name: c.name}
		table := d.table()
		gotMean, gotSD, gotSkew := moments(table)
		if len(table) != distEntries || math.Abs(gotMean-c.mean) > 2e-3 || math.Abs(gotSD-c.sd) > 2e-3 || (c.skew == 0) != (math.Abs(gotSkew) < 1e-6) || gotSkew < c.skew-1e-6 {
			t.Errorf("%s: mean %.4f, standard deviation %.4f, skewness %.4f: want %.4f, %.4f, %.1f", c.name, gotMean, gotSD, gotSkew, c.mean, c.sd, c.skew)
		}
	}
	if d := (Distribution{Name: "cauchy"}); d.table() != nil {
		t.Error("a table for an unknown name")
	}
}

// iproute2's tables, where they are installed, are ours: Pareto's exactly, the
// others but for how the inverse of the normal distribution was found.
func TestDistributionsOfTC(t *testing.T) {
	for _, name := range []string{Normal, Pareto, ParetoNormal} {
		t.Run(name, func(t *testing.T) {
			var files []string
			for _, pattern := range []string{"/usr/lib/tc/", "/usr/lib/*/tc/", "/lib/*/tc/", "/usr/share/tc/"} {
				found, err := filepath.Glob(pattern + name + ".dist")
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, found...)
			}
			if len(files) == 0 {
				t.Skipf("needs iproute2's %s.dist", name)
			}
			theirs := readDist(t, files[0])
			d := Distribution{Name: name}
			ours := d.table()
			if len(theirs) != len(ours) {
				t.Fatalf("%s has %d entries, want %d", files[0], len(theirs), len(ours))
			}
			for i := range ours {
				got, want := int(ours[i]), theirs[i]
				// An entry of theirs is a quantile at the lower end of its step:
				// ours lies between it and the next one.
				lowest, highest := want, want
				switch {
				case name == Normal:
					highest = theirs[min(i+1, len(theirs)-1)] + 1
					lowest--
					if i == 0 {
						lowest = math.MinInt16
					}
					if i == len(theirs)-1 {
						highest = math.MaxInt16
					}
				case name == ParetoNormal && i > 0:
					lowest, highest = want-1, want+1
				case name == ParetoNormal:
					// Their search for the first quantile begins at −10.
					lowest, highest = math.MinInt16, theirs[1]
				}
				if got < lowest || got > highest {
					t.Fatalf("entry %d is %d, want %d to %d", i, got, lowest, highest)
				}
			}
		})
	}
}

func readDist(t *testing.T, file string) (out []int) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		for _, word := range strings.Fields(sc.Text()) {
			v, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, v)
		}
	}
	return out
}

// writeDelays writes a tape whose uplink has delays that each hold a second,
// with a jitter.
func writeDelays(t *testing.T, file string, jitter time.Duration, delays ...time.Duration) {
	t.Helper()
	tl := &trace.Timeline{Meta: trace.Meta{Duration: time.Duration(len(delays)) * time.Second, Links: []trace.Link{{Name: "sat", Up: true}}}}
	for i, d := range delays {
		tl.Steps = append(tl.Steps, trace.Step{At: time.Duration(i) * time.Second, Link: "sat", Dir: trace.Up,
			State: trace.State{Rate: trace.Mbit, Delay: d, Jitter: jitter, Carrier: true}})
	}
	if err := trace.WriteFile(file, tl); err != nil {
		t.Fatal(err)
	}
}

// A measured distribution has the shape of the tape's delay: its quantiles,
// with mean 0 and standard deviation 1.
func TestDelayDistribution(t *testing.T) {
	dir := t.TempDir()
	read := func(jitter time.Duration, delays ...time.Duration) ([]int16, error) {
		file := filepath.Join(dir, "x.tape")
		writeDelays(t, file, jitter, delays...)
		tape, err := trace.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer tape.Close()
		return DelayDistribution(tape, trace.LinkDir{Link: "sat", Dir: trace.Up})
	}
	const ms = time.Millisecond
	// A quarter at 40 ms, the rest at 20: mean 25, standard deviation √75.
	table, err := read(0, 20*ms, 20*ms, 40*ms, 20*ms)
	if err != nil {
		t.Fatal(err)
	}
	low, high := int16(math.Round(-5/math.Sqrt(75)*NetemDistScale)), int16(math.Round(15/math.Sqrt(75)*NetemDistScale))
	for i, v := range table {
		want := low
		if i >= 3*distEntries/4 {
			want = high
		}
		if v != want {
			t.Fatalf("entry %d is %d, want %d", i, v, want)
		}
	}
	// A constant delay with jitter is normal.
	if table, err = read(5*ms, 100*ms); err != nil {
		t.Fatal(err)
	}
	for i := range table {
		// In steps of jitterQuantiles, whose tails are flat.
		if d := float64(table[i]-normalTable()[i]) / NetemDistScale; math.Abs(d) > 0.2 && i > 400 && i < distEntries-400 {
			t.Fatalf("entry %d is %d, normal is %d", i, table[i], normalTable()[i])
		}
	}
	// Far outliers are cut off at four standard deviations.
	delays := make([]time.Duration, 1000)
	delays[500] = time.Second
	if table, err = read(0, delays...); err != nil || table[distEntries-1] != math.MaxInt16 || table[0] >= 0 {
		t.Errorf("%v: from %d to %d", err, table[0], table[distEntries-1])
	}
	_, err = read(0, 20*ms, 20*ms)
	wantError(t, err, "its delay never varies: there is no distribution to take")
	tape, err := trace.Open(filepath.Join(dir, "x.tape"))
	if err != nil {
		t.Fatal(err)
	}
	defer tape.Close()
	_, err = DelayDistribution(tape, trace.LinkDir{Link: "sat", Dir: trace.Down})
	wantError(t, err, "the tape has no sat.down")
}
