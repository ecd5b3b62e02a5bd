#!/bin/sh
# Writes golden.txt: what tc sends to the kernel for each line of cases.txt.
#
#	sh netsetup/testdata/tc/capture.sh      # as root
#
# tc runs under strace in a network namespace of its own, on an interface with
# index 2. It needs iproute2, strace, and ifb, dummy or veth in the kernel. A
# kernel without netem refuses the netem requests; what was sent is the same.
#
# golden.txt holds the version of tc, then for each case a line with its name
# and command and a line with the bytes of its request (struct nlmsghdr and all
# that follows) in hexadecimal. The sequence number, which is the time of day,
# is set to 0. Numbers are in the byte order of the machine: little-endian.
#
# Distributions are read from lib/, so that the file stays small.
set -eu
cd "$(dirname "$0")"
if [ "${1-}" != inside ]; then
	exec unshare -n sh "$PWD/capture.sh" inside
fi

for kind in ifb dummy veth; do
	ip link add ifb0 type $kind 2>/dev/null && break
done
ip link set ifb0 up

export TC_LIB_DIR="$PWD/lib"
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT

{
	tc -V
	while IFS= read -r line; do
		case $line in "#"* | "") continue ;; esac
		name=${line%%: *}
		args=${line#*: }
		case $args in
		"class "*) args="class add dev ifb0 parent 1: classid 1:1 ${args#class }" ;;
		*) args="qdisc add dev ifb0 root handle 1: $args" ;;
		esac
		tc qdisc del dev ifb0 root 2>/dev/null || true
		case $args in class*) tc qdisc add dev ifb0 root handle 1: htb ;; esac
		# shellcheck disable=SC2086
		strace -o "$trace" -e trace=sendmsg -e write=all tc $args 2>/dev/null || true
		# strace dumps a buffer as "| offset  16 bytes in hexadecimal  text |".
		hex=$(sed -n 's/^ | [0-9a-f]*  \(.\{48\}\).*/\1/p' "$trace" | tr -d ' \n')
		if [ -z "$hex" ]; then
			echo "$name: tc sent nothing: tc $args" >&2
			exit 1
		fi
		echo "$name: tc $args"
		echo "$hex" | sed 's/^\(.\{16\}\)......../\100000000/'
	done <cases.txt
} >golden.txt.new
mv golden.txt.new golden.txt
