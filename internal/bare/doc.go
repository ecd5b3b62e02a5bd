// Package bare writes a tape's rows with the Parquet library by itself: columns
// that are ready, no checks, no hash. It is what the writing of tapes is
// compared with in benchmarks, and no tape: it lacks the metadata. Up to the
// file's footer the bytes are a tape's.
package bare
