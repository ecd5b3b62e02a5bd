// Package media makes and checks the stream of a trial: a valid MPEG transport
// stream of constant rate whose datagrams are numbered and stamped, and carry a
// checksum in every packet.
//
// A [Stream] makes datagrams of seven packets of 188 bytes: a program association
// table, a program map table and a program clock reference where they are due,
// and packets of a private stream ([MediaPID]) everywhere else. Each of the latter
// says which datagram it belongs to and when that was sent, and is checked for
// itself, so that a [Checker] finds datagrams again whatever cut the stream into
// other pieces on its way.
//
// [Source.Run] sends a stream on schedule, [Sink.Run] receives and checks one.
package media
