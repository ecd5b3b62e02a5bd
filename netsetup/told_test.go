package netsetup

import (
	"strings"
	"testing"
	"time"

	"linktape/trace"
)

func TestToldDifferences(t *testing.T) {
	told := Told{
		Rate: 8*trace.Mbit + 3, BurstBytes: 2500, LimitBytes: 30000, Class: 9 * trace.Mbit, CAKE: 10 * trace.Mbit,
		Path: true, Delay: 20 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.01, Duplicate: 0.001, Corrupt: 0.002, Reorder: 0.003,
		GE: trace.GE{P: 0.1, R: 0.2, LossBad: 0.3, LossGood: 0.4},
	}
	for _, c := range []struct {
		name   string
		change func(*Told) // of what the kernel has
		want   string
	}{
		{"nothing", func(*Told) {}, ""},
		{"whole bytes", func(k *Told) { k.Rate = 8 * trace.Mbit }, ""},
		{"ticks", func(k *Told) { k.BurstBytes-- }, ""},
		{"the interface", func(k *Told) { k.Down = true }, ""},
		{"rate", func(k *Told) { k.Rate += 8 }, "rate is "},
		{"burst", func(k *Told) { k.BurstBytes -= 10 }, "burst is 2490, set 2500"},
		{"limit", func(k *Told) { k.LimitBytes = 1 }, "limit is 1, set 30000"},
		{"closed", func(k *Told) { k.Closed, k.Rate = true, gateRate }, "bucket closed is true, set false"},
		{"class", func(k *Told) { k.Class = 0 }, "class rate is 0bit, set 9Mbit"},
		{"cake", func(k *Told) { k.CAKE = 1 }, "cake rate is 1bit, set 10Mbit"},
		{"path", func(k *Told) { k.Path, k.Delay = false, 0 }, "netem there is false, set true"},
		{"delay", func(k *Told) { k.Delay = 0 }, "delay is 0s, set 20ms"},
		{"jitter", func(k *Told) { k.Jitter = 0 }, "jitter is 0s, set 1ms"},
		{"loss", func(k *Told) { k.Loss = 0.02 }, "loss is 2%, set 1%"},
		{"loss on the wire", func(k *Told) { k.Loss += 1e-12 }, ""},
		{"p", func(k *Told) { k.GE.P = 0 }, "gemodel p is 0%, set 10%"},
		{"r", func(k *Told) { k.GE.R = 0 }, "gemodel r is 0%, set 20%"},
		{"bad", func(k *Told) { k.GE.LossBad = 0 }, "gemodel loss in the bad state is 0%, set 30%"},
		{"good", func(k *Told) { k.GE.LossGood = 0 }, "gemodel loss in the good state is 0%, set 40%"},
		{"duplicate", func(k *Told) { k.Duplicate = 0 }, "duplicate is 0%, set 0.1%"},
		{"corrupt", func(k *Told) { k.Corrupt = 0 }, "corrupt is 0%, set 0.2%"},
		{"reorder", func(k *Told) { k.Reorder = 0 }, "reorder is 0%, set 0.3%"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kernel := told
			kernel.Rate = 8 * trace.Mbit // what the wire holds of it
			c.change(&kernel)
			got := strings.Join(told.Differences(&kernel), "; ")
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A bucket that takes longer to fill than the kernel tells is not compared.
func TestToldLongBucket(t *testing.T) {
	told := Told{Rate: 8 * trace.BitPerSecond, BurstBytes: 1632}
	kernel := Told{Rate: 8 * trace.BitPerSecond, BurstBytes: 257}
	if d := told.Differences(&kernel); len(d) > 0 {
		t.Errorf("got %q", d)
	}
	told.Rate, kernel.Rate = 48*trace.BitPerSecond, 48*trace.BitPerSecond // 272 s
	if d := told.Differences(&kernel); len(d) != 1 {
		t.Errorf("got %q, want that the burst differs", d)
	}
}
