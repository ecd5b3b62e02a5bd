// Package capturetest writes captures of made-up packets, for tests.
package capturetest

import (
	"encoding/binary"
	"io"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// LinkSLL2 is the second version of Linux cooked frames.
const LinkSLL2 layers.LinkType = 276

// UDP is a UDP packet.
type UDP struct {
	Src, Dst netip.AddrPort
	ID       uint16 // of IPv4
	Payload  []byte
	Fragment uint16 // flags and offset of IPv4
	Options  int    // bytes of options (IPv4) or of an extension header (IPv6), a multiple of 8
}

// IP returns the packet with its IP header. Checksums are 0.
func (u UDP) IP() []byte {
	udp := make([]byte, 8, 8+len(u.Payload))
	binary.BigEndian.PutUint16(udp, u.Src.Port())
	binary.BigEndian.PutUint16(udp[2:], u.Dst.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(u.Payload)))
	udp = append(udp, u.Payload...)
	if u.Src.Addr().Is4() {
		h := make([]byte, 20+u.Options)
		h[0] = 0x40 | byte(len(h)/4)
		binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(udp)))
		binary.BigEndian.PutUint16(h[4:], u.ID)
		binary.BigEndian.PutUint16(h[6:], u.Fragment)
		h[8], h[9] = 64, 17
		copy(h[12:], u.Src.Addr().AsSlice())
		copy(h[16:], u.Dst.Addr().AsSlice())
		return append(h, udp...)
	}
	h := make([]byte, 40+u.Options)
	h[0] = 0x60
	binary.BigEndian.PutUint16(h[4:], uint16(u.Options+len(udp)))
	h[6], h[7] = 17, 64
	if u.Options > 0 { // destination options
		h[6], h[40], h[41] = 60, 17, byte(u.Options/8-1)
	}
	copy(h[8:], u.Src.Addr().AsSlice())
	copy(h[24:], u.Dst.Addr().AsSlice())
	return append(h, udp...)
}

// Frame puts an IP packet into a frame of a link type, with VLAN tags.
func Frame(link layers.LinkType, vlans int, ip []byte) []byte {
	ether := uint16(0x0800)
	if ip[0]>>4 == 6 {
		ether = 0x86dd
	}
	tags := []byte(nil)
	for range vlans {
		tags = append(tags, 0, 7) // VLAN 7
		tags = binary.BigEndian.AppendUint16(tags, 0x8100)
	}
	outer := ether
	if vlans > 0 {
		binary.BigEndian.PutUint16(tags[len(tags)-2:], ether)
		outer = 0x8100
	}
	var h []byte
	switch link {
	case layers.LinkTypeEthernet:
		h = binary.BigEndian.AppendUint16(make([]byte, 12), outer)
	case layers.LinkTypeLinuxSLL:
		h = binary.BigEndian.AppendUint16(make([]byte, 14), outer)
	case LinkSLL2:
		h = append(binary.BigEndian.AppendUint16(nil, outer), make([]byte, 18)...)
	case layers.LinkTypeNull:
		h = []byte{2, 0, 0, 0}
	}
	out := append(h, tags...)
	return append(out, ip...)
}

// Record is a captured frame.
type Record struct {
	At        int64 // ns since 1970
	Frame     []byte
	Interface int // in pcapng
}

func (r *Record) info(snap int) (gopacket.CaptureInfo, []byte) {
	data := r.Frame
	if snap > 0 && len(data) > snap {
		data = data[:snap]
	}
	return gopacket.CaptureInfo{
		Timestamp: time.Unix(0, r.At), CaptureLength: len(data), Length: len(r.Frame), InterfaceIndex: r.Interface,
	}, data
}

// Pcap writes a capture with nanoseconds. A snap of 0 keeps whole frames.
func Pcap(w io.Writer, link layers.LinkType, snap int, records []Record) error {
	p := pcapgo.NewWriterNanos(w)
	declared := snap
	if declared == 0 {
		declared = 262144
	}
	if err := p.WriteFileHeader(uint32(declared), link); err != nil {
		return err
	}
	for _, r := range records {
		info, data := r.info(snap)
		if err := p.WritePacket(info, data); err != nil {
			return err
		}
	}
	return nil
}

// Interface is one of a pcapng capture.
type Interface struct {
	Name string
	Link layers.LinkType
}

// PcapNG writes a capture of one or more interfaces.
func PcapNG(w io.Writer, interfaces []Interface, snap int, records []Record) error {
	var ng *pcapgo.NgWriter
	for i, x := range interfaces {
		d := pcapgo.NgInterface{Name: x.Name, LinkType: x.Link, TimestampResolution: 9, SnapLength: uint32(snap)}
		if i == 0 {
			n, err := pcapgo.NewNgWriterInterface(w, d, pcapgo.DefaultNgWriterOptions)
			if err != nil {
				return err
			}
			ng = n
		} else if _, err := ng.AddInterface(d); err != nil {
			return err
		}
	}
	for _, r := range records {
		info, data := r.info(snap)
		if err := ng.WritePacket(info, data); err != nil {
			return err
		}
	}
	return ng.Flush()
}
