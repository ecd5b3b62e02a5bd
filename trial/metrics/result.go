package metrics

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Result is what a trial has shown.
type Result struct {
	Format   int    `json:"format"` // 1
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	SHA256   string `json:"tape_sha256"`
	Stack    string `json:"stack"`

	// Instants are nanoseconds since the epoch, the tape's first instant.
	Duration time.Duration `json:"duration_ns"`
	From     time.Duration `json:"from_ns"` // what metrics are of
	To       time.Duration `json:"to_ns"`
	Bin      time.Duration `json:"bin_ns"`
	Deadline time.Duration `json:"deadline_ns"` // the most that a datagram may take to count as delivered in time; 0: no sink
	BySize   bool          `json:"by_size"`     // media could not be read, and is told by its size
	Links    []string      `json:"links"`

	Metrics     []Value      `json:"metrics"`
	Events      []Event      `json:"events"`
	Reactions   []Reaction   `json:"reactions"`
	Findings    []Finding    `json:"findings"`
	Losses      []Losses     `json:"losses"` // of each link's two directions
	Series      Series       `json:"series"`
	Definitions []Definition `json:"definitions"`
}

// Losses say which of the bond's packets a direction of a link lost, in the whole
// trial: two trials with one sum sent as many and lost the same ones, by their place
// in the order of sending.
type Losses struct {
	Link    string `json:"link"`
	Dir     string `json:"dir"`
	Packets int64  `json:"packets"` // sent
	Lost    int64  `json:"lost"`
	SHA256  string `json:"sha256"` // over a byte for each packet, in the order sent: 1 where it was lost, else 0
}

// Value is one metric.
type Value struct {
	Name   string   `json:"name"`
	Link   string   `json:"link,omitempty"` // "": of the whole bond
	Unit   string   `json:"unit"`
	Value  *float64 `json:"value"` // null: not measured, or there was nothing to measure
	Source string   `json:"source"`
}

// Get returns a metric of a link, or with "" of the bond; NaN where there is none.
func (r *Result) Get(name, link string) float64 {
	for i := range r.Metrics {
		if v := &r.Metrics[i]; v.Name == name && v.Link == link && v.Value != nil {
			return *v.Value
		}
	}
	return math.NaN()
}

// set adds a metric. NaN and infinities are not measured.
func (r *Result) set(name, link string, v float64) { r.setFrom(name, link, v, "") }

func (r *Result) setFrom(name, link string, v float64, source string) {
	scope := ofBond
	if link != "" {
		scope = ofLink
	}
	i := slices.IndexFunc(r.Definitions, func(d Definition) bool { return d.Name == name && d.Scope == scope })
	if i < 0 {
		panic(fmt.Sprintf("metric %s of a %s has no definition", name, scope))
	}
	d := &r.Definitions[i]
	if source == "" {
		source = d.Source
	}
	value := Value{Name: name, Link: link, Unit: d.Unit, Source: source}
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		value.Value = &v
	}
	r.Metrics = append(r.Metrics, value)
}

// sort puts metrics into the order of their definitions: the links' first, link by
// link.
func (r *Result) sort() {
	place := make(map[[2]string]int)
	for i, d := range r.Definitions {
		place[[2]string{d.Scope, d.Name}] = i
	}
	link := make(map[string]int)
	for _, v := range r.Metrics {
		if _, ok := link[v.Link]; !ok {
			link[v.Link] = len(link)
		}
	}
	link[""] = len(link)
	key := func(v *Value) (int, int) {
		if v.Link == "" {
			return link[""], place[[2]string{ofBond, v.Name}]
		}
		return link[v.Link], place[[2]string{ofLink, v.Name}]
	}
	slices.SortStableFunc(r.Metrics, func(x, y Value) int {
		xl, xp := key(&x)
		yl, yp := key(&y)
		return cmp.Or(cmp.Compare(xl, yl), cmp.Compare(xp, yp))
	})
}

// Event is a time in which nothing passed a link in some direction, and what
// sender, bond and application made of it. Nil: it did not come about.
type Event struct {
	Link  string `json:"link"`
	Mode  string `json:"mode"` // drop-both, drop-up, drop-down, stall, stall-down or carrier-down
	Label string `json:"label,omitempty"`

	Failure time.Duration  `json:"failure_ns"` // applied, since the epoch
	Restore *time.Duration `json:"restore_ns"` // the same

	Detection     *time.Duration `json:"detection_time_ns"`
	Failover      *time.Duration `json:"failover_time_ns"`
	OutputGap     *time.Duration `json:"output_gap_ns"`
	FirstOriginal *time.Duration `json:"recovery_first_ns"`
	ShareBack     *time.Duration `json:"recovery_share_ns"`
	FormerShare   *float64       `json:"former_share"` // of the originals in the 2 s before
	OutputBack    bool           `json:"output_back"`  // it stayed at, or came back to, the source's rate
}

// Reaction is how long a sender took to notice that a link had become slow.
type Reaction struct {
	Link  string         `json:"link"`
	Cause string         `json:"cause"` // rtt: above twice its base; capacity: below what was sent
	At    time.Duration  `json:"at_ns"`
	After *time.Duration `json:"after_ns"` // nil: not within 10 s, nor before the next one
}

// Finding is something that a reader of the metrics should know: two sources that
// disagree, or data that is missing.
type Finding struct {
	Text     string  `json:"text"`
	Link     string  `json:"link,omitempty"`
	Quantity string  `json:"quantity,omitempty"` // of a disagreement
	A        float64 `json:"a"`                  // by the first source that the text names
	B        float64 `json:"b"`                  // by the second
	Ratio    float64 `json:"difference"`         // |a − b| / max(a, b)
}

// Column is a value for each bin; NaN, null in JSON: none.
type Column []float64

// MarshalJSON writes numbers with at most six digits.
func (c Column) MarshalJSON() ([]byte, error) {
	if c == nil {
		return []byte("[]"), nil
	}
	b := []byte{'['}
	for i, v := range c {
		if i > 0 {
			b = append(b, ',')
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b = append(b, "null"...)
			continue
		}
		b = strconv.AppendFloat(b, v, 'g', 6, 64)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Column) UnmarshalJSON(data []byte) error {
	var all []*float64
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*c = make(Column, len(all))
	for i, v := range all {
		(*c)[i] = math.NaN()
		if v != nil {
			(*c)[i] = *v
		}
	}
	return nil
}

// Series are values by bins of [Result.Bin] from the epoch on.
type Series struct {
	Links  []LinkSeries `json:"links"`
	Output OutputSeries `json:"output"`
}

// LinkSeries are those of a link, upwards.
type LinkSeries struct {
	Link       string `json:"link"`
	Capacity   Column `json:"capacity_bit_s"`
	Sent       Column `json:"sent_bit_s"`
	Throughput Column `json:"throughput_bit_s"`
	Effective  Column `json:"effective_throughput_bit_s"`
	Loss       Column `json:"loss"`
	RTT        Column `json:"rtt_ms"`
	StackRTT   Column `json:"stack_rtt_ms"`
	QueueDelay Column `json:"queue_delay_ms"` // the highest of the bin; null: nothing leaves
}

// OutputSeries are those of source and sink.
type OutputSeries struct {
	Source Column `json:"source_bit_s"`
	Output Column `json:"output_bit_s"`
	Gap    Column `json:"gap_ms"` // the longest time without a datagram that touches the bin
}
