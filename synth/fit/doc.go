// Package fit estimates the processes of package synth from a timeline, with
// confidence intervals, and writes a scenario that makes lookalikes.
//
// [Fit] describes each direction: the rate as an Ornstein–Uhlenbeck process of
// the value or its logarithm with a share of white noise, or as a chain of such
// regimes; outages; loss; delay with spikes. Between directions it estimates the
// correlation of the Ornstein–Uhlenbeck parts. [Report.Scenario] writes it down,
// [Compare] sets two timelines side by side.
//
// # The rate
//
// It is the mean over bins, by default as long as the median distance of the
// direction's steps. Bins that an outage touches are missing: they are predicted
// over, not joined. Rates at a floor or ceiling, which many samples share
// exactly, are known to lie at or beyond it and count as censored. A rate of 0
// that is too short for an outage is one at the floor. The parameters maximise
// the restricted likelihood from the Kalman filter; intervals of 95 % come from
// the observed information, in ln σ, ln τ and the logit of the noise share, and
// from the profile likelihood where that is doubtful.
//
// Two or three regimes are reported where, each with a process of its own, they
// beat a single process by the Bayesian information criterion although only
// their likeliest course is counted in their favour.
package fit
