package netsetup

import (
	"fmt"
	"slices"
	"strings"
)

// Within runs f on a thread of its own inside a part of the run: SenderEnd,
// ReceiverEnd or a link's name. Sockets that f opens stay there when it has
// returned; goroutines that it starts are outside.
func (r *Run) Within(part string, f func() error) error {
	if parts := r.Topology.parts(); !slices.Contains(parts, part) {
		return fmt.Errorf("run %s has no %s: it has %s", r.Name, part, strings.Join(parts, ", "))
	}
	name, err := r.kernel.file(r.Topology.reference(r.Name, part))
	if err != nil {
		return err
	}
	return withNamespace(name, f)
}
