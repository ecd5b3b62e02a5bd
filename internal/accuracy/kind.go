package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linktape/netsetup"
)

// kind is a bottleneck of the table.
type kind struct {
	name   string
	shaper netsetup.ShaperKind
	exact  time.Duration // steps up to this let exactly the packets through that the tape's bytes allow; 0: none do
}

// kinds are the bottlenecks that are measured.
func kinds() []kind {
	return []kind{
		{name: "tbf", shaper: netsetup.ShaperTBF},
		{name: "htb", shaper: netsetup.ShaperHTB},
		{name: "cake", shaper: netsetup.ShaperCAKE},
	}
}

func kindNamed(name string) (kind, error) {
	all := kinds()
	if i := slices.IndexFunc(all, func(k kind) bool { return k.name == name }); i >= 0 {
		return all[i], nil
	}
	return kind{}, fmt.Errorf("kind %q: write one of %s", name, kindNames())
}

func kindNames() string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

func (k kind) apply(l *netsetup.Link) { l.UseShaper(k.shaper) }

// steps are those of the table.
func steps() []time.Duration {
	return []time.Duration{100 * time.Millisecond, 20 * time.Millisecond, 10 * time.Millisecond, 5 * time.Millisecond}
}
