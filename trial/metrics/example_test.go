package metrics_test

import (
	"fmt"
	"net/netip"

	"linktape/trial/metrics"
)

// What a capture of librist's main profile over two links holds.
func ExampleCount() {
	var captures []metrics.Capture
	for i, link := range []string{"a", "b"} {
		captures = append(captures, metrics.Capture{
			Link: link, SenderFile: "testdata/librist-main/" + link + ".snd.pcap.gz", ReceiverFile: "testdata/librist-main/" + link + ".rcv.pcap.gz",
			ReceiverAddr: netip.AddrFrom4([4]byte{10, 77, byte(i), 6}),
		})
	}
	all, err := metrics.Count(captures)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d packets of media, %d retransmissions, %d of them spurious\n", all.Sequences, all.Retransmissions, all.Spurious)
	for _, c := range captures {
		fmt.Printf("%s: %d of %d lost, %d first copies\n", c.Link, c.Lost, c.Sent, c.FirstCopies)
	}
	// Output:
	// 199 packets of media, 19 retransmissions, 0 of them spurious
	// a: 9 of 201 lost, 113 first copies
	// b: 22 of 183 lost, 86 first copies
}
