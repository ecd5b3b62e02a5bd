package netsetup

import (
	"testing"
	"time"
)

// What the kernel would refuse, or take for something else, is refused before.
func TestAppendCAKEErrors(t *testing.T) {
	good := CAKE{RTT: 100 * time.Millisecond, Target: 5 * time.Millisecond}
	for _, c := range []struct {
		name string
		edit func(q *CAKE)
		want string
	}{
		{"rate", func(q *CAKE) { q.Rate = -8 }, "encode cake: rate -8bit: negative"},
		{"diffserv", func(q *CAKE) { q.Diffserv = cakeDiffservs }, "encode cake: diffserv mode 5: outside 0 to 4"},
		{"flows", func(q *CAKE) { q.Flows = cakeFlowModes }, "encode cake: flow mode 8: outside 0 to 7"},
		{"atm", func(q *CAKE) { q.ATM = cakeATMs }, "encode cake: atm mode 3: outside 0 to 2"},
		{"ack filter", func(q *CAKE) { q.AckFilter = cakeAckFilters }, "encode cake: ack filter 3: outside 0 to 2"},
		{"raw", func(q *CAKE) { q.Raw, q.OverheadBytes = true, 4 }, "encode cake: overhead 4 bytes: raw excludes it"},
		{"rtt", func(q *CAKE) { q.RTT = 999 * time.Nanosecond }, "encode cake: rtt 999ns: outside 1µs to 1h11m34.967295s"},
		{"target", func(q *CAKE) { q.Target = 2 * time.Hour }, "encode cake: target 2h0m0s: outside 1µs to 1h11m34.967295s"},
		{"memory", func(q *CAKE) { q.MemoryBytes = 1 << 32 }, "encode cake: memory limit 4294967296 bytes: outside 0 to 4294967295"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := good
			c.edit(&q)
			b, err := AppendCAKE([]byte{1, 2, 3, 4}, q)
			wantError(t, err, c.want)
			if len(b) != 4 {
				t.Errorf("%d bytes written beside the error", len(b)-4)
			}
		})
	}
	if _, err := AppendCAKE(nil, good); err != nil {
		t.Error(err)
	}
}

func TestAppendFQCoDelErrors(t *testing.T) {
	good := goldenFQCoDel["everything"]
	for _, c := range []struct {
		name string
		edit func(q *FQCoDel)
		want string
	}{
		{"limit", func(q *FQCoDel) { q.LimitPackets = 0 }, "encode fq_codel: limit 0 packets: every packet would be dropped"},
		{"no flows", func(q *FQCoDel) { q.Flows = 0 }, "encode fq_codel: flows 0: outside 1 to 65536"},
		{"flows", func(q *FQCoDel) { q.Flows = 65537 }, "encode fq_codel: flows 65537: outside 1 to 65536"},
		{"quantum", func(q *FQCoDel) { q.QuantumBytes = 255 }, "encode fq_codel: quantum 255 bytes: outside 256 to 1048576"},
		{"interval", func(q *FQCoDel) { q.Interval = 0 }, "encode fq_codel: interval 0s: outside 1µs to 1h11m34.967295s"},
		{"target", func(q *FQCoDel) { q.Target = -1 }, "encode fq_codel: target -1ns: outside 1µs to 1h11m34.967295s"},
		{"ce", func(q *FQCoDel) { q.CEThreshold = 0 }, "encode fq_codel: ce_threshold 0s: outside 1µs to 1h11m34.967295s"},
		{"memory", func(q *FQCoDel) { q.MemoryBytes = 1<<31 + 1 }, "encode fq_codel: memory limit 2147483649 bytes: outside 1 to 2147483648"},
		{"batch", func(q *FQCoDel) { q.DropBatch = 0 }, "encode fq_codel: drop batch 0: must be above 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := good
			c.edit(&q)
			b, err := AppendFQCoDel([]byte{1, 2, 3, 4}, q)
			wantError(t, err, c.want)
			if len(b) != 4 {
				t.Errorf("%d bytes written beside the error", len(b)-4)
			}
		})
	}
}
