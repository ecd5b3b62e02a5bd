package probe

import (
	"encoding/binary"
	"errors"
)

// Kinds of messages.
const (
	kindProbe  = 1
	kindEcho   = 2
	kindReport = 3
	kindBeat   = 4
)

const (
	magic       = 0x6c747031 // "ltp1"
	headerBytes = 48         // of a probe and an echo; a probe may be longer
	reportBytes = 32
	helloBytes  = 12
	maxLinks    = 256
)

// message is a probe or an echo. Times are ns since 1970, of the client's clock
// and, received and replied, of the server's.
type message struct {
	kind     byte
	link     byte
	echo     bool // an answer is wanted
	session  uint64
	number   uint64
	sent     int64
	received int64
	replied  int64
}

func (m *message) put(b []byte) {
	be := binary.BigEndian
	be.PutUint32(b, magic)
	b[4], b[5], b[6], b[7] = m.kind, m.link, 0, 0
	if m.echo {
		b[6] = 1
	}
	be.PutUint64(b[8:], m.session)
	be.PutUint64(b[16:], m.number)
	be.PutUint64(b[24:], uint64(m.sent))
	be.PutUint64(b[32:], uint64(m.received))
	be.PutUint64(b[40:], uint64(m.replied))
}

var errForeign = errors.New("not of a probe")

func (m *message) parse(b []byte) error {
	be := binary.BigEndian
	if len(b) < headerBytes || be.Uint32(b) != magic || b[4] != kindProbe && b[4] != kindEcho {
		return errForeign
	}
	*m = message{
		kind: b[4], link: b[5], echo: b[6]&1 != 0, session: be.Uint64(b[8:]), number: be.Uint64(b[16:]),
		sent: int64(be.Uint64(b[24:])), received: int64(be.Uint64(b[32:])), replied: int64(be.Uint64(b[40:])),
	}
	return nil
}

// report is the server's note of a probe, or, as a beat, its time: every probe
// received before it has been reported.
type report struct {
	kind     byte
	link     byte
	number   uint64
	received int64
	replied  int64 // 0: no echo
}

func (r *report) put(b []byte) {
	be := binary.BigEndian
	clear(b[:8])
	b[0], b[1] = r.kind, r.link
	be.PutUint64(b[8:], r.number)
	be.PutUint64(b[16:], uint64(r.received))
	be.PutUint64(b[24:], uint64(r.replied))
}

func (r *report) parse(b []byte) error {
	be := binary.BigEndian
	if len(b) < reportBytes || b[0] != kindReport && b[0] != kindBeat {
		return errForeign
	}
	*r = report{b[0], b[1], be.Uint64(b[8:]), int64(be.Uint64(b[16:])), int64(be.Uint64(b[24:]))}
	return nil
}
