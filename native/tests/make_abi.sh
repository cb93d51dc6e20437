#!/bin/sh
# What native/tests/abi.txt must say: make_abi.sh LIBRARY ABI_TEST, the exported names and abi_test's output.
# A line that is gone or has changed breaks programs that exist: then weft_abi_version has to change.
# (Not where a struct that begins with its size has become longer: older programs give the older size.)
set -eu
nm -D --defined-only "$1" | sed -n 's/^[0-9a-f]* [A-Z] \(weft_.*\)@@\(WEFT_.*\)$/export \1 \2/p' | LC_ALL=C sort
"$2"
