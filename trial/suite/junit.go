package suite

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// The elements of a JUnit file that CI systems read: the schema of Jenkins' xUnit
// plugin (junit-10.xsd), which GitLab, GitHub's actions and Azure follow.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr,omitempty"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes results for CI systems: a test for each trial, an error where it gave
// no result, and one for each threshold, a failure where it was missed. The time of
// a test is what the trial took.
func (r *Results) JUnit(w io.Writer) error {
	all := junitSuites{Name: r.Manifest.Suite}
	var total time.Duration
	for i := range r.Cases {
		c := &r.Cases[i]
		class := r.Manifest.Suite + "." + c.Name
		s := junitSuite{Name: class}
		var took time.Duration
		for k := range c.Runs {
			o := &c.Runs[k]
			t := junitCase{Class: class, Name: fmt.Sprintf("seed %d", o.Seed), Time: seconds(o.Wall), Out: strings.Join(o.Findings, "\n")}
			switch {
			case o.Missing:
				t.Skipped = &junitMessage{Message: "not run"}
				s.Skipped++
			case o.Failed != "":
				t.Error = &junitMessage{Message: firstLine(o.Failed), Type: "trial", Text: o.Failed}
				s.Errors++
			}
			if s.Timestamp == "" && !o.Begun.IsZero() {
				s.Timestamp = o.Begun.UTC().Format("2006-01-02T15:04:05")
			}
			if len(s.Properties) == 0 && o.Stack != "" {
				s.Properties = append(s.Properties, junitProperty{"stack", o.Stack}, junitProperty{"time", r.Manifest.Time})
				for _, name := range slices.Sorted(maps.Keys(o.Versions)) {
					s.Properties = append(s.Properties, junitProperty{"version." + name, o.Versions[name]})
				}
			}
			took += o.Wall
			s.Cases = append(s.Cases, t)
		}
		for k := range c.Verdicts {
			v := &c.Verdicts[k]
			t := junitCase{Class: class, Name: v.Metric + " " + v.Bounds(), Time: "0", Out: v.Why()}
			if !v.Passed {
				t.Failure = &junitMessage{Message: v.Metric + ": " + v.Why(), Type: "threshold", Text: v.Why() + "; the threshold is " + v.Bounds()}
				s.Failures++
			}
			s.Cases = append(s.Cases, t)
		}
		s.Tests, s.Time = len(s.Cases), seconds(took)
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
		total += took
		all.Suites = append(all.Suites, s)
	}
	all.Time = seconds(total)
	b, err := xml.MarshalIndent(&all, "", "  ")
	if err != nil {
		return fmt.Errorf("write a JUnit file: %w", err)
	}
	_, err = io.WriteString(w, xml.Header+string(b)+"\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
