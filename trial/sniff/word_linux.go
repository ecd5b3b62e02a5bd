package sniff

import (
	"sync/atomic"
	"unsafe"
)

// wordAt is a word of the ring, which the kernel reads and writes besides.
func wordAt(ring []byte, at int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&ring[at])) }
