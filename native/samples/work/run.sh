#!/bin/sh
# Three workers, one of them killed in the middle, and a caller that checks what it gets.
#
#   native/samples/work/run.sh [JOBS [GOROUTINES]]      6000, and 200 for each worker, if not given
#
# Needs nats-server; where root may install Debian's package it does. The server listens on a free port of
# this machine only, and its data is thrown away at the end. Exit code 1, and a last line that says why, if an
# answer was lost, came twice or was wrong.
set -eu
cd "$(dirname "$0")/../../.."

jobs=${1:-6000} goroutines=${2:-200}
work=out/bin/work
limit=120
PATH=$PATH:/usr/sbin
logs=$(mktemp -d)
processes=

stop() {
    for process in $processes; do
        kill -KILL "$process" 2>/dev/null && wait "$process" 2>/dev/null || true
    done
    rm -rf "$logs"
}
trap stop EXIT
trap 'exit 1' INT TERM

skip() {
    echo "skipped: $1"
    exit 0
}

fail() {
    cat "$logs"/*.log
    echo "failed: $1"
    exit 1
}

has() {
    command -v "$1" >/dev/null
}

# start NAME COMMAND...: in the background, what it says goes to NAME.log. Its process is $started.
start() {
    name=$1
    shift
    "$@" >"$logs/$name.log" 2>&1 &
    started=$!
    processes="$processes $started"
}

# until_said NAME WORDS: waits until that process has said so.
until_said() {
    waited=0
    until grep -qs "$2" "$logs/$1.log"; do
        [ "$waited" -lt $((limit * 10)) ] || fail "$1 has not said '$2' within $limit s"
        waited=$((waited + 1))
        sleep 0.1
    done
}

# ended NAME PROCESS: waits for it, and wants the exit code 0.
ended() {
    wait "$2" || fail "$1 ended with exit code $?"
}

# total WORDS: the sum of the numbers that stand before these words, over all workers.
total() {
    sed -n "s/^worker .* \([0-9]*\) $1.*/\1/p" "$logs"/worker-*.log | awk '{ n += $1 } END { print n + 0 }'
}

has nats-server \
    || { [ "$(id -u)" -eq 0 ] && has apt-get && apt-get install -y nats-server >"$logs/apt.log" 2>&1; } \
    || skip "nats-server is missing, and could not be installed"

[ -n "${WEFT_PUBLISHED:-}" ] || dotnet publish native/samples/work/work.csproj -v:quiet --nologo -tl:off

start server nats-server -js -sd "$logs/data" -a 127.0.0.1 -p -1 --ports_file_dir "$logs"
until_said server "Server is ready"
server=$(sed -n 's/.*"nats":\["\([^"]*\)".*/\1/p' "$logs"/*.ports)

start worker-a "$work" worker "$server" a "$goroutines"; a=$started
start worker-b "$work" worker "$server" b "$goroutines"; b=$started
start worker-c "$work" worker "$server" c "$goroutines"; c=$started
start caller "$work" caller "$server" caller "$jobs"; caller=$started

# b is killed. c stops for as long as the rest takes, as a machine does that has lost its network or whose
# virtual processors were taken away; then it goes on with jobs that others have answered.
until_said caller "^$((jobs / 10 * 3)) answered"
kill -KILL "$b"
until_said caller "^$((jobs / 10 * 5)) answered"
kill -STOP "$c"
until_said caller "^caller:"
kill -CONT "$c"

ended caller "$caller"
kill -TERM "$a" "$c"
ended "worker a" "$a"
ended "worker c" "$c"
start check timeout "$limit" "$work" check "$server" caller "$jobs"
ended check "$started"

grep -h "^caller:\|^check:\|^worker" "$logs"/*.log
again=$(total "taken over") dropped=$(total "answers dropped")
[ "$again" -gt 0 ] || fail "no worker had to take over a job, so this has shown nothing"
[ "$dropped" -gt 0 ] || fail "no job was answered a second time, so this has shown nothing"
echo "passed: each of $jobs jobs answered once; b killed, c stopped, $again jobs taken over," \
    "$dropped second answers dropped"
