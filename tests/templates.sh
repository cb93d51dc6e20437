#!/bin/sh
# Tries the templates as their users have them: each is installed, made into a project, run or tested on the
# JIT, published with NativeAOT and run again. What it says in both modes must be the same.
#
#   tests/templates.sh [TEMPLATE...]   console, worker, web, xunit, mstest, nunit; all, if none is named
#
# WEFT_RID=linux-arm64 publishes for that one, and nothing else is said; the system has to run its programs
# (./build.sh arm64 does it so).
#
# Takes Weft from out/packages/ (./build.sh pack) and the other packages from where NuGet finds them: those
# of the test frameworks are not among what building this repository needs, so it is not run by ./build.sh
# test. Everything lands in out/templates/, the installed templates and packages too.
set -eu
cd "$(dirname "$0")/.."
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1

to=$PWD/out/templates
packed=$(ls out/packages/Weft.Templates.*.nupkg 2>/dev/null) || { echo "no package; ./build.sh pack makes it" >&2; exit 1; }
rm -rf "$to"
mkdir -p "$to"
machine=${NUGET_PACKAGES:-$HOME/.nuget/packages}
export NUGET_PACKAGES="$to/packages"
failed=0

new() { dotnet new "$@" --debug:custom-hive "$to/hive"; }

make() {
    template=$1 name=$2
    shift 2
    new "weft-$template" --output "$to/$name" "$@" >"$to/$name.log" 2>&1
}

# The Weft of this repository, beside what the machine's settings name; the rest as anywhere else.
use_packed() {
    cat >"$to/Directory.Build.props" <<END
<Project><PropertyGroup>
  <RestoreAdditionalProjectSources>$PWD/out/packages</RestoreAdditionalProjectSources>
  <RestoreFallbackFolders>$machine</RestoreFallbackFolders>
  <InvariantGlobalization>true</InvariantGlobalization>
</PropertyGroup></Project>
END
    echo '<Project />' >"$to/Directory.Build.targets" # Else the repository's own is found.
}

# Compares what a program said; shows the logs of one that is wrong.
expect() {
    name=$1 said=$2 wanted=$3
    if [ "$said" = "$wanted" ]; then
        echo "ok   $name"
    else
        echo "FAIL $name: $said"
        failed=$((failed + 1))
        tail -n 40 "$to/$name.log"
    fi
}

publish() {
    (cd "$to/$1" && dotnet publish ${WEFT_RID:+-r "$WEFT_RID"} --output published >>"$to/$1.log" 2>&1) || true
}

console() {
    make console Hello
    sum="100 goroutines: 1 + 4 + 9 + ... + 1,000,000 = 333833500"
    expect Hello "$(cd "$to/Hello" && dotnet run 2>>"$to/Hello.log")" "$sum"
    publish Hello
    expect Hello "$("$to/Hello/published/Hello")" "$sum"
}

# Until three jobs are done; then SIGTERM has to end it in order.
serve_jobs() {
    log=$to/Jobs.out
    "$@" >"$log" 2>&1 &
    service=$!
    for _ in $(seq 100); do
        [ "$(grep -c 'is done' "$log")" -ge 3 ] && break
        sleep 0.2
    done
    kill -TERM "$service"
    wait "$service" && echo "ended in order, $(grep -c 'Job 3 is done' "$log")" || echo "status $?"
}

worker() {
    make worker Jobs
    (cd "$to/Jobs" && dotnet build --output built >>"$to/Jobs.log" 2>&1)
    expect Jobs "$(serve_jobs "$to/Jobs/built/Jobs")" "ended in order, 1"
    publish Jobs
    expect Jobs "$(serve_jobs "$to/Jobs/published/Jobs")" "ended in order, 1"
}

# The answer of both; the port is the system's choice, and the server says which.
ask_web() {
    log=$to/Site.out
    ASPNETCORE_URLS=http://127.0.0.1:0 "$@" >"$log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        address=$(sed -n 's/.*listening on: //p' "$log")
        [ -n "$address" ] && break
        sleep 0.2
    done
    curl -s "$address/" || true
    curl -s "$address/both" | tr -d '\n' | sed 's/two, one/one, two/' || true
    kill -TERM "$server"
    wait "$server" || true
}

web() {
    make web Site
    wanted="Hello from a goroutine!
one, two"
    (cd "$to/Site" && dotnet build --output built >>"$to/Site.log" 2>&1)
    expect Site "$(ask_web "$to/Site/built/Site")" "$wanted"
    publish Site
    expect Site "$(ask_web "$to/Site/published/Site")" "$wanted"
}

tested() {
    make test "Tests.$1" --runner "$1"
    (cd "$to/Tests.$1" && dotnet test >>"$to/Tests.$1.log" 2>&1) || true
    expect "Tests.$1" "$(grep -o 'Passed: *[0-9]*' "$to/Tests.$1.log" | tr -s ' ')" "Passed: 2"
}

use_packed
new install "$packed" --force >"$to/install.log" 2>&1 || { cat "$to/install.log"; exit 1; }
[ $# -gt 0 ] || set -- console worker web xunit mstest nunit
for which in "$@"; do
    case $which in
        console | worker | web) $which ;;
        xunit | mstest | nunit) tested "$which" ;;
        *) echo "no template is named $which" >&2; exit 2 ;;
    esac
done
exit $((failed > 0))
