#!/bin/sh
# Builds, tests and measures Weft. Each verb first sets up what it needs; `help` lists the verbs.
#
# Lists of options and of packages are split into words on purpose:
# shellcheck disable=SC2086
set -eu
cd "$(dirname "$0")"

help() {
    cat <<'END'
usage: ./build.sh VERB [ARGUMENT...]

  build   compile everything; a warning is an error
  run     publish the sample program weave and count this repository with it
  test    publish the tests and run them, but for the slow ones (tests/Slow.cs); test all: those too, in the
          small-queue build as well, the models, and on each build of .NET, as .ci/run does
  jit     build the tests, and run on the JIT those that are about what programs see (runtime/JIT.md)
  arm64   publish the tests for linux-arm64 and run them under qemu, with one, two and four processors
  arm64-lib  make the C library for linux-arm64 in out/arm64/lib/ and run its tests under qemu
  models  check the models of what threads share under weak memory (tests/models/README.md)
  bench   publish and run the benchmarks; --dotnet by BenchmarkDotNet, --peers beside other languages
  lib     make the C library in out/lib/, its header in out/include/ and its manual in out/man/
  install install the C library: ./build.sh install PREFIX
  pack    make the NuGet packages in out/packages/
  docs    make the reference of the API and the guides as a site, out/reference/site/index.html
  stress  run the tests until one fails, or N times: ./build.sh stress N
  setup   install what the other verbs need
  clean   remove out/
  help    this text

What follows `test`, `jit`, `arm64` and `bench` goes to the program: ./build.sh test Tidy runs one class of tests.
Everything lands in out/, the programs in out/bin/.
END
}

# --- verbs ---------------------------------------------------------------------------------------

build() {
    setup
    dotnet build Native.sln -c Release $quiet
}

run() {
    setup
    publish native/samples/weave/weave.csproj
    out/bin/weave count LICENSE ./*.* .ci asm bench native runtime tests
}

# Without arguments the normal build alone, but for its slow tests: ten minutes. `all`: everything there is.
run_tests() {
    setup
    builds="weft-tests weft-tests-small" everything=""
    case "${1:-}" in
        "")
            builds=weft-tests
            export WEFT_TESTS_QUICK=1
            ;;
        all)
            everything=1
            shift
            ;;
    esac
    publish_normal_tests
    if [ "$builds" != weft-tests ]; then
        small_tests "$@" &
        small=$!
        trap 'kill "$small"; exit 130' INT TERM
    fi
    suite weft-tests "$@"
    if [ "$builds" != weft-tests ]; then
        echo "== weft-tests-small"
        wait
        cat out/weft-tests-small.log
    fi
    passed=0 failed=0
    for program in $builds; do add "$program"; done
    if [ -n "$everything" ]; then
        other_runtimes
        all_models
    fi
    for program in $builds; do failures "$program"; done
    summaries $builds
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

jit() {
    setup
    build_jit_tests
    DOTNET_ROOT=$(dotnet_root) out/obj/Weft.Tests/Release.jit/bin/weft-tests "$@"
}

arm64() {
    set_up_arm64
    publish_arm64 tests/Weft.Tests.csproj
    passed=0 failed=0
    for processors in 1 2 4; do
        log=out/arm64/tests-$processors.log
        echo "== weft-tests for arm64, WEFT_MAXPROCS=$processors"
        { WEFT_MAXPROCS=$processors QEMU_LD_PREFIX=/usr/aarch64-linux-gnu out/arm64/bin/weft-tests "$@" 2>&1 \
            && status=0 || status=$?; echo "$status" >"$log-status"; } | tee "$log"
        add "arm64/tests-$processors"
    done
    [ $# -gt 0 ] || consumer_for_arm64 || failed=$((failed + 1))
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# native/tests/run.sh says which cases are left out there.
arm64_lib() {
    set_up_arm64
    publish_arm64 native/Weft.Native.csproj
    make_manual
    rm -rf out/arm64/installed
    install_files out/arm64/lib "$PWD/out/arm64/installed"
    WEFT_CROSS=aarch64-linux-gnu QEMU_LD_PREFIX=/usr/aarch64-linux-gnu \
        native/tests/run.sh "$PWD/out/arm64/installed" "${@:-all}"
}

models() {
    setup
    dotnet build tests/models/Weft.Models.csproj $quiet -clp:NoSummary
    dotnet out/models/weft-models.dll "$@"
}

bench() {
    setup
    if [ "${1:-}" != --plots ]; then
        publish bench/bare/bare.csproj
        publish bench/Weft.Bench.csproj
    fi
    case "${1:-} ${2:-}" in
        --peers* | "--dotnet --peers") publish_peers ;;
    esac
    case ${1:-} in
        --*) dotnet build bench/front/front.csproj $quiet && dotnet out/front/weft-bench-front.dll "$@" ;;
        *) out/bin/weft-bench "$@" ;;
    esac
}

lib() {
    setup
    publish native/Weft.Native.csproj
    make_manual
}

# Debian's DESTDIR is put before the prefix, which the installed files name.
install_lib() {
    [ $# -eq 1 ] || fail "usage: ./build.sh install PREFIX"
    case $1 in /*) ;; *) fail "the prefix must be an absolute path" ;; esac
    lib
    install_files out/lib "$1"
    case $1 in
        /usr) ;;
        *) echo "$1/lib/libweft.so: programs find it when they are linked with -Wl,-rpath,$1/lib, or after ldconfig" \
            "if /etc/ld.so.conf names $1/lib" ;;
    esac
}

pack() {
    setup
    make_packages
}

# A link that leads nowhere is an error.
docs() {
    setup
    [ -x out/tools/docfx ] || dotnet tool install docfx --version 2.81.0 --tool-path out/tools
    dotnet build runtime/aspnetcore/Weft.AspNetCore.csproj -c Release $quiet -clp:NoSummary -p:RunAnalyzers=false
    rm -rf out/reference
    DOTNET_ROOT=$(dotnet_root) out/tools/docfx runtime/docfx.json --warningsAsErrors --logLevel warning
    echo '<!doctype html><meta http-equiv="refresh" content="0; url=GUIDE.html">' >out/reference/site/index.html
    echo "out/reference/site/index.html"
}

stress() {
    setup
    publish_normal_tests
    publish_small_tests
    rounds=${1:-0} round=0
    [ $# -eq 0 ] || shift
    while [ "$rounds" -eq 0 ] || [ "$round" -lt "$rounds" ]; do
        round=$((round + 1))
        echo "round $round"
        for program in weft-tests weft-tests-small; do
            out/bin/$program "$@" && status=0 || status=$?
            [ "$status" -eq 0 ] || [ "$status" -eq 8 ] || fail "round $round: $program ended with status $status"
        done
    done
}

clean() {
    rm -rf out
}

# --- steps ---------------------------------------------------------------------------------------

quiet='-v:quiet --nologo -tl:off'

# Publishes one program into out/bin/.
publish() {
    dotnet publish "$@" $quiet
}

# The same for linux-arm64, into out/arm64/bin/: clang is told what to make code for; gcc would be another
# program. The lock files name the packages of this machine's processor only.
publish_arm64() {
    dotnet publish "$@" $quiet -r linux-arm64 -p:WeftCross=true -p:RunAnalyzers=false \
        -p:CppCompilerAndLinker="$(first_of $clangs)" -p:ObjCopyName=aarch64-linux-gnu-objcopy \
        -p:WeftOut="$PWD/out/arm64/" -p:WeftLockDirectory="$PWD/out/arm64/lock/" -p:RestoreLockedMode=false
}

# Installs what a publish of libweft has left in a folder: install_files FOLDER PREFIX
install_files() {
    version=$(version_of_weft)
    to=${DESTDIR:-}$2
    mkdir -p "$to/lib/pkgconfig" "$to/lib/cmake/weft" "$to/include" "$to/share/man" "$to/share/gdb" "$to/share/weft"
    cp "$1/libweft.so" "$to/lib/libweft.so.$version"
    ln -sf "libweft.so.$version" "$to/lib/libweft.so.${version%%.*}"
    ln -sf "libweft.so.${version%%.*}" "$to/lib/libweft.so"
    cp "$1/libweft.a" "$to/lib/"
    cp native/weft.h native/weft.hpp "$to/include/"
    cp -R out/man/man3 out/man/man7 "$to/share/man/"
    cp native/weft-gdb.py "$to/share/gdb/"
    cp native/lsan.supp native/weft-perf.py "$to/share/weft/"
    for pc in weft weft-static; do
        sed "s|@PREFIX@|$2|; s|@VERSION@|$version|" native/$pc.pc.in >"$to/lib/pkgconfig/$pc.pc"
    done
    cp native/weft-config.cmake "$to/lib/cmake/weft/"
    sed "s|@VERSION@|$version|" native/weft-config-version.cmake.in \
        >"$to/lib/cmake/weft/weft-config-version.cmake"
}

# A project that has the package, published for linux-arm64 as its user would; it is told of tools only that have
# other names here.
consumer_for_arm64() (
    echo "== a project from a template, published with -r linux-arm64"
    make_packages -p:RunAnalyzers=false
    has clang || export CppCompilerAndLinker="$(first_of $clangs)"
    has llvm-objcopy || export ObjCopyName=aarch64-linux-gnu-objcopy
    WEFT_RID=linux-arm64 QEMU_LD_PREFIX=/usr/aarch64-linux-gnu tests/templates.sh console
)

# A page for every function of weft.h, from its comments.
make_manual() {
    rm -rf out/man
    mkdir -p out/man/man3 out/man/man7
    awk -v out=out/man -v version="$(version_of_weft)" -v written="weft.3 weft-goroutines.7 weft-blocking.7" \
        -f native/man/pages.awk native/weft.h
}

version_of_weft() {
    sed -n 's/.*<Version>\(.*\)<.*/\1/p' Directory.Build.props
}

# The same questions in other languages. One whose compiler is missing is left out.
publish_peers() {
    rm -f out/bin/weft-bench-boost out/bin/weft-bench-go out/bin/weft-bench-tasks
    publish bench/peers/tasks/tasks.csproj
    if has go; then
        (cd bench/peers/go && CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false go build -o ../../../out/bin/weft-bench-go .)
    else
        echo "no peer in Go: go is not installed"
    fi
    if has c++ && echo '#include <boost/fiber/all.hpp>' | c++ -x c++ -E - >/dev/null 2>&1; then
        c++ -O2 -o out/bin/weft-bench-boost bench/peers/boost/main.cpp -lboost_fiber -lboost_context -pthread
    else
        echo "no peer with Boost.Fiber: c++ or libboost-fiber-dev is not installed"
    fi
}

make_packages() {
    rm -rf out/packages
    dotnet pack runtime/Weft.csproj $quiet "$@"
    dotnet pack runtime/aspnetcore/Weft.AspNetCore.csproj $quiet "$@"
    dotnet pack runtime/templates/Weft.Templates.csproj $quiet "$@"
}

# The two builds of the tests. The analyzers, a third of the time, look at the second one, which is made while
# the first one's tests run; where that is not made, `./build.sh build` has to do.
publish_normal_tests() {
    make_packages -p:RunAnalyzers=false
    publish tests/Weft.Tests.csproj -p:RunAnalyzers=false
}

publish_small_tests() {
    nice dotnet publish tests/Weft.Tests.csproj --no-restore $quiet -p:WeftSmall=true
}

# The tests as a program on the JIT: .NET's own host, for what it starts of itself.
build_jit_tests() {
    dotnet build tests/Weft.Tests.csproj $quiet -clp:NoSummary -p:WeftJit=true -p:RunAnalyzers=false
}

# Where that host finds the runtime.
dotnet_root() {
    dirname "$(readlink -f "$(command -v dotnet)")"
}

# Runs the normal build of the tests, and shows what it says as it comes.
suite() {
    program=$1 log=out/$1.log
    shift
    echo "== $program"
    { "out/bin/$program" "$@" 2>&1 && status=0 || status=$?; echo "$status" >"$log-status"; } | tee "$log"
}

# The small build is made and run beside the normal one's tests, since many of those wait most of the time, and
# so are the other builds of .NET and the models. All that they say goes to logs: two at once nobody could read.
small_tests() {
    log=out/weft-tests-small.log running=""
    trap 'kill $running; exit 1' TERM
    publish_small_tests >out/small-build.log 2>&1 &
    running=$!
    wait "$running" && status=0 || status=$?
    [ -z "$everything" ] || beside_tests &
    if [ "$status" -eq 0 ]; then
        out/bin/weft-tests-small "$@" >"$log" 2>&1 &
        running=$!
        wait "$running" && status=0 || status=$?
    else
        { cat out/small-build.log && echo "weft-tests-small: did not build"; } >"$log"
    fi
    echo "$status" >"$log-status"
    wait
}

beside_tests() {
    nice tests/runtimes.sh >out/runtimes.log 2>&1 || true
    nice ./build.sh models >out/models.log 2>&1 || true
}

# Adds what the summary of a build's tests says to passed and failed. A run that ended without one, by a crash
# for example, or that could not be made, counts as one failure; one without any of the tests that were asked
# for, status 8, does not: some are in one of the builds only.
add() {
    log=out/$1.log
    status=$(cat "$log-status")
    suite_passed=$(summary succeeded)
    suite_failed=$(summary failed)
    if [ "$status" -ne 0 ] && [ "$status" -ne 8 ] && [ "$suite_failed" -eq 0 ]; then
        echo "$1: ended with status $status"
        suite_failed=1
    fi
    passed=$((passed + suite_passed))
    failed=$((failed + suite_failed))
}

# The smoke test on each build of .NET that can be had counts as one test.
other_runtimes() {
    cat out/runtimes.log
    passed=$((passed + $(grep -c ': works$' out/runtimes.log || true)))
    failed=$((failed + $(grep -c ': does not work$' out/runtimes.log || true)))
}

# Each model counts as one test, and so does each of its barriers; so does a run that ended early.
all_models() {
    cat out/models.log
    passed=$((passed + $(grep -c '^ok ' out/models.log || true)))
    failed=$((failed + $(grep -c '^FAIL ' out/models.log || true)))
    grep -q '^all models ran' out/models.log || failed=$((failed + 1))
}

# What each failed test said, once more: it is far above in the log. A run that ended without a summary
# shows its last lines instead.
failures() {
    log=out/$1.log
    awk -v name="$1" '
        /^(passed|failed|skipped|start ) / || /^Test run summary/ { shown = 0 }
        /^failed / { shown = 40; print "== " name }
        shown > 0 { print; shown-- }
    ' "$log"
    grep -q '^Test run summary' "$log" || { echo "== $1 ended early"; tail -n 40 "$log"; }
}

# A line for each build: how its run ended, and how many tests it ran.
summaries() {
    for program in "$@"; do
        log=out/$program.log
        echo "$(grep '^Test run summary' "$log" | tail -n 1), status $(cat "$log-status"): $(summary succeeded)" \
            "passed, $(summary failed) failed, $(summary skipped) skipped"
    done
}

# The last number that the summary in the log gives for a word, or 0.
summary() {
    awk -v word="$1:" '$1 == word && NF == 2 { n = $2 } END { print n + 0 }' "$log"
}

# --- set-up --------------------------------------------------------------------------------------

export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
# The SDK's programs live for seconds: to measure which of their code is hot costs 7 to 10 % of their time.
export DOTNET_TieredPGO=0

# Installs what is missing, or says in one line what to run where that needs root. The SDK needs none: if the
# system's packages do not have it, it comes from Microsoft into ~/.dotnet. Needs no network, and says
# nothing, when all is there.
setup() {
    mkdir -p out
    ! is_musl || fail "this system's C library is musl, and Weft needs glibc: Debian, Ubuntu, Fedora or the like"
    packages=$(missing_packages)
    if [ -n "$packages" ]; then
        find_package_manager
        packages=$(missing_packages)
        install $packages
        packages=$(missing_packages)
        [ -z "$packages" ] || fail "missing: $packages; to install, run:  $(install_command $packages)"
    fi
    find_sdk && return
    find_package_manager
    ! in_packages "$sdk" || install "$sdk"
    find_sdk || download_sdk
    find_sdk || fail "the .NET 10 SDK could not be installed (see out/setup.log); get it from https://dot.net/download"
}

is_musl() {
    ls /lib/ld-musl-* >/dev/null 2>&1
}

# What has to come from the system, by the names that find_package_manager has set.
missing_packages() {
    missing=
    can_link || missing="$missing ${compiler:-a C compiler}"
    has_library libssl || missing="$missing ${ssl:-libssl}"
    has_certificates || missing="$missing ca-certificates"
    has curl || has wget || find_sdk || missing="$missing curl"
    echo ${missing# }
}

# A C compiler, objcopy, and the C library's files for linking.
can_link() {
    for cc in clang gcc; do
        if has "$cc" && has objcopy && [ "$("$cc" -print-file-name=crt1.o)" != crt1.o ]; then
            return
        fi
    done
    return 1
}

clangs="clang clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14"
arm64_packages="clang g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user qemu-user-binfmt"

# What it takes to make programs for arm64 and to run them here. Many tests start themselves again, by way of
# a shell too: so the kernel has to know qemu. Before version 8 qemu takes minutes to reserve address space.
missing_for_arm64() {
    missing=
    [ -n "$(first_of $clangs)" ] || missing="$missing, clang"
    has aarch64-linux-gnu-objcopy || missing="$missing, binutils for aarch64"
    ls /usr/lib/gcc-cross/aarch64-linux-gnu/*/crtbeginS.o >/dev/null 2>&1 || missing="$missing, gcc's files for aarch64"
    [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] || missing="$missing, glibc for aarch64"
    qemu=$(cat /proc/sys/fs/binfmt_misc/*aarch64* 2>/dev/null | awk '/^interpreter/ { print $2; exit }')
    if [ -z "$qemu" ]; then
        missing="$missing, qemu-aarch64 in /proc/sys/fs/binfmt_misc"
    elif [ "$(qemu_version)" -lt 8 ]; then
        missing="$missing, qemu 8 or later ($qemu is older)"
    fi
    echo "${missing#, }"
}

# Its major version. What the kernel starts may be a link to it that answers the kernel only.
qemu_version() {
    { "$qemu" --version || qemu-aarch64 --version || qemu-aarch64-static --version || true; } 2>/dev/null |
        awk '{ for (i = 1; i < NF; i++) if ($i == "version" && !n) n = int($(i + 1)) } END { print n + 0 }'
}

set_up_arm64() {
    setup
    missing=$(missing_for_arm64)
    if [ -n "$missing" ]; then
        find_package_manager
        fail "missing for arm64: $missing; Debian's packages:  $(install_command $arm64_packages)"
    fi
}

# The first of these programs that there is.
first_of() {
    for name in "$@"; do
        if has "$name"; then
            echo "$name"
            return
        fi
    done
}

has_library() {
    ls /lib*/"$1".so.* /lib/*/"$1".so.* /usr/lib*/"$1".so.* /usr/lib/*/"$1".so.* 2>/dev/null | grep -q .
}

# Where .NET looks for the certificates that it trusts.
has_certificates() {
    [ -n "${SSL_CERT_FILE:-}${SSL_CERT_DIR:-}" ] || [ -e /etc/ssl/certs/ca-certificates.crt ] \
        || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ]
}

# An SDK that satisfies global.json, from the PATH or where Microsoft's install script puts it.
find_sdk() {
    for directory in "" "${DOTNET_ROOT:-}" "${HOME:-}/.dotnet"; do
        if (PATH="$directory:$PATH" && dotnet --version) >/dev/null 2>&1; then
            PATH="$directory:$PATH"
            return
        fi
    done
    return 1
}

# Sets how this system installs packages, and what it calls those that Weft needs.
find_package_manager() {
    installer="" compiler="" ssl="" sdk=""
    if has apt-get; then
        installer="apt-get install -y" compiler="gcc binutils libc6-dev" ssl="libssl3" sdk="dotnet-sdk-10.0"
        in_packages libc6-dev || as_root apt-get update # Images of containers come without the lists.
        ! in_packages libssl3t64 || ssl="libssl3t64"
    elif has dnf; then
        installer="dnf install -y" compiler="gcc binutils glibc-devel" ssl="openssl-libs" sdk="dotnet-sdk-10.0"
    elif has pacman; then
        installer="pacman -S --needed --noconfirm" compiler="gcc binutils" ssl="openssl" sdk="dotnet-sdk"
    fi
}

# Installs packages if we are root or can be. Its output is kept in out/setup.log.
install() {
    [ -n "$installer" ] || return 0
    echo "installing $*"
    ! has apt-get || as_root apt-get update
    as_root $installer "$@"
}

# Not by a sudo that would ask for a password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    fi >>out/setup.log 2>&1 || true
}

install_command() {
    if [ -z "$installer" ]; then
        echo "(your package manager)"
    elif [ "$(id -u)" -eq 0 ]; then
        echo "$installer $*"
    elif has sudo; then
        echo "sudo $installer $*"
    else
        echo "su -c '$installer $*'"
    fi
}

# By Microsoft's script, which works on every distribution. WEFT_DOTNET_INSTALL names another copy of it.
download_sdk() {
    [ -n "${HOME:-}" ] || return 0
    address=${WEFT_DOTNET_INSTALL:-https://dot.net/v1/dotnet-install.sh}
    echo "installing the .NET 10 SDK in $HOME/.dotnet"
    {
        if has curl; then
            curl -fsSL "$address" -o out/dotnet-install.sh
        else
            wget -q -O out/dotnet-install.sh "$address"
        fi && bash out/dotnet-install.sh --channel 10.0 --install-dir "$HOME/.dotnet" --no-path
    } >>out/setup.log 2>&1 || true
}

# Whether the system's packages have one of that name.
in_packages() {
    if has apt-cache; then
        [ -n "$(apt-cache policy "$1")" ]
    else
        has dnf && dnf -q list "$1" >/dev/null 2>&1
    fi
}

has() {
    command -v "$1" >/dev/null 2>&1
}

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

# -------------------------------------------------------------------------------------------------

verb=${1:-help}
[ $# -eq 0 ] || shift
case $verb in
    build | run | jit | arm64 | models | bench | lib | pack | docs | stress | setup | clean | help) "$verb" "$@" ;;
    install) install_lib "$@" ;;
    arm64-lib) arm64_lib "$@" ;;
    test) run_tests "$@" ;;
    *) help >&2; exit 2 ;;
esac
