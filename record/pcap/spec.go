package pcap

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"linktape/trace"
)

// Spec names a link and says which packets are the link's.
type Spec struct {
	Name  string
	Parts []Part
}

// Part is one way to recognise a link's packets: by one end, or by the interface
// where they were captured.
type Part struct {
	Prefix    netip.Prefix // invalid: any address
	Port      uint16       // 0: any
	Sender    bool         // the end is the sender's, not the receiver's
	Interface string       // in place of an end
}

// ParseSpec reads NAME=PART[+PART]…. A part is the receiver's end, as ADDRESS,
// ADDRESS:PORT, :PORT or ADDRESS/BITS; with snd: before it, the sender's end; or
// if:NAME, an interface.
func ParseSpec(s string) (Spec, error) {
	bad := func(err error) (Spec, error) {
		return Spec{}, fmt.Errorf("%q: %w; write NAME=ADDRESS, such as att=10.77.0.6", s, err)
	}
	name, rest, ok := strings.Cut(s, "=")
	if !ok || rest == "" {
		return bad(fmt.Errorf("says nothing about the link's packets"))
	}
	if err := trace.CheckName(name); err != nil {
		return bad(err)
	}
	out := Spec{Name: name}
	for text := range strings.SplitSeq(rest, "+") {
		p, err := parsePart(text)
		if err != nil {
			return bad(err)
		}
		out.Parts = append(out.Parts, p)
	}
	return out, nil
}

func parsePart(text string) (p Part, err error) {
	if name, ok := strings.CutPrefix(text, "if:"); ok {
		if name == "" {
			return p, fmt.Errorf("if: without the name of an interface")
		}
		return Part{Interface: name}, nil
	}
	text, p.Sender = strings.CutPrefix(text, "snd:")
	if port, ok := strings.CutPrefix(text, ":"); ok && !strings.Contains(port, ":") {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return p, fmt.Errorf("port %q: write a number from 1 to 65535", port)
		}
		p.Port = uint16(n)
		return p, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		p.Prefix = netip.PrefixFrom(a.WithZone("").Unmap(), a.Unmap().BitLen())
		return p, nil
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		p.Prefix = netip.PrefixFrom(a.Addr().WithZone("").Unmap(), a.Addr().Unmap().BitLen())
		p.Port = a.Port()
		return p, nil
	}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		p.Prefix = prefix.Masked()
		return p, nil
	}
	return p, fmt.Errorf("%q is no address, address:port, :port, prefix or if:interface", text)
}

func (p Part) holds(a netip.AddrPort) bool {
	return (!p.Prefix.IsValid() || p.Prefix.Contains(a.Addr())) && (p.Port == 0 || p.Port == a.Port())
}
