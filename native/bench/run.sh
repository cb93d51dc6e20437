#!/bin/sh
# What libweft's calls cost beside the same operations in C#, the bare exchange of two stacks, threads, and Boost
# where it is installed (libboost-fiber-dev), in one run: run.sh, after ./build.sh lib and ./build.sh bench list.
# All times in ns. The last column is what a call costs more in C than in C#.
#
#   run.sh million [COUNT]     instead: so many parked goroutines at once, their memory, their start and end
#   run.sh growth              whether a start costs more the more there are: 50,000 and 500,000, on one
#                              processor, and the ratio; takes 6 GB of memory that is at hand (million.c)
set -eu
cd "$(dirname "$0")/../.."
here=native/bench
build() {
    cc -std=gnu99 -O2 -Wall -Wextra -Iout/include "$here/$1.c" -o "out/bin/weft-$1" -Lout/lib -lweft -lpthread \
        "-Wl,-rpath,$PWD/out/lib"
}
if [ "${1:-}" = million ]; then
    build million
    shift
    exec out/bin/weft-million "$@"
fi
if [ "${1:-}" = growth ]; then
    build million
    for count in 50000 500000; do
        WEFT_MAXPROCS=1 out/bin/weft-million $count at_hand | tee "out/million-$count"
    done
    sed -n 's/^cpu *\([0-9]*\) .*/\1/p' out/million-50000 out/million-500000 |
        awk 'NR == 1 { few = $1 } END { printf "a start among 500,000 costs %.2f of one among 50,000\n", $1 / few }'
    exit
fi
build costs
out/bin/weft-costs >out/costs.c.tsv
out/bin/weft-bench floor switch_1p chan_unbuf_1p mutex_unc_1p self_goroutine self_chan_1p self_try_1p self_select2_1p \
    self_spawn64_1p >out/costs.cs.tsv
printf '%-42s %9s %9s %9s\n' operation C 'C#' 'a call'
awk -F '\t' 'NR == FNR { cs[$1] = $2; next }
    $5 == "" { printf "%-42s %9.1f\n", $1, $2; next }
    { printf "%-42s %9.1f %9.1f %9.1f\n", $1, $2, cs[$5] * $6, ($2 - cs[$5] * $6) / $7 }
    END { printf "%-42s %9s %9.1f\n", "floor: bare exchange of two stacks", "", cs["floor"] }' \
    out/costs.cs.tsv out/costs.c.tsv
if c++ -std=c++17 -O2 -Wall -Wextra $here/boost.cpp -o out/bin/boost-costs -lboost_fiber -lboost_context 2>/dev/null
then
    out/bin/boost-costs | awk -F '\t' '{ printf "%-42s %9.1f\n", $1, $2 }'
else
    echo "Boost: libboost-fiber-dev is missing"
fi
