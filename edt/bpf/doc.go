// Package bpf is the arithmetic of package edt in the kernel: a program at the egress
// of a device that decides, when a packet arrives, when it leaves, and says so in its
// time stamp; fq, the device's root qdisc, holds it until then.
//
// A [Program] is one direction of one link: the program, its tape, which is a ring of
// steps in memory that both sides share, and what it counts. [Program.Tape] writes the
// ring with the arithmetic of [edt.Window]; the program reads it and computes as
// [edt.Model] does, bit for bit.
//
// edt.o is edt.c compiled by make bpf; a test compiles it anew and compares.
//
// Kernel: BPF programs at clsact (CONFIG_NET_CLS_BPF, CONFIG_NET_SCH_INGRESS) with
// spin locks and maps in shared memory, from Linux 5.5; the privileges CAP_BPF (before
// 5.8 CAP_SYS_ADMIN) and CAP_NET_ADMIN.
package bpf
