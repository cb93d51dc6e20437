#!/bin/sh
# weave http beside Kestrel: the same answer, the same load, in turns. Prints a table of medians.
#
#   bench/http.sh [ROUNDS [SECONDS]]      5 rounds of 5 seconds if not given
#
# Needs wrk. Both servers and wrk share this machine's processors, so the figures say what a request costs
# each server, not what a network could carry.
set -eu
cd "$(dirname "$0")/.."

rounds=${1:-5} seconds=${2:-5}
connections='100 1000'
port=18090
results=$(mktemp)
server=
trap 'rm -f "$results"; [ -z "$server" ] || kill "$server"' EXIT

command -v wrk >/dev/null || { echo "http.sh: wrk is missing" >&2; exit 1; }

if [ -z "${WEFT_PUBLISHED:-}" ]; then
    dotnet publish native/samples/weave/weave.csproj -v:quiet --nologo -tl:off
    dotnet publish bench/peers/kestrel/kestrel.csproj -v:quiet --nologo -tl:off
fi

# measure NAME COMMAND...: starts a server, loads it, appends "name connections requests/s p50 p99 MB".
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
        wrk -t2 -c "$count" -d 1 "http://127.0.0.1:$port/" >/dev/null
        report=$(wrk -t2 -c "$count" -d "$seconds" --latency "http://127.0.0.1:$port/")
        resident=$(awk '/^VmHWM:/ { print $2 / 1000 }' "/proc/$server/status")
        echo "$report" | awk -v name="$name" -v count="$count" -v resident="$resident" '
            function ms(text) { return text ~ /us$/ ? text / 1000 : text ~ /ms$/ ? text + 0 : text * 1000 }
            $1 == "50%" { p50 = ms($2) }
            $1 == "99%" { p99 = ms($2) }
            /Socket errors|Non-2xx/ { print > "/dev/stderr" }
            $1 == "Requests/sec:" { print name, count, $2, p50, p99, resident }' >>"$results"
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
done

# median FIELD NAME COUNT
median() {
    awk -v name="$2" -v count="$3" -v field="$1" '$1 == name && $2 == count { print $field }' "$results" |
        sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

echo "| connections | server | requests/s | p50 ms | p99 ms | peak MB |"
echo "|---|---|---|---|---|---|"
for count in $connections; do
    for name in weave kestrel; do
        echo "| $count | $name | $(median 3 $name "$count") | $(median 4 $name "$count")" \
            "| $(median 5 $name "$count") | $(median 6 $name "$count") |"
    done
done
echo
echo "Medians of $rounds runs of $seconds s; $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)," \
    "$(nproc) processors, $(date +%Y-%m-%d)."
