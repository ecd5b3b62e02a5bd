// Package house holds the tests that keep the house in order. They read the
// sources of the whole module:
//
//   - the layers: which package may import which other ones of ours, and that
//     netlink stays in netsetup, Arrow in trace and eBPF in edt/bpf;
//   - no package named util or common, no func init, no package-level variable
//     that only serves to be set from elsewhere;
//   - no file that names a directory of one machine, no CRLF line ends.
//
// The tests say what is wrong in which file, and which rule to change when the
// design has changed.
package house
