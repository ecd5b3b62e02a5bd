package stack

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Need is a program, or an element of GStreamer, that a stack runs.
type Need struct {
	Program string
	Element string // of GStreamer; Program is then gst-inspect-1.0
	Package string // Debian's that has it
}

func (n Need) String() string {
	if n.Element != "" {
		return "GStreamer's element " + n.Element
	}
	return n.Program
}

// MissingError says what is not there.
type MissingError struct{ Missing []Need }

func (e *MissingError) Error() string {
	var b strings.Builder
	var packages []string
	for _, n := range e.Missing {
		fmt.Fprintf(&b, "missing: %v (Debian package %s)\n", n, n.Package)
		if !slices.Contains(packages, n.Package) {
			packages = append(packages, n.Package)
		}
	}
	slices.Sort(packages)
	fmt.Fprintf(&b, "install with: sudo apt-get install %s", strings.Join(packages, " "))
	return b.String()
}

// Check looks for what a stack needs, and names everything that is missing.
func Check(s Stack) error {
	return check(s.Needs(), func(program string) bool {
		_, err := exec.LookPath(program)
		return err == nil
	}, func(element string) (bool, error) {
		err := exec.Command(inspect, "--exists", element).Run()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return false, nil
		}
		return err == nil, err
	})
}

// inspect is the program that knows the elements of GStreamer.
const inspect = "gst-inspect-1.0"

func check(needs []Need, program func(string) bool, element func(string) (bool, error)) error {
	var missing []Need
	for _, n := range needs {
		switch {
		case n.Element == "":
			if !program(n.Program) {
				missing = append(missing, n)
			}
		case !program(n.Program): // without it nothing is known of elements
		default:
			there, err := element(n.Element)
			if err != nil {
				return fmt.Errorf("look for %v: %w", n, err)
			}
			if !there {
				missing = append(missing, n)
			}
		}
	}
	if len(missing) > 0 {
		return &MissingError{missing}
	}
	return nil
}
