// Package report reads the folder of a replay, or of one that was killed, and says
// what it did: as figures ([Read]), as a page ([Page]) that needs neither a network
// nor scripts, and beside another replay ([Compare]).
//
// The tables are read as streams; what is kept is one value for each bin of time
// and direction, whatever their length.
package report
