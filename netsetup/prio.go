package netsetup

import (
	"encoding/binary"
	"fmt"
)

// Bounds of prio's bands; include/uapi/linux/pkt_sched.h: TCQ_MIN_PRIO_BANDS,
// TCQ_PRIO_BANDS.
const (
	MinPrioBands = 2
	MaxPrioBands = 16
)

// Prio holds the parameters of a prio qdisc, net/sched/sch_prio.c: bands that
// are served in order, the first one first.
type Prio struct {
	Bands uint32    // MinPrioBands to MaxPrioBands
	Map   [16]uint8 // the band, from 0, of packets of each priority (TC_PRIO_MAX)
}

// AppendPrio appends TCA_KIND and TCA_OPTIONS of a prio, for a message that
// creates or changes it; net/sched/sch_prio.c, prio_tune. It fails, leaving b as
// it was, when the kernel would refuse a value.
func AppendPrio(b []byte, q Prio) ([]byte, error) {
	if q.Bands < MinPrioBands || q.Bands > MaxPrioBands {
		return b, fmt.Errorf("encode prio: %d bands: outside %d to %d", q.Bands, MinPrioBands, MaxPrioBands)
	}
	for priority, band := range q.Map {
		if uint32(band) >= q.Bands {
			return b, fmt.Errorf("encode prio: priority %d goes to band %d of %d", priority, band, q.Bands)
		}
	}
	b = appendKind(b, "prio")
	b = appendAttrHeader(b, tcaOptions, prioQoptLen)
	b = binary.NativeEndian.AppendUint32(b, q.Bands)
	return append(b, q.Map[:]...), nil
}

// prioQoptLen is sizeof(struct tc_prio_qopt).
const prioQoptLen = 4 + 16

// DecodePrio reads the TCA_OPTIONS of a prio: net/sched/sch_prio.c, prio_dump.
func DecodePrio(options []byte) (Prio, error) {
	a := attrs{payload: options}
	if !a.need(prioQoptLen) {
		return Prio{}, fmt.Errorf("decode prio: struct tc_prio_qopt: %d bytes of %d: %w", len(options), prioQoptLen, errTruncated)
	}
	q := Prio{Bands: a.u32At(0)}
	copy(q.Map[:], options[4:])
	return q, nil
}

func prioCommand(q *Prio) string {
	s := fmt.Sprintf("prio bands %d priomap", q.Bands)
	for _, band := range q.Map {
		s += fmt.Sprintf(" %d", band)
	}
	return s
}
