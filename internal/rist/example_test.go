package rist_test

import (
	"fmt"

	"linktape/internal/rist"
)

// The first bytes of a retransmission in the main profile's tunnel.
func ExampleParse() {
	captured := text("000088b6 800007b0 8021 0007 00000009 00000011 47")
	var p rist.Packet
	rist.Parse(captured, 1336, &p)
	fmt.Println(p.Kind, p.Seq, p.MediaBytes)
	// Output: retransmission 7 1316
}
