// Package dataset makes libraries of tapes: scenarios, each with many seeds, as
// a folder that Parquet readers take for one table, partitioned as Hive does it.
//
//	DIR/scenario=NAME/seed=N/tape.parquet
//
// Each file is an ordinary tape, with the bytes that the scenario and the seed
// give alone. [New] reads the scenarios, [Set.Make] makes the tapes in parallel.
//
// Making is resumable. A tape that is there, whole, and of the same scenario
// text with its overrides, seed and generator is kept. Anything else under its
// name is a failure that says what differs, and so is a tape of another seed
// that does not belong to what is made; nothing is replaced unless
// [Options.Force] says so. A tape appears under its name when it is complete.
// What a killed run has left behind is removed by the next one.
//
// Two runs may fill one folder at the same time: a run holds a lock (flock) on
// the folder of each tape while it writes there.
package dataset
