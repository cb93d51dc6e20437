#!/bin/sh
# What libweft's calls cost beside the same operations in C# and the bare exchange of two stacks, and then beside
# others, in one run: run.sh, after ./build.sh lib and ./build.sh bench list. All times in ns. The last column of the
# first table is what a call costs more in C than in C#. In the second stands who is there:
#
#   LIBDILL=PREFIX             libdill, where its make install has put include/libdill.h and lib/libdill.a
#   NECO=FOLDER                neco: the folder has neco.c and neco.h
#   Boost                      if the compiler finds it (libboost-fiber-dev)
#
#   run.sh others              only the second table
#   run.sh million [COUNT]     instead: so many parked goroutines at once, their memory, their start and end
#   run.sh growth              whether a start costs more the more there are: 50,000 and 500,000, on one
#                              processor, and the ratio; takes 6 GB of memory that is at hand (million.c)
#
# Lists of options are split into words on purpose:
# shellcheck disable=SC2086,SC2046
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
# Who is compiled runs: other NAME COMPILER... ; what is said of one that is not there, the caller says.
columns=
other() {
    name=$1
    shift
    "$@" 2>"out/costs-$name.log" || return 1
    "out/bin/$name-costs" >"out/costs.$name.tsv"
    columns="$columns $name"
}

build costs
out/bin/weft-costs >out/costs.c.tsv
if [ "${1:-}" != others ]; then
    out/bin/weft-bench floor switch_1p chan_unbuf_1p mutex_unc_1p self_goroutine self_chan_1p self_try_1p self_select2_1p \
        self_token_1p self_pingpong_token_1p self_spawn64_1p >out/costs.cs.tsv
    printf '%-42s %9s %9s %9s\n' operation C 'C#' 'a call'
    awk -F '\t' 'NR == FNR { cs[$1] = $2; next }
        $5 == "" { printf "%-42s %9.1f\n", $1, $2; next }
        { printf "%-42s %9.1f %9.1f %9.1f\n", $1, $2, cs[$5] * $6, ($2 - cs[$5] * $6) / $7 }
        END { printf "%-42s %9s %9.1f\n", "floor: bare exchange of two stacks", "", cs["floor"] }' \
        out/costs.cs.tsv out/costs.c.tsv
    echo
fi

c="cc -std=gnu11 -O2 -Wall -Wextra"
if [ -n "${LIBDILL:-}" ]; then
    ssl=$(nm "$LIBDILL/lib/libdill.a" 2>/dev/null | grep -q ' U SSL_' && echo -lssl -lcrypto || true)
    other libdill $c "-I$LIBDILL/include" $here/libdill.c -o out/bin/libdill-costs "$LIBDILL/lib/libdill.a" \
        -lpthread $ssl || cat out/costs-libdill.log
else
    echo "libdill: LIBDILL does not say where it is"
fi
if [ -n "${NECO:-}" ]; then
    other neco $c "-I$NECO" $here/neco.c "$NECO/neco.c" -o out/bin/neco-costs -lpthread || cat out/costs-neco.log
else
    echo "neco: NECO does not say where it is"
fi
other boost c++ -std=c++17 -O2 -Wall -Wextra $here/boost.cpp -o out/bin/boost-costs -lboost_fiber -lboost_context ||
    echo "Boost: libboost-fiber-dev is missing"
other threads $c $here/threads.c -o out/bin/threads-costs -lpthread
awk -F '\t' -v names="libweft$columns" '
    FNR == 1 { column++ }
    column == 1 { order[++rows] = $1 }
    { found[$1, column] = $2; seen[$1]++ }
    END {
        count = split(names, name, " ")
        printf "%-42s", "beside others"
        for (i = 1; i <= count; i++)
            printf " %9s", name[i]
        for (r = 1; r <= rows; r++) {
            if (seen[order[r]] < 2)
                continue
            printf "\n%-42s", order[r]
            for (i = 1; i <= count; i++)
                printf (order[r], i) in found ? " %9.1f" : " %9s", (order[r], i) in found ? found[order[r], i] : "-"
        }
        print ""
    }
    /^Boost.Context/ { context = $0 } END { if (context != "") { split(context, c, "\t"); print c[1] ": " c[2] } }
    ' out/costs.c.tsv $(for each in $columns; do echo "out/costs.$each.tsv"; done)
