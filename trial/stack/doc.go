// Package stack knows the bonding senders and receivers of a trial: how they are
// called, what they need, and what their statistics say.
//
// A [Stack] turns a [Setup], the links and the local ends of the stream, into two
// commands. [Librist] and [GStreamer] read their own statistics, with the defects
// that are known of them taken care of; [Exec] runs any two commands, whose
// templates and environment name the links.
package stack
