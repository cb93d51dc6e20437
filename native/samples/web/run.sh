#!/bin/sh
# Measures the sample: blocking code on goroutines, async and await, blocking code on the thread pool, in turns.
#
#   native/samples/web/run.sh [CONNECTIONS [SECONDS [ROUNDS]]]      1000, 5 and 1 if not given
#
# Needs wrk, curl and PostgreSQL; where root may install Debian's packages it does. The database's data is
# thrown away at the end. It all shares this machine's processors, so the figures say what a request costs,
# not what a network could carry.
set -eu
cd "$(dirname "$0")/../../.."

connections=${1:-1000} seconds=${2:-5} rounds=${3:-1}
web=out/bin/web
work=$(mktemp -d)
chmod 755 "$work"
servers=

# At once: a pool without a free thread would take its time.
end() {
    kill -KILL "$1" 2>/dev/null && wait "$1" 2>/dev/null || true
}

stop() {
    for server in $servers; do end "$server"; done
    [ ! -f "$work/data/postmaster.pid" ] || as_owner "$postgres/pg_ctl" -D "$work/data" -m immediate stop >/dev/null
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

skip() {
    echo "skipped: $1"
    exit 0
}

has() {
    command -v "$1" >/dev/null
}

# PostgreSQL refuses to run as root.
as_owner() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@")
    else
        "$@"
    fi
}

free_port() {
    port=$((20000 + $$ % 10000))
    while curl -s -o /dev/null "http://127.0.0.1:$port/" || [ $? -ne 7 ]; do port=$((port + 1)); done
    echo "$port"
}

has wrk && has curl && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
    || { [ "$(id -u)" -eq 0 ] && has apt-get && apt-get install -y wrk curl postgresql >"$work/apt.log" 2>&1; } \
    || skip "wrk, curl or PostgreSQL is missing, and could not be installed"
postgres=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)

[ -n "${WEFT_PUBLISHED:-}" ] || dotnet publish native/samples/web/web.csproj -v:quiet --nologo -tl:off

# --- the database ---------------------------------------------------------------------------------

mkdir "$work/data"
[ "$(id -u)" -ne 0 ] || chown postgres "$work/data"
database_port=$(free_port)
as_owner "$postgres/initdb" -D "$work/data" -A trust -U weft --no-sync >"$work/initdb.log"
as_owner "$postgres/pg_ctl" -D "$work/data" -w -l "$work/data/log" \
    -o "-p $database_port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off" start >/dev/null
"$postgres/psql" -q -h 127.0.0.1 -p "$database_port" -U weft postgres -c "
    CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL);
    INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 1000) AS i"
database="Host=127.0.0.1;Port=$database_port;Username=weft;Database=postgres;Maximum Pool Size=20;Timeout=60"

# --- the servers ----------------------------------------------------------------------------------

# serve PORT ARGUMENT...: starts one, and waits until it answers. Its process is $server.
serve() {
    port=$1
    shift
    "$web" "$@" --urls "http://127.0.0.1:$port" >>"$work/servers.log" 2>&1 &
    server=$!
    servers="$servers $server"
    until curl -s -o /dev/null "http://127.0.0.1:$port/"; do sleep 0.1; done
}

service_port=$(free_port)
serve "$service_port" service
web_port=$(free_port)

# The most threads that a process has had, in a file, until it ends.
count_threads() {
    most=0
    echo 0 >"$work/threads"
    while [ -d "/proc/$1/task" ]; do
        count=$(ls "/proc/$1/task" | wc -l)
        [ "$count" -le "$most" ] || { most=$count; echo "$most" >"$work/threads"; }
        sleep 0.1
    done 2>/dev/null
}

# measure MODE TARGET: a line of the table.
measure() {
    serve "$web_port" "$1" --database "$database" --service "http://127.0.0.1:$service_port"
    count_threads "$server" &
    wrk -t1 -c "$connections" -d 1 --timeout 30 "http://127.0.0.1:$web_port$2" >/dev/null
    report=$(wrk -t1 -c "$connections" -d "$seconds" --timeout 30 --latency "http://127.0.0.1:$web_port$2")
    resident=$(awk '/^VmHWM:/ { print $2 / 1000 }' "/proc/$server/status")
    echo "$report" | awk -v mode="$1" -v target="$2" -v threads="$(cat "$work/threads")" -v resident="$resident" '
        $1 == "50%" { p50 = $2 }
        $1 == "99%" { p99 = $2 }
        /Socket errors|Non-2xx/ { sub(/^ */, ""); errors = errors "  " $0 }
        $1 == "Requests/sec:" { printf "%-10s %-12s %10.0f %9s %9s %8d %6.0f%s\n",
            target, mode, $2, p50, p99, threads, resident, errors }'
    end "$server"
}

"$web" query 2000 --database "$database"
printf '%-10s %-12s %10s %9s %9s %8s %6s\n' target mode requests/s p50 p99 threads MB
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    for target in /item/7 /offer/7 /sleep; do
        for mode in goroutines async threads; do
            measure "$mode" "$target"
        done
    done
done
