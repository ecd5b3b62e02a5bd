// Package stamp reads the kernel's time of receiving a packet.
package stamp
