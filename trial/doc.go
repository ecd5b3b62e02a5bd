// Package trial runs a bonding sender and receiver over the links of a tape and
// writes what happened into a folder.
//
// [Run] builds the links, captures at both ends of each, starts receiver and sender
// between a source and a sink of ours (package media), replays the tape, stops
// everything and takes the links down, also when it is interrupted. What is run is
// a [Config]: from flags, or from a file that [Parse] reads. [MakeTape] puts the tape
// where Run expects it.
//
// A trial's folder:
//
//	trial.json                   what was run, and what became of it: [Manifest]
//	tape.parquet                 the tape as played
//	replay/                      as replay run --out writes it
//	capture/LINK.snd.pcap, LINK.rcv.pcap
//	                             both directions at both ends, the first bytes of each frame
//	source.parquet               [media.SourceRow] for each datagram
//	sink.parquet                 [media.SinkRow] for each that arrived, in order of arrival
//	stack.parquet                [stack.Row] for each figure of the stack's own statistics
//	cross.parquet                [CrossRow] for each 100 ms of each flow of cross traffic
//	log/                         what sender and receiver wrote
//
// Instants are nanoseconds since the epoch, the tape's first instant.
package trial
