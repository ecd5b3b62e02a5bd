#!/bin/sh
# Compiles edt/bpf/edt.c into the object that is embedded; -o FILE puts it elsewhere.
# Clang 14 of Debian 12 gives the same bytes everywhere.
set -eu
cd "$(dirname "$0")/../edt/bpf"
out=edt.o
if [ "${1:-}" = -o ]; then out=$2; fi
for tool in clang-14 llvm-strip-14; do
	command -v "$tool" >/dev/null || { echo "bpf: $tool is missing: install clang-14 and llvm-14" >&2; exit 1; }
done
clang-14 -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -ffile-prefix-map="$PWD=." -c edt.c -o "$out"
llvm-strip-14 -g "$out"
