// Package suite runs trials by the dozen: cases, each with several seeds, judged by
// thresholds.
//
// A case is a trial file; a suite is a file that lists cases:
//
//	suite: nightly
//	description: what we look at every night
//	seeds: 5               # 1 to 5; or a list, [3, 14, 15]
//	judge: median          # of the seeds' values, or every: each seed's
//	cases:
//	  - strategy-bonding   # of the library
//	  - ./tunnel.yaml      # trial file, scenario or tape, from the suite's folder
//
// [Open] reads one, or takes one of those that the program carries with it;
// [New] makes a [Plan] of it: which trials are run, and how. A plan can be divided
// over machines ([Plan.Shard]); what they leave is put together by [Merge].
// [Runner] runs what has not been run with the same inputs before, and [Summarize]
// reads what is there.
//
// A suite's folder:
//
//	suite.json               what was asked for: [Manifest]
//	CASE/case.yaml           the trial file as run
//	CASE/seed-N/             the trial's folder (package trial), with its metrics and report
//	CASE/seed-N/run.json     how it went: [Run]; written last
//	results.json             medians, spread and verdicts: [Results]
//	junit.xml                the verdicts, for CI systems
//	runs.parquet             [ValueRow] for each metric of each trial
//	cases.parquet            [SpreadRow] for each metric of each case
package suite
