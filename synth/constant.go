package synth

import (
	"time"

	"linktape/internal/conf"
	"linktape/trace"
)

// constant is a value that stays.
type constant struct {
	q     quantity
	value float64
}

func decodeConstant(d *decoder, m *conf.Map) model {
	return constant{d.q, d.q.read(m.Require("value"))}
}

func (c constant) start(*stream, time.Duration) process { return c }
func (c constant) changes(time.Duration) (uint64, bool) { return 1, false }

func (c constant) advance(_ time.Duration, s *trace.State) time.Duration {
	c.q.set(s, c.value)
	return never
}
