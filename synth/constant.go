package synth

import (
	"time"

	"linktape/internal/conf"
)

// constant is a value that stays.
type constant float64

func decodeConstant(d *decoder, m *conf.Map) scalarModel {
	return constant(d.q.read(m.Require("value")))
}

func (c constant) scalar(*env, string) scalar                          { return c }
func (c constant) changes(_, _ time.Duration) (uint64, bool)           { return 0, false }
func (c constant) value(time.Duration) (v float64, next time.Duration) { return float64(c), never }
