#!/bin/sh
# The costs of libweft's calls beside the same operations in C#, the bare swap of two stacks and threads, in one
# run: run.sh, after ./build.sh lib and ./build.sh bench list.
set -eu
cd "$(dirname "$0")/../.."
cc -std=gnu99 -O2 -Wall -Wextra -Iout/include native/bench/costs.c -o out/bin/weft-costs -Lout/lib -lweft -lpthread \
    "-Wl,-rpath,$PWD/out/lib"
out/bin/weft-bench floor switch_1p chan_unbuf_1p select2_ready_1p mutex_unc_1p spawn_pooled_1p
out/bin/weft-costs
