package synth

import "math"

// normalQuantile returns the deviate below which a standard normal variable
// falls with probability p in (0, 1); relative accuracy about 1 in 10¹⁶. It
// rises with p.
// Source: Wichura 1988, Algorithm AS 241, routine PPND16, Applied Statistics 37(3).
func normalQuantile(p float64) float64 {
	const (
		split1, const1 = 0.425, 0.180625
		split2, const2 = 5.0, 1.6

		a0, a1, a2, a3 = 3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4
		a4, a5, a6, a7 = 4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3
		b1, b2, b3, b4 = 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3, 2.1213794301586595867e+4
		b5, b6, b7     = 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3

		c0, c1, c2, c3 = 1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0
		c4, c5, c6, c7 = 1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4
		d1, d2, d3, d4 = 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1
		d5, d6, d7     = 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9

		e0, e1, e2, e3 = 6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1
		e4, e5, e6, e7 = 2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7
		f1, f2, f3, f4 = 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4
		f5, f6, f7     = 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15
	)
	q := p - 0.5
	if q >= -split1 && q <= split1 {
		r := const1 - float64(q*q)
		num := float64((float64((float64((float64((float64((float64((float64(a7*r)+a6)*r)+a5)*r)+a4)*r)+a3)*r)+a2)*r)+a1)*r) + a0
		den := float64((float64((float64((float64((float64((float64((float64(b7*r)+b6)*r)+b5)*r)+b4)*r)+b3)*r)+b2)*r)+b1)*r) + 1
		return q * num / den
	}
	r := p
	if q > 0 {
		r = 1 - p
	}
	r = math.Sqrt(-log(r))
	var x float64
	if r <= split2 {
		r -= const2
		num := float64((float64((float64((float64((float64((float64((float64(c7*r)+c6)*r)+c5)*r)+c4)*r)+c3)*r)+c2)*r)+c1)*r) + c0
		den := float64((float64((float64((float64((float64((float64((float64(d7*r)+d6)*r)+d5)*r)+d4)*r)+d3)*r)+d2)*r)+d1)*r) + 1
		x = num / den
	} else {
		r -= split2
		num := float64((float64((float64((float64((float64((float64((float64(e7*r)+e6)*r)+e5)*r)+e4)*r)+e3)*r)+e2)*r)+e1)*r) + e0
		den := float64((float64((float64((float64((float64((float64((float64(f7*r)+f6)*r)+f5)*r)+f4)*r)+f3)*r)+f2)*r)+f1)*r) + 1
		x = num / den
	}
	if q < 0 {
		return -x
	}
	return x
}
