package synth

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestElementaryFunctions compares with package math, whose own error is below
// 1 ulp as well: two roundings of one value differ by 1 ulp at most, or by 2
// where one of them is on the far side.
func TestElementaryFunctions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	ulps := func(a, b float64) uint64 {
		d := int64(math.Float64bits(a)) - int64(math.Float64bits(b))
		return uint64(max(d, -d))
	}
	for range 200_000 {
		x := (rng.Float64() - 0.5) * math.Exp2(rng.Float64()*60-50)
		if x > 700 || x < -700 {
			continue
		}
		if got, want := exp(x), math.Exp(x); ulps(got, want) > 2 {
			t.Fatalf("exp(%v): got %v, want %v", x, got, want)
		}
		y := math.Exp2(rng.Float64()*2000 - 1000)
		if rng.IntN(2) == 0 {
			y = 0.5 + rng.Float64()
		}
		if got, want := log(y), math.Log(y); ulps(got, want) > 2 {
			t.Fatalf("log(%v): got %v, want %v", y, got, want)
		}
	}
	// The assembly of package math differs at the edges (Go 1.26), so no comparison with it here.
	for _, c := range [][2]float64{
		{exp(0), 1},
		{exp(1), math.E},
		{exp(-745), 5e-324},
		{exp(710), math.Inf(1)},
		{exp(-746), 0},
		{exp(1e-300), 1},
		{exp(709.7), 1.6549840276802644e+308},
		{log(1), 0},
		{log(math.E), 1},
		{log(0), math.Inf(-1)},
		{log(math.Inf(1)), math.Inf(1)},
		{log(5e-324), -744.4400719213812},
	} {
		if c[0] != c[1] {
			t.Errorf("got %v, want %v", c[0], c[1])
		}
	}
	if !math.IsNaN(log(-1)) || !math.IsNaN(log(math.NaN())) || !math.IsNaN(exp(math.NaN())) {
		t.Error("NaN does not pass through")
	}
}

// TestUlp compares exp with its series in 200 bits, and log with the root of
// that: both are within 1 ulp of the exact value.
func TestUlp(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	number := func(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
	exact := func(x float64) *big.Float {
		// e^x = (e^(x/2^20))^(2^20).
		y := number(x)
		y.SetMantExp(y, -20)
		sum, term := number(1), number(1)
		for i := 1; i < 20; i++ {
			term.Mul(term, y)
			term.Quo(term, number(float64(i)))
			sum.Add(sum, term)
		}
		for range 20 {
			sum.Mul(sum, sum)
		}
		return sum
	}
	ulp := func(x float64) float64 { return math.Nextafter(math.Abs(x), math.Inf(1)) - math.Abs(x) }
	worstExp, worstLog := 0.0, 0.0
	for range 3000 {
		x := (rng.Float64() - 0.5) * 40
		got := exp(x)
		d, _ := new(big.Float).Sub(exact(x), number(got)).Float64()
		worstExp = max(worstExp, math.Abs(d)/ulp(got))

		// For y = log(v), the error of y is (e^y − v)/v to first order.
		v := math.Exp2((rng.Float64() - 0.5) * 40)
		y := log(v)
		e := new(big.Float).Sub(exact(y), number(v))
		d, _ = e.Quo(e, number(v)).Float64()
		worstLog = max(worstLog, math.Abs(d)/ulp(y))
	}
	t.Logf("worst error: exp %.3f ulp, log %.3f ulp", worstExp, worstLog)
	if worstExp > 1 || worstLog > 1 {
		t.Errorf("worst error: exp %.3f ulp, log %.3f ulp, want at most 1", worstExp, worstLog)
	}
}

func TestNormalQuantile(t *testing.T) {
	// The first three are the check values of the paper.
	for _, c := range []struct{ p, want float64 }{
		{0.25, -0.6744897501960817},
		{0.001, -3.090232306167814},
		{1e-20, -9.262340089798408},
		{0.5, 0},
		{0.975, 1.959963984540054},
		{0.84134474606854293, 1},
		{0.999, 3.090232306167814},
	} {
		if got := normalQuantile(c.p); math.Abs(got-c.want) > 1e-15*max(1, math.Abs(c.want)) {
			t.Errorf("normalQuantile(%v): got %.17g, want %.17g", c.p, got, c.want)
		}
	}
	// Φ of the quantile is the probability again, into the tails.
	prev := math.Inf(-1)
	for e := -300.0; e < -0.31; e += 0.01 {
		p := math.Pow(10, e)
		x := normalQuantile(p)
		if x <= prev {
			t.Fatalf("normalQuantile(%v) = %v does not rise", p, x)
		}
		prev = x
		if back := 0.5 * math.Erfc(-x/math.Sqrt2); math.Abs(back/p-1) > 1e-12 {
			t.Fatalf("Φ(normalQuantile(%v)): got %v", p, back)
		}
		if q := 1 - p; p > 1e-3 && math.Abs(normalQuantile(q)+x) > 1e-12 {
			t.Fatalf("normalQuantile(%v): got %v, want %v", q, normalQuantile(q), -x)
		}
	}
}
