package sniff

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Values of a pcap file's header: draft-ietf-opsawg-pcap.
const (
	pcapNanoseconds = 0xa1b23c4d
	pcapEthernet    = 1
)

// pcapWriter writes a capture of Ethernet frames, little-endian on every machine.
type pcapWriter struct {
	w   *bufio.Writer
	err error
}

func newPcapWriter(w io.Writer) *pcapWriter {
	p := &pcapWriter{w: bufio.NewWriterSize(w, 64<<10)}
	b := make([]byte, 0, 24)
	le := binary.LittleEndian
	b = le.AppendUint32(b, pcapNanoseconds)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 4)
	b = le.AppendUint64(b, 0) // time zone and accuracy, which nobody uses
	b = le.AppendUint32(b, SnapLen)
	b = le.AppendUint32(b, pcapEthernet)
	p.write(b)
	return p
}

// packet adds a frame of a length in bytes, of which data are the first ones.
func (p *pcapWriter) packet(seconds, ns uint32, data []byte, length uint32) {
	var b [16]byte
	le := binary.LittleEndian
	le.PutUint32(b[0:], seconds)
	le.PutUint32(b[4:], ns)
	le.PutUint32(b[8:], uint32(len(data)))
	le.PutUint32(b[12:], length)
	p.write(b[:])
	p.write(data)
}

func (p *pcapWriter) write(b []byte) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
}

func (p *pcapWriter) flush() error {
	if p.err == nil {
		p.err = p.w.Flush()
	}
	return p.err
}
