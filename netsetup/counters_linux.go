package netsetup

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// CounterReader reads the counters of interfaces in the namespace where it was
// opened. It needs no privileges and is not safe for concurrent use.
type CounterReader struct {
	conn *conn
}

// OpenCounters opens a reader in the process's namespace, or within [Within] in
// that of the part.
func OpenCounters() (*CounterReader, error) {
	c, err := dialThread()
	if err != nil {
		return nil, err
	}
	return &CounterReader{c}, nil
}

// Close closes the reader.
func (r *CounterReader) Close() error { return r.conn.Close() }

// Read returns the counters of interfaces, in the order of their names.
func (r *CounterReader) Read(names []string) ([]DeviceCounters, error) {
	var all []DeviceCounters
	index := map[int32]int{}
	var bad error
	err := r.conn.dump(unix.RTM_GETLINK, make([]byte, ifInfoLen), func(payload []byte) {
		i, c, err := decodeCounters(payload)
		if err != nil {
			bad = err
			return
		}
		index[i] = len(all)
		all = append(all, c)
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	err = r.conn.dumpQdiscs(func(q *QdiscInfo) {
		if i, ok := index[q.Ifindex]; ok && q.Parent == parentRoot {
			all[i].queue(q)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	out, err := pick(all, names)
	if err != nil {
		var have []string
		for _, c := range all {
			have = append(have, c.Name)
		}
		slices.Sort(have)
		return nil, fmt.Errorf("read counters: %w; there are %s", err, strings.Join(have, ", "))
	}
	return out, nil
}

// Within runs f on a thread inside a part of a run: [SenderEnd], [ReceiverEnd] or
// a link's name. Sockets that f opens stay there. f must not leave the thread.
func Within(run, part string, f func() error) error {
	r, err := readRecord(run)
	if err != nil {
		return err
	}
	if parts := r.Topology.parts(); !slices.Contains(parts, part) {
		return fmt.Errorf("run %s has no %s: it has %s", run, part, strings.Join(parts, ", "))
	}
	k := newKernel()
	k.found = r.Found
	name, err := k.file(r.Topology.reference(run, part))
	if err != nil {
		return err
	}
	return withNamespace(name, f)
}
