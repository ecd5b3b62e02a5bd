package metrics

import (
	"fmt"
	"slices"
	"strings"

	"linktape/trace/suggest"
)

// SplitName divides the name of a metric as thresholds have it: METRIC is of the
// bond, LINK.METRIC of a link.
func SplitName(name string) (metric, link string) {
	if l, m, ok := strings.Cut(name, "."); ok {
		return m, l
	}
	return name, ""
}

// JoinName is the reverse of [SplitName].
func JoinName(metric, link string) string {
	if link == "" {
		return metric
	}
	return link + "." + metric
}

// Names are the metrics of each link and of the bond.
func Names() (link, bond []string) {
	for _, d := range Definitions() {
		if d.Scope == ofLink {
			link = append(link, d.Name)
		} else {
			bond = append(bond, d.Name)
		}
	}
	return link, bond
}

// CheckName finds faults of a metric's name, whatever link it is of.
func CheckName(name string) error {
	metric, _ := SplitName(name)
	known, bond := Names()
	scope := ofLink
	if metric == name {
		scope, known = ofBond, bond
	}
	if !slices.Contains(known, metric) {
		slices.Sort(known)
		return fmt.Errorf("unknown metric %s of a %s: %s", metric, scope, suggest.Among(metric, known))
	}
	return nil
}
