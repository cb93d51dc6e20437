#!/bin/sh
# weave http beside Kestrel, and Go's net/http if go is installed: the same answer, the same load, in turns.
# Prints a table of medians. "new" is a connection for each request, 100 at once.
#
#   bench/http.sh [ROUNDS [SECONDS]]      5 rounds of 5 seconds if not given
#
# Needs wrk. Both servers and wrk share this machine's processors, so the figures say what a request costs
# each server, not what a network could carry.
set -eu
cd "$(dirname "$0")/.."

rounds=${1:-5} seconds=${2:-5}
connections='100 1000 new'
port=18090
results=$(mktemp)
server=
trap 'rm -f "$results"; [ -z "$server" ] || kill "$server"' EXIT

command -v wrk >/dev/null || { echo "http.sh: wrk is missing" >&2; exit 1; }

if [ -z "${WEFT_PUBLISHED:-}" ]; then
    dotnet publish native/samples/weave/weave.csproj -v:quiet --nologo -tl:off
    dotnet publish bench/peers/kestrel/kestrel.csproj -v:quiet --nologo -tl:off
    rm -f out/bin/go-hello
    ! command -v go >/dev/null ||
        (cd bench/peers/gohttp && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false go build -o ../../../out/bin/go-hello .)
fi
servers='weave kestrel'
[ ! -x out/bin/go-hello ] || servers="$servers go"

# load CONNECTIONS ARGUMENT...: wrk with so many.
load() {
    count=$1
    shift
    if [ "$count" = new ]; then
        wrk -t2 -c 100 -H 'Connection: close' "$@" "http://127.0.0.1:$port/"
    else
        wrk -t2 -c "$count" "$@" "http://127.0.0.1:$port/"
    fi
}

# ticks: the processor time of the server, in ticks of the kernel's.
ticks() {
    awk '{ print $14 + $15 }' "/proc/$server/stat"
}

# measure NAME COMMAND...: starts a server, loads it, appends "name connections requests/s p50 p99 MB us".
measure() {
    name=$1
    shift
    "$@" >/dev/null &
    server=$!
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.2
        ! curl -s -o /dev/null "http://127.0.0.1:$port/" || break
    done
    for count in $connections; do
        load "$count" -d 1 >/dev/null
        before=$(ticks)
        report=$(load "$count" -d "$seconds" --latency)
        used=$((($(ticks) - before) * 1000000 / $(getconf CLK_TCK)))
        resident=$(awk '/^VmHWM:/ { print $2 / 1000 }' "/proc/$server/status")
        echo "$report" | awk -v name="$name" -v count="$count" -v resident="$resident" -v used="$used" '
            function ms(text) { return text ~ /us$/ ? text / 1000 : text ~ /ms$/ ? text + 0 : text * 1000 }
            $1 == "50%" { p50 = ms($2) }
            $1 == "99%" { p99 = ms($2) }
            /Socket errors|Non-2xx/ { print > "/dev/stderr" }
            $2 == "requests" { each = used / $1 }
            $1 == "Requests/sec:" { print name, count, $2, p50, p99, resident, each }' >>"$results"
    done
    kill "$server"
    wait "$server" || true
    server=
}

round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    measure weave out/bin/weave http "127.0.0.1:$port"
    measure kestrel out/bin/kestrel-hello "http://127.0.0.1:$port"
    [ ! -x out/bin/go-hello ] || measure go out/bin/go-hello "127.0.0.1:$port"
done

# median FIELD NAME COUNT
median() {
    awk -v name="$2" -v count="$3" -v field="$1" '$1 == name && $2 == count { print $field }' "$results" |
        sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

echo "| connections | server | requests/s | p50 ms | p99 ms | peak MB | us of processor time, each |"
echo "|---|---|---|---|---|---|---|"
for count in $connections; do
    for name in $servers; do
        echo "| $count | $name | $(median 3 $name "$count") | $(median 4 $name "$count")" \
            "| $(median 5 $name "$count") | $(median 6 $name "$count") | $(median 7 $name "$count") |"
    done
done
echo
echo "Medians of $rounds runs of $seconds s; $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)," \
    "$(nproc) processors, $(date +%Y-%m-%d)."
