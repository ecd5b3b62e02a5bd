package convert

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"linktape/trace"
	"linktape/trace/fill"
)

// netemTrace reads and writes the configurations of netem-trace, as Rattan
// plays them (stack-rs, Rust): JSON or TOML, externally tagged, nested patterns of
// bandwidth, delay or loss (src/model/bw.rs, delay.rs, loss.rs). Texts such as
// "12Mbps" and "1s" (its feature human) and numbers such as
// {"gbps":0,"bps":12000000} and {"secs":1,"nanos":0} are both read, and both
// layouts of TraceBwConfig.
type netemTrace struct{}

const (
	maxNetemSteps = 5_000_000        // values that a file may unfold to
	netemStep     = time.Millisecond // default step of Sawtooth and Normalized configurations
)

func (netemTrace) Name() string { return "netem-trace" }

func (netemTrace) Description() string {
	return "netem-trace and Rattan: JSON or TOML patterns of bandwidth, delay or loss"
}

func (netemTrace) Sniff(head []byte) (string, error) {
	b := bytes.TrimLeft(head, " \t\r\n")
	if name := tomlName(head); len(b) > 0 && b[0] != '{' && name != "" {
		if _, known := netemKind(name); known {
			return fmt.Sprintf("a TOML document that begins with %s", name), nil
		}
	}
	if len(b) == 0 || b[0] != '{' {
		return "", errors.New("does not begin with {, nor with a table of netem-trace")
	}
	key, err := json.NewDecoder(bytes.NewReader(b[1:])).Token()
	if name, ok := key.(string); err == nil && ok {
		if _, known := netemKind(name); known {
			return fmt.Sprintf("a JSON object with the key %q", name), nil
		}
	}
	return "", errors.New("the JSON object's first key is no configuration of netem-trace")
}

// netemKind returns the role of a configuration, by its name.
func netemKind(name string) (Role, bool) {
	stem, ok := strings.CutSuffix(name, "Config")
	if !ok {
		return "", false
	}
	switch strings.TrimSuffix(stem, "Pattern") {
	case "StaticBw", "TraceBw", "NormalizedBw", "SawtoothBw", "RepeatedBw":
		return RoleRate, true
	case "StaticDelay", "RepeatedDelay", "StaticDelayPerPacket", "UniformDelayPerPacket", "NormalizedDelayPerPacket", "LogNormalizedDelayPerPacket", "RepeatedDelayPerPacket":
		return RoleDelay, true
	case "StaticLoss", "RepeatedLoss":
		return RoleLoss, true
	}
	return "", false
}

// netemReader unfolds a document.
type netemReader struct {
	faults Faults
	role   Role
	end    time.Duration
	n      int64
	rates  []sample
	rests  *track
	state  trace.State
	full   bool
	notes  map[string]bool
}

func (r *netemReader) fault(n node, format string, args ...any) {
	r.faults.add(n.line, format, args...)
}

// Import unfolds the patterns. A pattern that repeats for ever (count 0) is
// imported once where it is the whole document, because a tape repeats too. A
// loss list of two values is laid as a Gilbert–Elliott chain: loss[0] is the
// probability to lose after a packet that arrived, loss[1] after one that was
// lost; the last value repeats.
func (netemTrace) Import(in io.Reader, name string, opts ImportOptions) (*Result, error) {
	r := &netemReader{faults: Faults{File: name}, rests: &track{}, notes: map[string]bool{}}
	buffered := bufio.NewReaderSize(in, sniffBytes)
	head, _ := buffered.Peek(sniffBytes) // an error comes again
	read := readJSON
	if _, known := netemKind(tomlName(head)); known && !bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte("{")) {
		read = readTOML
	}
	root, err := read(buffered, name, &r.faults)
	if err != nil {
		return nil, err
	}
	r.state = opts.state()
	r.config(root, true)
	if r.faults.Count == 0 && r.end == 0 {
		r.faults.add(0, "the patterns last no time: give durations above 0")
	}
	if err := r.faults.err(); err != nil {
		return nil, err
	}
	res := &Result{
		Lines: r.n, Gap: opts.Gap,
		HasRate: r.role == RoleRate, HasDelay: r.role == RoleDelay, HasLoss: r.role == RoleLoss,
		Choices: map[string]string{"holds": string(r.role), "interval": "durations are in the file", "step": "as in the file"},
	}
	for _, key := range []string{"repeated for ever: once is imported, because a tape repeats", "a loss list of two values is laid as a Gilbert–Elliott chain"} {
		if r.notes[key] {
			res.warn(0, "%s", key)
		}
	}
	tr := &track{rates: r.rates, rests: r.rests.rests, end: r.end}
	if len(tr.rates) == 0 {
		tr.rates = []sample{{0, 0}}
	}
	if len(tr.rests) == 0 {
		tr.rests = []restAt{{0, r.state}}
	}
	if opts.Step > 0 {
		res.Choices["step"] = opts.Step.String()
	}
	if err := tr.finish(res, opts, opts.Step); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return res, nil
}

// lasts makes room for a value that holds for d; false where it is refused.
func (r *netemReader) lasts(n node, d time.Duration) bool {
	if r.full {
		return false
	}
	if r.n++; r.n > maxNetemSteps {
		r.full = true
		r.fault(n, "the patterns unfold to more than %d values: lower a count", maxNetemSteps)
		return false
	}
	if d > MaxDuration-r.end {
		r.full = true
		r.fault(n, "the patterns last longer than %v", MaxDuration)
		return false
	}
	return true
}

func (r *netemReader) rate(n node, v trace.BitRate, d time.Duration) {
	if d <= 0 || !r.lasts(n, d) {
		return
	}
	if k := len(r.rates) - 1; k < 0 || r.rates[k].rate != v {
		r.rates = append(r.rates, sample{r.end, v})
	}
	r.end += d
}

func (r *netemReader) rest(n node, d time.Duration) {
	if d <= 0 || !r.lasts(n, d) {
		return
	}
	r.rests.rest(r.end, r.state)
	r.end += d
}

// config reads one tagged configuration.
func (r *netemReader) config(n node, top bool) {
	list, ok := n.value.([]member)
	if !ok || len(list) != 1 {
		r.fault(n, "%s in place of a configuration: write an object with one key, such as {\"StaticBwConfig\":{…}}", n.kind())
		return
	}
	name, body := list[0].key, list[0].node
	role, known := netemKind(name)
	switch {
	case !known:
		r.fault(body, "%q is no configuration that is read: bandwidth, delay and loss are, by Static, Trace, Sawtooth and Repeated…Config", name)
		return
	case r.role == "":
		r.role = role
	case r.role != role:
		r.fault(body, "%s holds a %s in a file that began with a %s: write one file for each", name, role, r.role)
		return
	}
	if strings.Contains(name, "DelayPerPacket") {
		r.fault(body, "%s draws a delay for each packet, from no step to the next: take its mean as StaticDelayConfig, or synthesize it with tracegen synth", name)
		return
	}
	if name == "TraceBwConfig" {
		r.traceBw(body)
		return
	}
	keys := map[string]string{
		"StaticBwConfig": "bw duration", "StaticDelayConfig": "delay duration", "StaticLossConfig": "loss duration",
		"NormalizedBwConfig":      "mean std_dev upper_bound lower_bound duration step seed",
		"SawtoothBwConfig":        "bottom top interval duty_ratio duration step seed std_dev upper_noise_bound lower_noise_bound",
		"RepeatedBwPatternConfig": "pattern count", "RepeatedDelayPatternConfig": "pattern count", "RepeatedLossPatternConfig": "pattern count",
	}
	allowed, ok := keys[name]
	if !ok {
		r.fault(body, "%q is no configuration that is read", name)
		return
	}
	before := r.faults.Count
	f := r.object(body, name, strings.Fields(allowed))
	if r.faults.Count > before {
		return
	}
	switch name {
	case "StaticBwConfig":
		v := r.bandwidth(f, "bw", name, 12*trace.Mbit)
		r.rate(body, v, r.duration(f, "duration", name, time.Second))
	case "StaticDelayConfig":
		r.state.Delay = r.duration(f, "delay", name, 10*time.Millisecond)
		if r.state.Delay > trace.MaxDelay {
			r.fault(f["delay"], "delay %v is above %v", r.state.Delay, trace.MaxDelay)
			return
		}
		r.rest(body, r.duration(f, "duration", name, time.Second))
	case "StaticLossConfig":
		r.loss(f, name)
		r.rest(body, r.duration(f, "duration", name, time.Second))
	case "NormalizedBwConfig":
		r.normalized(body, f, name)
	case "SawtoothBwConfig":
		r.sawtooth(body, f, name)
	default:
		r.repeated(body, f, top)
	}
}

// object returns the members of a body by key.
func (r *netemReader) object(n node, name string, allowed []string) map[string]node {
	list, ok := n.value.([]member)
	if !ok {
		r.fault(n, "%s is %s: write an object", name, n.kind())
		return nil
	}
	out := make(map[string]node, len(list))
next:
	for _, m := range list {
		if _, twice := out[m.key]; twice {
			r.fault(m.node, "%s has the key %q twice", name, m.key)
		}
		for _, a := range allowed {
			if m.key == a {
				out[m.key] = m.node
				continue next
			}
		}
		r.fault(m.node, "%s has no key %q: it has %s", name, m.key, strings.Join(allowed, ", "))
	}
	return out
}

// need returns a member that the format would fill with a default of its own;
// such a guess is refused.
func (r *netemReader) need(f map[string]node, key, name string, own any) (node, bool) {
	n, ok := f[key]
	if !ok || n.value == nil {
		line := int64(0)
		for _, x := range f {
			line = max(line, x.line)
		}
		r.faults.add(line, "%s has no %s: write it (netem-trace would take %v)", name, key, own)
		return n, false
	}
	return n, true
}

func (r *netemReader) bandwidth(f map[string]node, key, name string, own trace.BitRate) trace.BitRate {
	n, ok := r.need(f, key, name, own)
	if !ok {
		return 0
	}
	v, err := netemBandwidth(n)
	if err != nil {
		r.fault(n, "%s of %s %v", key, name, err)
	}
	return v
}

func (r *netemReader) duration(f map[string]node, key, name string, own time.Duration) time.Duration {
	n, ok := r.need(f, key, name, own)
	if !ok {
		return 0
	}
	v, err := netemDuration(n)
	if err != nil {
		r.fault(n, "%s of %s %v", key, name, err)
	}
	return v
}

// netemUnits are those of human_bandwidth and humantime, as powers of ten of
// bit/s or as ns.
func netemBandwidth(n node) (trace.BitRate, error) {
	switch v := n.value.(type) {
	case string:
		total, err := quantity(v, map[string]int64{"bps": 1, "bit/s": 1, "b/s": 1, "kbps": 1e3, "kbit/s": 1e3, "kb/s": 1e3,
			"Mbps": 1e6, "Mbit/s": 1e6, "Mb/s": 1e6, "Gbps": 1e9, "Gbit/s": 1e9, "Gb/s": 1e9, "Tbps": 1e12, "Tbit/s": 1e12, "Tb/s": 1e12}, true, int64(trace.MaxRate))
		if err != nil {
			return 0, fmt.Errorf("is %q: %w: write such as 12Mbps", v, err)
		}
		return trace.BitRate(total), nil
	case []member:
		gbps, bps, err := pair(v, "gbps", "bps")
		if err != nil {
			return 0, err
		}
		if gbps > int64(trace.MaxRate/trace.Gbit) || bps >= 1e9 || trace.BitRate(gbps)*trace.Gbit+trace.BitRate(bps) > trace.MaxRate {
			return 0, fmt.Errorf("is above %v, or its bps are not below 10^9", trace.MaxRate)
		}
		return trace.BitRate(gbps)*trace.Gbit + trace.BitRate(bps), nil
	}
	return 0, fmt.Errorf("is %s: write \"12Mbps\" or {\"gbps\":0,\"bps\":12000000}", n.kind())
}

func netemDuration(n node) (time.Duration, error) {
	switch v := n.value.(type) {
	case string:
		total, err := quantity(v, map[string]int64{"ns": 1, "nsec": 1, "us": 1e3, "µs": 1e3, "usec": 1e3, "ms": 1e6, "msec": 1e6,
			"s": 1e9, "sec": 1e9, "secs": 1e9, "second": 1e9, "seconds": 1e9, "m": 60e9, "min": 60e9, "mins": 60e9, "minute": 60e9, "minutes": 60e9,
			"h": 3600e9, "hr": 3600e9, "hour": 3600e9, "hours": 3600e9, "d": 86400e9, "day": 86400e9, "days": 86400e9}, false, int64(MaxDuration))
		if err != nil {
			return 0, fmt.Errorf("is %q: %w: write such as 100ms", v, err)
		}
		return time.Duration(total), nil
	case []member:
		secs, nanos, err := pair(v, "secs", "nanos")
		if err != nil {
			return 0, err
		}
		if nanos >= 1e9 || secs >= int64(MaxDuration/time.Second) {
			return 0, fmt.Errorf("is longer than %v, or its nanos are not below 10^9", MaxDuration)
		}
		return time.Duration(secs)*time.Second + time.Duration(nanos), nil
	}
	return 0, fmt.Errorf("is %s: write \"100ms\" or {\"secs\":0,\"nanos\":100000000}", n.kind())
}

// pair reads an object of two whole numbers.
func pair(list []member, a, b string) (va, vb int64, err error) {
	seen := map[string]int64{}
	for _, m := range list {
		num, ok := m.value.(json.Number)
		if !ok {
			return 0, 0, fmt.Errorf("has %q with %s: write a whole number", m.key, m.kind())
		}
		v, perr := parseInt([]byte(num), 1<<62)
		if perr != nil {
			return 0, 0, fmt.Errorf("has %q with %s, which is %w", m.key, num, perr)
		}
		seen[m.key] = v
	}
	va, oka := seen[a]
	vb, okb := seen[b]
	if !oka || !okb || len(seen) != 2 || len(list) != 2 {
		return 0, 0, fmt.Errorf("has other keys than %q and %q", a, b)
	}
	return va, vb, nil
}

// quantity reads a sum of numbers with units, such as "1s 500ms" or "1.5Mbps";
// fractions are read where the format does and what is below one is left out.
func quantity(s string, units map[string]int64, fraction bool, most int64) (int64, error) {
	rest := strings.TrimSpace(s)
	if rest == "" {
		return 0, errors.New("empty")
	}
	total := new(big.Int)
	for rest != "" {
		k := 0
		for k < len(rest) && (rest[k] >= '0' && rest[k] <= '9' || rest[k] == '.') {
			k++
		}
		num := rest[:k]
		if k > 40 {
			return 0, errRange
		}
		rest = strings.TrimLeft(rest[k:], " ")
		k = 0
		for k < len(rest) && rest[k] != ' ' && (rest[k] < '0' || rest[k] > '9') {
			k++
		}
		unit := rest[:k]
		factor, ok := units[unit]
		switch {
		case num == "":
			return 0, errNumber
		case !ok && unit == "":
			return 0, errors.New("a number without a unit")
		case !ok:
			return 0, fmt.Errorf("%q is no unit", rest[:k])
		}
		whole, frac, dotted := strings.Cut(num, ".")
		if dotted && (!fraction || frac == "" || strings.Contains(frac, ".")) || whole == "" {
			return 0, errNumber
		}
		v, ok1 := new(big.Int).SetString(whole+frac, 10)
		if !ok1 {
			return 0, errNumber
		}
		v.Mul(v, big.NewInt(factor))
		v.Quo(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(frac))), nil))
		total.Add(total, v)
		if !total.IsInt64() || total.Int64() > most {
			return 0, errRange
		}
		rest = strings.TrimLeft(rest[k:], " ")
	}
	return total.Int64(), nil
}

// traceBw reads [[duration, [bw, …]], …], by itself or as the member pattern;
// numbers are ms and Mbit/s.
func (r *netemReader) traceBw(n node) {
	if list, ok := n.value.([]member); ok && len(list) == 1 && list[0].key == "pattern" {
		n = list[0].node
	}
	list, ok := n.value.([]node)
	if !ok {
		r.fault(n, "TraceBwConfig is %s: write a list such as [[\"1ms\",[\"2Mbps\",\"4Mbps\"]]]", n.kind())
		return
	}
	for _, e := range list {
		p, ok := e.value.([]node)
		if !ok || len(p) != 2 {
			r.fault(e, "an entry of TraceBwConfig is %s: write a duration and a list of bandwidths", e.kind())
			continue
		}
		var d time.Duration
		var err error
		if num, ok := p[0].value.(json.Number); ok {
			var v int64
			v, err = parseScaled([]byte(num), 6, int64(MaxDuration))
			d = time.Duration(v)
			if err != nil {
				err = fmt.Errorf("of %s ms is %w", num, err)
			}
		} else {
			d, err = netemDuration(p[0])
		}
		if err != nil {
			r.fault(p[0], "the duration of TraceBwConfig %v", err)
			continue
		}
		bws, ok := p[1].value.([]node)
		if !ok {
			r.fault(p[1], "the bandwidths of TraceBwConfig are %s: write a list", p[1].kind())
			continue
		}
		for _, b := range bws {
			var v trace.BitRate
			if num, ok := b.value.(json.Number); ok {
				var x int64
				x, err = parseScaled([]byte(num), 6, int64(trace.MaxRate))
				v = trace.BitRate(x)
				if err != nil {
					err = fmt.Errorf("of %s Mbit/s is %w", num, err)
				}
			} else {
				v, err = netemBandwidth(b)
			}
			if err != nil {
				r.fault(b, "a bandwidth of TraceBwConfig %v", err)
				continue
			}
			r.rate(b, v, d)
		}
	}
}

// loss reads loss[i], the probability to lose a packet after i lost ones.
func (r *netemReader) loss(f map[string]node, name string) {
	n, ok := r.need(f, "loss", name, "[0.1, 0.2]")
	if !ok {
		return
	}
	list, ok := n.value.([]node)
	if !ok {
		r.fault(n, "loss of %s is %s: write a list such as [0.01]", name, n.kind())
		return
	}
	var p []trace.Prob
	for _, x := range list {
		num, ok := x.value.(json.Number)
		v, err := strconv.ParseFloat(string(num), 64)
		if !ok || err != nil || !trace.Prob(v).Valid() {
			r.fault(x, "loss of %s holds %s that is no probability: write 0 to 1", name, x.kind())
			return
		}
		p = append(p, trace.Prob(v))
	}
	for len(p) > 1 && p[len(p)-1] == p[len(p)-2] {
		p = p[:len(p)-1]
	}
	r.state.Loss, r.state.GE = 0, trace.GE{}
	switch len(p) {
	case 0:
	case 1:
		r.state.Loss = p[0]
	case 2:
		r.state.GE = trace.GE{P: p[0], R: 1 - p[1], LossBad: 1}
		r.notes["a loss list of two values is laid as a Gilbert–Elliott chain"] = true
	default:
		r.fault(n, "loss of %s has %d different values: a tape tells losses after an arrival from those after a loss, so write at most two", name, len(p))
	}
}

// spread refuses a configuration that draws from a random number generator of
// another program.
func (r *netemReader) spread(body node, f map[string]node, name string) bool {
	n, ok := f["std_dev"]
	if !ok || n.value == nil {
		return true
	}
	v, err := netemBandwidth(n)
	switch {
	case err != nil:
		r.fault(n, "std_dev of %s %v", name, err)
		return false
	case v != 0:
		r.fault(n, "%s is random (std_dev %v): its draws are those of netem-trace's generator and cannot be made here; write a scenario and use tracegen synth", name, v)
		return false
	}
	return true
}

func (r *netemReader) normalized(body node, f map[string]node, name string) {
	if !r.spread(body, f, name) {
		return
	}
	v := r.bandwidth(f, "mean", name, 12*trace.Mbit)
	if _, ok := f["lower_bound"]; ok {
		v = max(v, r.bandwidth(f, "lower_bound", name, 0))
	}
	if _, ok := f["upper_bound"]; ok {
		v = min(v, r.bandwidth(f, "upper_bound", name, 0))
	}
	r.rate(body, v, r.duration(f, "duration", name, time.Second))
}

// sawtooth rises from bottom to top for duty_ratio of the interval and falls
// back in the rest, sampled at steps (SawtoothBw::next_bw).
func (r *netemReader) sawtooth(body node, f map[string]node, name string) {
	if !r.spread(body, f, name) {
		return
	}
	before := r.faults.Count
	bottom := r.bandwidth(f, "bottom", name, 0)
	top := r.bandwidth(f, "top", name, 12*trace.Mbit)
	interval := r.duration(f, "interval", name, time.Second)
	duration := r.duration(f, "duration", name, time.Second)
	step := netemStep
	if _, ok := f["step"]; ok {
		step = r.duration(f, "step", name, netemStep)
	}
	duty := int64(0)
	if n, ok := r.need(f, "duty_ratio", name, 1); ok {
		num, isNum := n.value.(json.Number)
		var err error
		duty, err = parseScaled([]byte(num), 9, 1e9)
		if !isNum || err != nil {
			r.fault(n, "duty_ratio of %s is not between 0 and 1", name)
		}
	}
	if r.faults.Count > before {
		return
	}
	switch {
	case top < bottom:
		r.fault(body, "top of %s is below bottom", name)
		return
	case interval <= 0 || step <= 0:
		r.fault(body, "interval and step of %s must be above 0", name)
		return
	case interval > 1<<53:
		r.fault(body, "interval of %s is too long", name)
		return
	}
	rise, _, _ := fill.Mul(uint64(interval), uint64(duty)).Div(1e9)
	change := time.Duration(rise)
	span := uint64(top - bottom)
	part := func(a, b time.Duration) trace.BitRate { // of the span
		q, _, _ := fill.Mul(span, uint64(a)).Div(uint64(b))
		return trace.BitRate(q)
	}
	current := time.Duration(0)
	for duration > 0 && !r.full {
		v := bottom
		if current < change {
			v += part(current, change)
		} else {
			v = top - part(current-change, interval-change)
		}
		d := min(step, duration)
		r.rate(body, v, d)
		duration -= d
		current += d
		if current >= interval {
			current -= interval // once, as netem-trace does
			if current >= interval {
				current %= interval
			}
		}
	}
}

func (r *netemReader) repeated(body node, f map[string]node, top bool) {
	n, ok := f["pattern"]
	list, isList := n.value.([]node)
	if !ok || !isList || len(list) == 0 {
		r.fault(body, "the pattern is empty or no list: write a list of configurations")
		return
	}
	count := int64(0)
	if c, ok := f["count"]; ok {
		num, isNum := c.value.(json.Number)
		v, err := parseInt([]byte(num), 1<<62)
		if !isNum || err != nil {
			r.fault(c, "count is no whole number")
			return
		}
		count = v
	}
	if count == 0 {
		if !top {
			r.fault(body, "a pattern inside another repeats for ever (count 0): what follows it is never reached; give it a count")
			return
		}
		r.notes["repeated for ever: once is imported, because a tape repeats"] = true
		count = 1
	}
	before, from := r.faults.Count, r.end
	rate0, rest0 := len(r.rates), len(r.rests.rests)
	for _, x := range list {
		r.config(x, top && len(list) == 1 && count == 1)
	}
	if r.faults.Count > before || r.end == from || r.full {
		return
	}
	// What was unfolded once is laid again as it is.
	long := r.end - from
	rates := append([]sample(nil), r.rates[max(rate0-1, 0):]...)
	rests := append([]restAt(nil), r.rests.rests[max(rest0-1, 0):]...)
	for i := int64(1); i < count && !r.full; i++ {
		for k, x := range rates {
			if a, b := max(x.at, from), spanEnd(rates, k, from+long); a < b {
				r.rate(body, x.rate, b-a)
			}
		}
		for k, x := range rests {
			b := from + long
			if k+1 < len(rests) {
				b = rests[k+1].at
			}
			if a := max(x.at, from); a < b {
				r.state = x.state
				r.rest(body, b-a)
			}
		}
	}
}

// Export writes one part of the states: opts.What is bandwidth (the default),
// delay or loss. Static configurations in a pattern that repeats for ever are
// read by every version of netem-trace.
func (netemTrace) Export(w io.Writer, d Direction, opts ExportOptions) (*Exported, error) {
	loops, total, err := opts.extent(d)
	if err != nil {
		return nil, err
	}
	what := opts.What
	if what == "" {
		what = "bandwidth"
	}
	kind := map[string]string{"bandwidth": "Bw", "delay": "Delay", "loss": "Loss"}[what]
	if kind == "" {
		return nil, fmt.Errorf("export %s: what %q: write bandwidth, delay or loss", d.LinkDir, what)
	}
	out := &Exported{Duration: total}
	bw := bufio.NewWriterSize(w, 64<<10)
	fmt.Fprintf(bw, "{\"Repeated%sPatternConfig\":{\"pattern\":[", kind)
	var served trace.Service
	var lost droppedParts
	write := func(s trace.State, from, to time.Duration) error {
		if to <= from {
			return nil
		}
		if out.Lines > 0 {
			bw.WriteByte(',')
		}
		out.Lines++
		served.Add(s.Capacity(), to-from)
		fmt.Fprintf(bw, "\n{\"Static%sConfig\":{", kind)
		switch what {
		case "bandwidth":
			fmt.Fprintf(bw, "\"bw\":%s", netemRate(s.Capacity(), opts.Plain))
		case "delay":
			fmt.Fprintf(bw, "\"delay\":%s", netemTime(s.Delay, opts.Plain))
		case "loss":
			fmt.Fprintf(bw, "\"loss\":%s", netemLoss(s))
		}
		_, err := fmt.Fprintf(bw, ",\"duration\":%s}}", netemTime(to-from, opts.Plain))
		return err
	}
	part := func(s trace.State) trace.State {
		var p trace.State
		switch what {
		case "bandwidth":
			p.Rate, p.Carrier = s.Capacity(), true
		case "delay":
			p.Delay = s.Delay
		case "loss":
			p.Loss, p.GE = s.Loss, s.GE
			if !s.Carrier {
				p.Loss, p.GE = 1, trace.GE{}
			}
		}
		return p
	}
	err = runs(d, loops, part, opts.Progress, total, func(s trace.State) { lost.add(s) }, write)
	if err == nil {
		bw.WriteString("\n],\"count\":0}}\n")
		err = bw.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("export %s: %w", d.LinkDir, err)
	}
	if what == "bandwidth" {
		out.Bytes = served.Bytes()
	}
	out.Warnings = lost.warnings(what)
	return out, nil
}

// netemRate writes a rate exactly, for the feature human in whole parts.
func netemRate(r trace.BitRate, plain bool) string {
	if plain {
		return fmt.Sprintf("{\"gbps\":%d,\"bps\":%d}", r/trace.Gbit, r%trace.Gbit)
	}
	var parts []string
	for _, u := range []struct {
		unit trace.BitRate
		name string
	}{{trace.Gbit, "Gbps"}, {trace.Mbit, "Mbps"}, {trace.Kbit, "kbps"}, {1, "bps"}} {
		if v := r / u.unit; v > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", v, u.name))
			r %= u.unit
		}
	}
	if parts == nil {
		parts = []string{"0bps"}
	}
	return strconv.Quote(strings.Join(parts, " "))
}

// netemTime writes a time exactly.
func netemTime(d time.Duration, plain bool) string {
	if plain {
		return fmt.Sprintf("{\"secs\":%d,\"nanos\":%d}", d/time.Second, d%time.Second)
	}
	var parts []string
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"}, {1, "ns"}} {
		if v := d / u.unit; v > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", v, u.name))
			d %= u.unit
		}
	}
	if parts == nil {
		parts = []string{"0s"}
	}
	return strconv.Quote(strings.Join(parts, " "))
}

// netemLoss writes the probabilities to lose a packet after an arrival and
// after a loss. They are exact for independent losses and for a chain whose bad
// state loses all and whose good state loses nothing; of any other chain the
// mean is kept.
func netemLoss(s trace.State) string {
	one := func(p float64) string { return strconv.FormatFloat(p, 'g', -1, 64) }
	if !s.GE.Enabled() {
		return "[" + one(float64(s.Loss)) + "]"
	}
	g := s.GE
	if g.LossBad == 1 && g.LossGood == 0 {
		return "[" + one(float64(g.P)) + "," + one(1-float64(g.R)) + "]"
	}
	return "[" + one(g.Loss()) + "]"
}
