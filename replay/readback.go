package replay

import (
	"iter"
	"maps"
	"strings"
	"time"

	"linktape/internal/table"
	"linktape/netsetup"
	"linktape/trace"
)

// What became of a reading of the parameters.
const (
	BackSame     = "same"     // the kernel has what it was told
	BackDiffers  = "differs"  // it has something else
	BackChanging = "changing" // it was told something while it was read
)

// ReadBackRow is what the kernel said that it had been told, of one direction at
// one instant, beside what it was told. Instants are since the epoch.
type ReadBackRow struct {
	At         int64   `parquet:"at_ns"`   // when reading began
	Took       int64   `parquet:"took_ns"` // until the answer was there
	Link       string  `parquet:"link"`
	Dir        string  `parquet:"dir"`
	Due        int64   `parquet:"due_ns"` // of the step in force; −1: none yet
	Result     string  `parquet:"result"` // same, differs or changing
	Difference string  `parquet:"difference"`
	Rate       int64   `parquet:"bucket_bit_s"` // of the token bucket, which is not the tape's rate
	Burst      int64   `parquet:"bucket_bytes"`
	Limit      int64   `parquet:"queue_limit_bytes"`
	Closed     bool    `parquet:"closed"`
	Class      int64   `parquet:"class_bit_s"` // of HTB's class; 0: none
	CAKE       int64   `parquet:"cake_bit_s"`  // of CAKE; 0: none
	Delay      int64   `parquet:"delay_ns"`
	Jitter     int64   `parquet:"jitter_ns"`
	Loss       float64 `parquet:"loss"` // mean, of a chain its stationary loss
	Down       bool    `parquet:"down"` // the interface
}

// ReadReadBack reads what was read back, of a run's folder.
func ReadReadBack(file string) ([]ReadBackRow, error) { return table.ReadFile[ReadBackRow](file) }

// ReadBackReport counts the readings of one direction each.
type ReadBackReport struct {
	Every    time.Duration `json:"every_ns"`
	Readings int64         `json:"readings"`
	Same     int64         `json:"same"`
	Differ   int64         `json:"differ"`
	Changing int64         `json:"changing"` // a change was under way, so that nothing follows
}

// backSample is a reading that waits for the records of its time.
type backSample struct {
	dir      int
	from, to time.Duration // since the epoch
	told     netsetup.Told
}

// toldAt is what a record says that the kernel was told.
type toldAt struct {
	dir              int
	due, sent, acked time.Duration
	told             netsetup.Told
}

// history is how many records of a link are kept: the samples reach the resolver
// in time to find theirs among them.
const history = 128

// resolver compares what was read with what had been told by then. It learns of
// both after the fact, so that nobody waits for a reading.
type resolver struct {
	dirs    []trace.LinkDir
	link    []int      // by direction
	told    [][]toldAt // by link, the latest ones
	latest  time.Duration
	waiting []backSample

	readings, same, differ, changing int64
	compared                         map[trace.LinkDir]int64
	first                            map[trace.LinkDir]*difference
}

// difference is the first of some.
type difference struct {
	at    time.Duration
	what  string
	count int64
}

func newResolver(dirs []trace.LinkDir) resolver {
	r := resolver{
		dirs: dirs, link: make([]int, len(dirs)), latest: -1,
		compared: make(map[trace.LinkDir]int64), first: make(map[trace.LinkDir]*difference),
	}
	at := make(map[string]int)
	for i, ld := range dirs {
		n, ok := at[ld.Link]
		if !ok {
			n = len(r.told)
			at[ld.Link] = n
			r.told = append(r.told, nil)
		}
		r.link[i] = n
	}
	return r
}

// record takes a record, in the order in which they were sent.
func (r *resolver) record(rec *Record) {
	r.latest = rec.Sent
	n := r.link[rec.Dir]
	if len(r.told[n]) == history {
		r.told[n] = r.told[n][:copy(r.told[n], r.told[n][history/2:])]
	}
	t := toldAt{dir: rec.Dir, due: rec.At, sent: rec.Sent, acked: rec.Acked, told: rec.Told}
	if rec.Foreseen && !rec.Hand {
		t.sent, t.acked = rec.At, rec.At
	}
	r.told[n] = append(r.told[n], t)
}

func (r *resolver) add(samples []backSample) { r.waiting = append(r.waiting, samples...) }

// resolve judges the samples that the records have come up to; at the end, all.
func (r *resolver) resolve(ended bool) []ReadBackRow {
	var out []ReadBackRow
	n := 0
	for _, s := range r.waiting {
		if !ended && r.latest <= s.to {
			break
		}
		out = append(out, r.judge(&s))
		n++
	}
	r.waiting = r.waiting[:copy(r.waiting, r.waiting[n:])]
	return out
}

func (r *resolver) judge(s *backSample) ReadBackRow {
	ld := r.dirs[s.dir]
	row := ReadBackRow{
		At: int64(s.from), Took: int64(s.to - s.from), Link: ld.Link, Dir: ld.Dir.String(), Due: -1, Result: BackChanging,
		Rate: int64(s.told.Rate), Burst: s.told.BurstBytes, Limit: s.told.LimitBytes, Closed: s.told.Closed,
		Class: int64(s.told.Class), CAKE: int64(s.told.CAKE), Delay: int64(s.told.Delay), Jitter: int64(s.told.Jitter),
		Loss: trace.State{Loss: s.told.Loss, GE: s.told.GE}.MeanLoss(), Down: s.told.Down,
	}
	r.readings++
	told := r.told[r.link[s.dir]]
	var mine, any *toldAt // in force, of the direction and of either
	for i := range told {
		t := &told[i]
		switch {
		case t.sent > s.to:
		case t.acked > s.from:
			r.changing++ // on its way while the link was read
			return row
		default:
			if any = t; t.dir == s.dir {
				mine = t
			}
		}
	}
	if mine == nil { // none yet, or longer ago than is kept while the other direction changed
		r.changing++
		return row
	}
	row.Due = int64(mine.due)
	d := mine.told.Differences(&s.told)
	if any.told.Down != s.told.Down {
		d = append(d, map[bool]string{true: "the interface is down", false: "the interface is up"}[s.told.Down])
	}
	r.compared[ld]++
	if len(d) == 0 {
		row.Result = BackSame
		r.same++
		return row
	}
	row.Result, row.Difference = BackDiffers, strings.Join(d, "; ")
	r.differ++
	if f := r.first[ld]; f != nil {
		f.count++
	} else {
		r.first[ld] = &difference{at: s.from, what: row.Difference, count: 1}
	}
	return row
}

func (r *resolver) report(every time.Duration) *ReadBackReport {
	return &ReadBackReport{Every: every, Readings: r.readings, Same: r.same, Differ: r.differ, Changing: r.changing}
}

func keys[V any](m map[trace.LinkDir]V) iter.Seq[trace.LinkDir] { return maps.Keys(m) }
