// Package compare says in what two builds differ: two suites, or two trials, paired
// by case and seed.
//
// The two of a pair have met the same network: the SHA-256 of their tapes are the
// same, and so are the steps that were applied, by package replay/report. Pairs of
// which that is not so are refused ([ErrUnequal]) or left out.
//
// Of each metric the differences B − A of the pairs are taken, their mean, and a
// confidence interval of it by the bootstrap ([Interval]). A metric is worse when
// its mean difference is, by its [Rule], worse by more than is tolerated, and the
// whole interval lies on the worse side of 0.
package compare
