package netsetup

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// DeviceCounters are what the kernel has counted on an interface since it is there.
// Bytes are those of frames: of Ethernet, 14 more a packet than IP's.
type DeviceCounters struct {
	Name    string `json:"name"`
	Up      bool   `json:"up"`      // set up, with its carrier
	Header  int    `json:"header"`  // bytes of a frame before the IP packet
	Backlog int64  `json:"backlog"` // bytes in the root qdisc's queue, now
	Queue   string `json:"queue"`   // kind of the root qdisc, "" where there is none

	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
	QueueDrops                              uint64 // packets that the root qdisc dropped
}

// include/uapi/linux/if_link.h and if_arp.h.
const (
	ifInfoLen    = 16 // struct ifinfomsg
	iflaIfname   = 3
	iflaStats64  = 23
	arphrdEther  = 1
	iffUp        = 0x1
	iffLowerUp   = 0x10000
	etherBytes   = 14
	linkStatsLen = 8 * 8 // what is read of struct rtnl_link_stats64
)

// decodeCounters reads the payload of an RTM_NEWLINK: the index and what is
// counted.
func decodeCounters(b []byte) (index int32, c DeviceCounters, err error) {
	if len(b) < ifInfoLen {
		return 0, c, fmt.Errorf("link of %d bytes: %w", len(b), errTruncated)
	}
	ne := binary.NativeEndian
	index = int32(ne.Uint32(b[4:]))
	flags := ne.Uint32(b[8:])
	c.Up = flags&iffUp != 0 && flags&iffLowerUp != 0
	if ne.Uint16(b[2:]) == arphrdEther {
		c.Header = etherBytes
	}
	a := attrs{buf: b[ifInfoLen:]}
	for a.next() {
		switch a.typ {
		case iflaIfname:
			c.Name = kindName(a.payload, c.Name)
		case iflaStats64:
			if !a.need(linkStatsLen) {
				break
			}
			v := a.payload
			for i, p := range []*uint64{&c.RxPackets, &c.TxPackets, &c.RxBytes, &c.TxBytes, &c.RxErrors, &c.TxErrors, &c.RxDropped, &c.TxDropped} {
				*p = ne.Uint64(v[8*i:])
			}
		}
	}
	return index, c, a.err
}

// queue adds what the root qdisc of an interface says.
func (c *DeviceCounters) queue(q *QdiscInfo) {
	c.Queue, c.Backlog, c.QueueDrops = q.Kind, int64(q.BacklogBytes), uint64(q.Drops)
}

// pick puts counters in the order of the names asked for.
func pick(all []DeviceCounters, names []string) ([]DeviceCounters, error) {
	out := make([]DeviceCounters, len(names))
	for i, n := range names {
		k := slices.IndexFunc(all, func(c DeviceCounters) bool { return c.Name == n })
		if k < 0 {
			return nil, fmt.Errorf("interface %s is not there", n)
		}
		out[i] = all[k]
	}
	return out, nil
}
