// Package replay applies a tape to the links of a run, on time.
//
// [New] reads a window of a tape and refuses what could not be played to its
// end; [Player.Run] plays it: every step at one epoch plus its offset. A
// producer reads ahead and turns steps into entries that say how long each one
// holds; the loop, on a thread of its own, prepares the entries of an instant,
// sleeps until they are due, sends them and notes when. It allocates nothing, takes no lock and writes
// nothing: what it has to tell goes through rings to a logger and through
// atomic counters to whoever watches. A late step is applied at once and its
// lateness recorded; later deadlines do not move.
//
// The epoch is at once, at an instant of the wall clock ([Options.At]), which a
// late start joins where the tape is by then, or when a [Trigger] comes.
//
// While it plays, [Player.Do] carries out what is asked for by hand: a pause, a step,
// a skip, a cut of a link; [Player.Status] says how it stands. Both may be called by
// any goroutine. The loop looks at one flag for them.
//
// [Summary] says how late the steps were, how far apart the steps of one
// instant reached different links, and what the links delivered against what
// the tape allowed.
package replay
