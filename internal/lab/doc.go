// Package lab runs commands inside a User-Mode-Linux kernel of our own, in
// virtual time: time moves only when every process waits, computing costs none
// of it, and the same experiment gives the same result every time, on any
// machine. It needs no root.
//
// [Run] runs one command as root of a fresh lab, with the caller's working
// directory, environment and streams. The lab sees the host's file system
// through an overlay: what is written stays inside, except below the directories
// that [Options] names. Nothing is left when Run returns, no process and no
// file.
//
// One program is three things: the host's side, a stage between fork and kernel
// that takes away what is random ([Stages] says how a program becomes one), and
// the first process of the guest. The kernel is built by [Build] from Debian's
// kernel source with the embedded configuration.
//
// [FindKernel] finds other kernels, which run in real time: Debian's packages,
// as User-Mode-Linux or in a computer that QEMU emulates. The latter shares
// nothing with the host and gets what it needs in an archive.
//
// Labs run on Linux on amd64. Elsewhere the package builds, and Run returns
// [ErrNotSupported].
package lab
