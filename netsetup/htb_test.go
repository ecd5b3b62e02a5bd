package netsetup

import (
	"testing"
	"time"

	"linktape/trace"
)

func TestAppendHTBClassErrors(t *testing.T) {
	ok := HTBClass{Rate: trace.Mbit, BurstBytes: 3028, QuantumBytes: 1514}
	for _, c := range []struct {
		name string
		edit func(c *HTBClass)
		want string
	}{
		{"rate 0", func(c *HTBClass) { c.Rate = 0 }, "encode htb class: rate 0bit: must be above 0"},
		{"rate negative", func(c *HTBClass) { c.Rate = -8 }, "encode htb class: rate -8bit: must be above 0"},
		{"ceil negative", func(c *HTBClass) { c.Ceil = -8 }, "encode htb class: ceil -8bit: negative"},
		{"no bucket", func(c *HTBClass) { c.BurstBytes = 0 }, "encode htb class: burst 0 bytes: must be above 0"},
		{"burst negative", func(c *HTBClass) { c.BurstBytes = -1 }, "encode htb class: burst -1 bytes: outside 0 to 4294967295"},
		{"two buckets", func(c *HTBClass) { c.Buffer = time.Second }, "encode htb class: burst 3028 bytes and buffer 1s: give one of the two"},
		{"burst too slow", func(c *HTBClass) { c.Rate, c.Ceil = 8, trace.Mbit }, "encode htb class: burst 3028 bytes: takes 3028 s at 1 bytes/s, more than the 275 s that the kernel's clock holds"},
		{"two ceil buckets", func(c *HTBClass) { c.CeilBurstBytes, c.CeilBuffer = 1, 1 }, "encode htb class: ceil burst 1 bytes and ceil buffer 1ns: give one of the two"},
		{"buffer long", func(c *HTBClass) { c.BurstBytes, c.Buffer = 0, 300*time.Second }, "encode htb class: buffer 5m0s: outside 64ns to 4m34.87790688s"},
		{"quantum", func(c *HTBClass) { c.QuantumBytes = -1 }, "encode htb class: quantum -1 bytes: outside 0 to 4294967295"},
		{"prio", func(c *HTBClass) { c.Prio = 8 }, "encode htb class: prio 8: outside 0 to 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := ok
			c.edit(&q)
			b, err := AppendHTBClass([]byte{1, 2, 3, 4}, q)
			wantError(t, err, c.want)
			if len(b) != 4 {
				t.Errorf("%d bytes appended beside an error", len(b)-4)
			}
		})
	}
	if _, err := AppendHTBClass(nil, ok); err != nil {
		t.Error(err)
	}
}

func TestHTBClassBucketBytes(t *testing.T) {
	for _, c := range []struct {
		class      HTBClass
		burst, cap int64
	}{
		{HTBClass{Rate: 8 * trace.Mbit, BurstBytes: 3000}, 3000, 3000},
		{HTBClass{Rate: 8 * trace.Mbit, BurstBytes: 3000, CeilBurstBytes: 4000}, 3000, 4000},
		{HTBClass{Rate: 8 * trace.Mbit, Buffer: time.Millisecond}, 1000, 1000},
		{HTBClass{Rate: 8 * trace.Mbit, Ceil: 16 * trace.Mbit, Buffer: time.Millisecond}, 1000, 2000},
		{HTBClass{Rate: 8 * trace.Mbit, Ceil: 16 * trace.Mbit, Buffer: time.Millisecond, CeilBuffer: 2 * time.Millisecond}, 1000, 4000},
		{HTBClass{}, 0, 0},
	} {
		if burst, cap := c.class.BucketBytes(); burst != c.burst || cap != c.cap {
			t.Errorf("%+v: got %d, %d, want %d, %d", c.class, burst, cap, c.burst, c.cap)
		}
	}
}
