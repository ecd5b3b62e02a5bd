//go:build !linux

package replay

import "time"

func rawClocks() (raw, mono time.Duration) { return 0, 0 }

func (w *WallClock) discipline() {}
