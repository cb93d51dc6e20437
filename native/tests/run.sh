#!/bin/sh
# The tests of libweft, against an installed one: run.sh PREFIX CASE [ARGUMENT...], or run.sh PREFIX all. Each case
# prints nothing and exits 0, or says what is wrong; 77 when a program that it needs is missing.
# tests/NativeTests.cs runs each of them.
#
# WEFT_CROSS=aarch64-linux-gnu: a library for that processor, whose programs qemu runs (./build.sh arm64-lib). The
# compiler and its like are those with that name in front; cases that need more of that processor are left out.
#
# Lists of options are split into words on purpose:
# shellcheck disable=SC2086
set -eu
export LC_ALL=C
prefix=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../examples
tmp=$prefix/tmp
mkdir -p "$tmp"
if [ -n "${WEFT_CROSS:-}" ] && [ ! -d "$tmp/cross" ]; then
    mkdir "$tmp/cross"
    for pair in cc:gcc c++:g++ nm:nm readelf:readelf; do
        ln -s "$(command -v "$WEFT_CROSS-${pair#*:}")" "$tmp/cross/${pair%:*}"
    done
fi
[ -z "${WEFT_CROSS:-}" ] || PATH="$tmp/cross:$PATH"

# --- cases ---------------------------------------------------------------------------------------------------

# A sample, built as its user would: sample FILE
sample() {
    [ "$1" != supervise.c ] || not_across "its 300 ms are short for processes that qemu starts"
    case $1 in
        pool.c | chat.c | deadlines.c | fetch.c | supervise.c)
            [ "$(wc -l <"$examples/$1")" -lt 100 ] || fail "$1 has 100 lines or more"
            ;;
    esac
    by_pkg_config "$1" "$tmp/pc-$1" -Wall -Wextra -Werror -O2
    is_right "${1%.*}" "$tmp/pc-$1"
}

# TLS by OpenSSL, where its headers are.
tls() {
    not_across "OpenSSL for that processor"
    need pkg-config
    flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs weft openssl 2>/dev/null) || exit 77
    cc -std=c99 -pedantic -Wall -Wextra -Werror -O2 "$examples/tls/tls.c" -o "$tmp/tls" $flags "-Wl,-rpath,$prefix/lib"
    output=$("$tmp/tls") || fail "exit code $?"
    [ "$output" = "TLSv1.3: 5 bytes: hello
the time has passed" ] || fail "$output"
}

# A program of the cookbook: it prints what its comment says: cookbook FILE
cookbook() {
    grep -q "| \`$1\` |" "$here/../COOKBOOK.md" || fail "the page has no $1"
    by_pkg_config "cookbook/$1" "$tmp/cookbook-$1" -Wall -Wextra -Werror -O2 -pthread
    awk '/Prints:$/ { said = 1; next } said && !/^( \*|\/\/)   / { exit } said { print substr($0, 6) }' \
        "$examples/cookbook/$1" >"$tmp/cookbook-$1.says"
    [ -s "$tmp/cookbook-$1.says" ] || fail "its comment does not say what it prints"
    "$tmp/cookbook-$1" >"$tmp/cookbook-$1.log" || fail "exit code $?"
    diff "$tmp/cookbook-$1.says" "$tmp/cookbook-$1.log"
}

# All samples under the address and undefined-behaviour sanitizers: no report, but for what the .NET runtime keeps
# for the life of the process.
sanitizers() {
    sanitizers_work
    for source in hello.c sieve.c pipeline.c select.c echo.c pool.c chat.c deadlines.c fetch.c supervise.c cpp.cpp; do
        by_pkg_config $source "$tmp/asan-$source" -g -O1 -fsanitize=address,undefined
        is_right "${source%.*}" "$tmp/asan-$source"
    done
}

sanitizers_work() {
    not_across "the leak sanitizer traces threads, which qemu cannot"
    echo 'int main(void) { return 0; }' >"$tmp/empty.c"
    cc -fsanitize=address,undefined "$tmp/empty.c" -o "$tmp/empty" 2>/dev/null && "$tmp/empty" || exit 77
    export LSAN_OPTIONS="suppressions=$prefix/share/weft/lsan.supp:print_suppressions=0"
    export UBSAN_OPTIONS=halt_on_error=1
}

# A host that is marked for shadow stacks runs without them, because the library is not: the switch could not work.
shadow_stacks() {
    not_across "they are of x86"
    by_pkg_config hello.c "$tmp/cet" -O2 -fcf-protection=full || exit 77
    is_right hello "$tmp/cet"
    readelf -n "$prefix/lib/libweft.so" >"$tmp/notes"
    ! grep -q SHSTK "$tmp/notes" || fail "the library says that it can do with shadow stacks"
}

# All samples at once, by find_package.
cmake_samples() {
    not_across "a toolchain file"
    need cmake
    cmake -S "$here" -B "$tmp/cmake" -DCMAKE_PREFIX_PATH="$prefix" >"$tmp/cmake.log"
    cmake --build "$tmp/cmake" -j2 >>"$tmp/cmake.log"
    for program in hello pipeline cpp; do
        is_right $program "$tmp/cmake/$program"
    done
    is_right hello "$tmp/cmake/hello-static"
}

# weft.hpp for a compiler that is told an older language: one error, which says what to do.
old_cxx() {
    need c++
    echo '#include <weft.hpp>' >"$tmp/old.cpp"
    ! c++ -std=c++17 -I"$prefix/include" -c "$tmp/old.cpp" -o "$tmp/old.o" 2>"$tmp/old.log" || fail "no error"
    shows 'error.*-std=c++20' "$tmp/old.log"
    [ "$(grep -c 'error:' "$tmp/old.log")" -eq 1 ] || fail "$(cat "$tmp/old.log")"
}

# A wrong variable ends a program with one line that names it.
setting() {
    by_pkg_config hello.c "$tmp/setting" -O2
    status=0
    WEFT_MAXPROCS=none "$tmp/setting" >/dev/null 2>"$tmp/setting.log" || status=$?
    [ $status -eq 2 ] || fail "exit code $status"
    [ "$(cat "$tmp/setting.log")" = "weft: fatal: WEFT_MAXPROCS is 'none': it must be a number from 1 to 1024." ] ||
        fail "$(cat "$tmp/setting.log")"
}

# One archive, and it brings no names but its own.
static() {
    for program in hello pipeline; do
        cc -O2 -I"$prefix/include" "$examples/$program.c" -o "$tmp/static-$program" "$prefix/lib/libweft.a" \
            -lm -lpthread -ldl
        is_right $program "$tmp/static-$program"
    done
    others=$(nm -g --defined-only "$prefix/lib/libweft.a" | awk 'NF == 3 && $3 !~ /^(weft_.*|sigaction|signal)$/ { print $3 }')
    [ -z "$others" ] || fail "libweft.a defines $others"
}

# A program for which ld makes no table of frames, with -static: a code and a line, not the end in a collection.
no_frame_table() {
    linked -static "$prefix/lib/libweft.a" -lm
    output=$("$program" 2>&1) || status=$?
    [ "$output" = "weft: this program is linked by -static without -Wl,--eh-frame-hdr (pkg-config --static gives it)" ] ||
        fail "it prints: $output"
    [ "${status:-0}" -ne 0 ] || fail "its exit code is 0"
}

# Programs that need no library: linking -static|-static-pie|weft-static; each by what pkg-config says.
linking() {
    need pkg-config
    export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
    case $1 in
        weft-static) options=$(pkg-config --libs weft-static) ;;
        *) options="$1 $(pkg-config --static --libs weft)" ;;
    esac
    linked $options
    ! readelf -d "$program" | grep -q 'NEEDED.*libweft' || fail "it needs libweft.so"
    is_right hello "$program"
    [ "$1" = weft-static ] || ! readelf -d "$program" | grep -q NEEDED || fail "it needs a library"
    command -v c++ >/dev/null || return 0
    program=$(mktemp "$tmp/cxx_test-XXXXXX") # The words of C++ exceptions are found in a program without libraries.
    c++ -std=c++17 -O1 -I"$prefix/include" "$here/cxx_test.cpp" -o "$program" $options 2>"$program.log" ||
        fail "$(cat "$program.log")"
    says passed "$program" 2
}

# The archive by lld, which forgets sections that only __start_NAME refers to: lld OPTION...
lld() {
    lld_directory
    linked -B"$directory" -fuse-ld=lld "$@" "$prefix/lib/libweft.a" -lm -lpthread -ldl
    readelf -p .comment "$program" | grep -q LLD || fail "another linker made it"
    is_right hello "$program"
}

# Sets directory: where ld.lld is; Rust brings one.
lld_directory() {
    directory=$(dirname "$(command -v ld.lld || true)")
    [ "$directory" = . ] || return 0
    need rustc
    for directory in "$(rustc --print sysroot)"/lib/rustlib/*/bin/gcc-ld; do
        [ ! -x "$directory/ld.lld" ] || return 0
    done
    exit 77
}

# The samples find the library by the variable of weft.pc.
rpath() {
    need pkg-config
    export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
    linked $(pkg-config --libs weft)
    ! LD_LIBRARY_PATH='' "$program" >/dev/null 2>&1 || exit 77 # The system has one.
    linked $(pkg-config --libs weft) $(pkg-config --variable=rpath weft)
    is_right hello "$program"
}

# Another C library is one error, which says so: its headers do not define __GLIBC__.
musl() {
    mkdir -p "$tmp/musl"
    for header in errno.h stdint.h stddef.h; do
        : >"$tmp/musl/$header"
    done
    echo 'typedef long int64_t; typedef unsigned uint32_t; typedef unsigned long size_t;' >"$tmp/musl/stdint.h"
    echo '#include <weft.h>' >"$tmp/musl.c"
    compiler="cc -nostdinc -isystem $tmp/musl"
    ! command -v musl-gcc >/dev/null || compiler=musl-gcc
    ! $compiler -I"$prefix/include" -c "$tmp/musl.c" -o "$tmp/musl.o" 2>"$tmp/musl.log" || fail "no error"
    shows 'error.*libweft needs glibc' "$tmp/musl.log"
    [ "$(grep -c 'error:' "$tmp/musl.log")" -eq 1 ] || fail "$(cat "$tmp/musl.log")"
}

# Functions have names in what perf shows, in a program with the archive too.
names() {
    linked "$prefix/lib/libweft.a" -lm
    for file in "$prefix/lib/libweft.so" "$program"; do
        nm "$file" >"$tmp/names"
        for name in Scheduler weft_switch ByteChan; do
            grep -q " [tT] .*$name" "$tmp/names" || fail "$file has no name like $name"
        done
        ! readelf -S "$file" | grep -q '\.debug_info' || fail "$file has debugging information"
    done
    need gdb
    gdb -batch -nx -ex 'set debuginfod enabled off' -ex 'info symbol weft_go' "$prefix/lib/libweft.so" >"$tmp/gdb.log" 2>&1
    shows 'weft_go in section' "$tmp/gdb.log"
}

# Sets program: the first sample, with these options; what ld says of glibc's functions that load libraries is left out.
linked() {
    program=$(mktemp "$tmp/hello-XXXXXX")
    cc -O2 -I"$prefix/include" "$examples/hello.c" -o "$program" "$@" 2>"$program.log" || fail "$(cat "$program.log")"
}

# Every function, with right and wrong arguments: api PROCS [LOAD]
api() {
    compile api_test
    says passed "$program" "$@"
}

# What ends waits; tasks and bundles: ends PROCS
ends() {
    compile ends_test
    says passed "$program" "$@"
}

# The network beyond reading and writing: net PROCS
net() {
    compile net_test
    says passed "$program" "$@"
}

# Files, processes, signals as a channel: processes PROCS
processes() {
    compile process_test
    says passed "$program" "$@"
}

# Each function as the first one that a process calls.
first() {
    compile first_test -D_GNU_SOURCE
    for name in $(sed -n 's/^export \([^ ]*\) .*/\1/p' "$here/abi.txt" | grep -v -e weft_gdb); do
        "$program" "$name" >"$program.log" 2>&1 || fail "$name: exit code $?: $(cat "$program.log")"
    done
}

# Exported names, sizes and numbers are those of the committed list; the header declares them all.
abi() {
    compile abi_test
    "$here/make_abi.sh" "$prefix/lib/libweft.so" "$program" >"$tmp/abi"
    diff "$here/abi.txt" "$tmp/abi"
    others=$(nm -D --defined-only "$prefix/lib/libweft.so" | grep -v -e ' weft_' -e ' A ' -e ' W sig[a-z]*@@GLIBC' || true)
    [ -z "$others" ] || fail "libweft.so exports $others"
    grep -o 'weft_[a-z_]*(' "$prefix/include/weft.h" | tr -d '(' | sort -u >"$tmp/declared"
    hidden=$(sed -n 's/^export \([^ ]*\) .*/\1/p' "$tmp/abi" | sort | comm -13 "$tmp/declared" - | grep -v weft_gdb || true)
    [ -z "$hidden" ] || fail "weft.h does not declare $hidden"
    readelf -d "$prefix/lib/libweft.so" | grep -q 'soname: \[libweft.so.0\]' || fail "the soname is another"
    readelf -d "$prefix/lib/libweft.so" | grep -q NODELETE || fail "it can be unloaded"
}

# A page for every exported function, which groff and mandoc have nothing to say about; apropos finds all of them.
manual() {
    need mandb
    need apropos
    pages=$prefix/share/man
    sed -n 's/^export \([^ ]*\) .*/\1/p' "$here/abi.txt" | grep -v '^weft_gdb$' | sort >"$tmp/functions"
    for name in $(cat "$tmp/functions"); do
        [ -f "$pages/man3/$name.3" ] || fail "$name has no page"
    done
    written=$(grep -L '^\.so' "$pages"/man[37]/*)
    if command -v groff >/dev/null; then
        groff -man -Tutf8 -ww -z $written >"$tmp/groff.log" 2>&1 || fail "$(cat "$tmp/groff.log")"
        [ ! -s "$tmp/groff.log" ] || fail "$(cat "$tmp/groff.log")"
    fi
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning $written >"$tmp/mandoc.log" || fail "$(cat "$tmp/mandoc.log")"
    fi
    : >"$tmp/man.conf"
    mandb -q -c -C "$tmp/man.conf" "$pages"
    apropos -C "$tmp/man.conf" -M "$pages" -l weft >"$tmp/apropos"
    sed -n 's/^\(weft[a-z_-]*\) (\([37]\)).* - ./\1.\2 /p' "$tmp/apropos" | sed 's/ .*//' | sort >"$tmp/found"
    lost=$( (sed 's/$/.3/' "$tmp/functions" && printf 'weft.3\nweft-blocking.7\nweft-goroutines.7\n') | sort |
        comm -13 "$tmp/found" -)
    [ -z "$lost" ] || fail "apropos does not find $lost"
}

# Threads and goroutines on the same channels: mixed SECONDS [PROCS]
mixed() {
    compile mixed_test
    says "nothing lost" "$program" "$@"
}

# dlopen, twice; a second copy; the host's signal handlers.
host() {
    compile host_test
    cp "$prefix/lib/libweft.so" "$tmp/copy.so"
    says passed "$program" "$prefix/lib/libweft.so" "$tmp/copy.so"
}

# Hosts that have little address space left.
memory() {
    compile memory_test
    "$program" || fail "exit code $?"
}

# What a goroutine costs does not grow with their number: the time of a start, its memory, the mappings.
many() {
    not_across "guards take two mappings each under qemu, and there are not enough"
    program=$(mktemp "$tmp/million-XXXXXX")
    cc -std=gnu99 -O2 -Wall -Wextra -Werror -I"$prefix/include" "$here/../bench/million.c" -o "$program" \
        -L"$prefix/lib" -lweft "-Wl,-rpath,$prefix/lib"
    for count in 4000 40000; do
        WEFT_MAXPROCS=1 "$program" $count at_hand >"$program.$count" || fail "exit code $?"
    done
    [ "$(number cpu 40000)" -lt $((3 * $(number cpu 4000))) ] ||
        fail "a start takes $(number cpu 4000) ns among 4,000, $(number cpu 40000) among 40,000"
    [ "$(number mappings 40000)" -lt $(($(number mappings 4000) + 20)) ] ||
        fail "$(number mappings 4000) mappings for 4,000, $(number mappings 40000) for 40,000"
    [ "$(number resident 40000)" -lt 5000 ] || fail "$(number resident 40000) bytes each"
}

# What million says: number WORD COUNT
number() {
    sed -n "s/^$1 *\([0-9]*\).*/\1/p" "$program.$2"
}

python() {
    not_across "Python for that processor"
    need python3
    says passed python3 "$here/ctypes_test.py" "$prefix/lib/libweft.so"
}

# The sample module: python_module PROCS
python_module() {
    not_across "Python for that processor"
    need python3
    export WEFT_LIBRARY="$prefix/lib/libweft.so" PYTHONDONTWRITEBYTECODE=1
    test="python3 $here/python_test.py $examples/python"
    WEFT_MAXPROCS=$1 says passed $test
    output=$(python3 "$examples/python/squares.py") || fail "exit code $?"
    [ "$output" = "100 squares add up to 338350
AN ANSWER" ] || fail "squares.py prints: $output"
    for how in waiting running; do
        says ended timeout 20 $test ends $how
    done
    says "in a goroutine that nobody has joined" $test unjoined
}

# The sample crate: its tests, and its program. Built in a copy, without the network.
rust() {
    not_across "Rust for that processor"
    need cargo
    crate=$(mktemp -d "$tmp/rust-XXXXXX")
    cp -R "$examples/rust/." "$crate"
    cd "$crate"
    export WEFT_PREFIX="$prefix"
    says 'test result: ok. 7 passed' cargo test --offline --quiet --tests
    output=$(cargo run --offline --quiet --example pipeline) || fail "exit code $?"
    [ "$output" = "the squares of 1 to 1000 add up to 333833500" ] || fail "the program prints: $output"
}

# Who computes or blocks holds nobody up.
handoff() {
    compile handoff_test
    says passed "$program"
}

# A full stack ends the process with a message.
overflow() {
    compile handoff_test
    ends_with 'stack overflow: the fixed stack is full.*(weft_attr.stack_size)' "$program" overflow
}

# What must not be done is a code, or one message that names what C has: misuse codes|threads|movable
misuse() {
    compile misuse_test
    case $1 in
        codes) says passed "$program" codes ;;
        threads)
            says passed "$program" threads
            says 'raise weft_options.max_threads' "$program" threads
            ;;
        movable) ends_with 'at its limit (WEFT_STACK_FIXED' "$program" movable ;;
    esac
}

# Threads that goroutines are locked to, and that end: threads lock|ends|main_ends|too_late|exits
threads() {
    compile thread_test
    case $1 in
        too_late) ends_with 'weft: fatal: a weft_ function was called in the last round' "$program" too_late ;;
        exits) ends_with 'ends a thread by pthread_exit or pthread_cancel; return, or call weft_lock_thread' "$program" exits ;;
        *) says passed "$program" "$1" ;;
    esac
}

# errno is that of the thread where the call was, also for a compiler that believes in its address.
errno() {
    compile errno_test -O2
    says passed "$program"
}

# Movable stacks of C code grow; code in registered sections is interrupted.
stacks() {
    case $(readelf -h "$prefix/lib/libweft.so") in
        *AArch64*) guard=--param=stack-clash-protection-guard-size=12 ;; # gcc takes 64 KB there.
        *) guard= ;;
    esac
    compile stack_test -fstack-clash-protection $guard
    says passed "$program"
}

# Handlers that are installed without SA_ONSTACK.
signals() {
    not_across "qemu leaves a signal blocked whose frame has no room on the stack"
    compile signal_test
    says passed "$program"
    ulimit -c 0
    status=0
    "$program" lost >/dev/null 2>"$tmp/lost.log" || status=$?
    [ $status -eq 134 ] || fail "exit code $status"
    shows '^weft: fatal: no room for a signal .* SIGPROF' "$tmp/lost.log"
}

# C++ exceptions that are caught, or on their way, while their goroutine waits: exceptions PROCS
exceptions() {
    need c++
    program=$(mktemp "$tmp/cxx_test-XXXXXX")
    c++ -std=c++17 -O1 -g -Wall -Wextra -Werror -I"$prefix/include" "$here/cxx_test.cpp" -o "$program" \
        -L"$prefix/lib" -lweft "-Wl,-rpath,$prefix/lib"
    says passed "$program" "$@"
}

# Everything of weft.hpp, by each compiler there is: hpp PROCS
hpp() {
    need c++
    for compiler in c++ clang++; do
        command -v $compiler >/dev/null || continue
        [ $compiler = c++ ] || [ -z "${WEFT_CROSS:-}" ] || continue
        compile_hpp $compiler
        says passed "$program" "$@"
    done
}

# weft.hpp has all that weft.h has, but for what it has otherwise: go_with, a scope for a bundle, wait_for and join;
# what belongs to the library or to code of C; and sizes, which are those of the type.
hpp_whole() {
    sed -n 's/^export \([^ ]*\) .*/\1/p' "$here/abi.txt" | grep -v \
        -e '^weft_go$' -e '^weft_bundle_' -e '^weft_task_join_until$' -e '^weft_chan_elem_size$' \
        -e '^weft_version$' -e '^weft_abi_version$' -e '^weft_has$' -e '^weft_gdb$' -e '^weft_errno_location$' \
        -e '^weft_preemptible$' >"$tmp/wrapped"
    lost=$(while read -r name; do grep -qw "$name" "$prefix/include/weft.hpp" || echo "$name"; done <"$tmp/wrapped")
    [ -z "$lost" ] || fail "weft.hpp lacks $lost"
}

# An exception that nobody takes ends the program: hpp_lost go|task|scope|timer
hpp_lost() {
    need c++
    compile_hpp c++
    ends_with 'terminate: an exception' "$program" lost "$@"
}

# The same under the sanitizers, which have to be told of the stacks: else ASan takes what a throw has left on one for
# broken, and says once that it does not know the stack.
hpp_sanitizers() {
    need c++
    sanitizers_work
    compile_hpp c++ -fsanitize=address,undefined -O0 -g1 # Less than half of the time.
    says passed "$program" 2
}

# Sets program, compiled once for all cases, whichever comes first, as it takes long: compile_hpp COMPILER OPTION...
compile_hpp() {
    program=$tmp/hpp_test-$(echo "$*" | tr -c 'a-zA-Z0-9+\n' -)
    compiler=$1
    shift
    (
        flock 9
        for input in "$here/hpp_test.cpp" "$prefix/include/weft.h" "$prefix/include/weft.hpp" "$prefix/lib/libweft.so"; do
            [ "$program" -nt "$input" ] || rm -f "$program"
        done
        [ -e "$program" ] || "$compiler" -std=c++20 -O1 -g -Wall -Wextra -Werror -pedantic -I"$prefix/include" "$@" \
            "$here/hpp_test.cpp" -o "$program" -L"$prefix/lib" -lweft "-Wl,-rpath,$prefix/lib"
    ) 9>"$program.lock"
}

# The same in a library that a program of C loads later.
late_exceptions() {
    need c++
    library=$(mktemp "$tmp/cxx_test-XXXXXX.so")
    c++ -std=c++17 -O1 -g -shared -fPIC -I"$prefix/include" "$here/cxx_test.cpp" -o "$library"
    compile late_cxx_test
    says passed "$program" "$library"
}

# The goroutines in gdb, and the stack of one that is parked.
debugger() {
    not_across "gdb would look at qemu, whose stub answers it in seven of ten runs"
    need gdb
    compile gdb_test
    gdb -batch -nx -ex 'set debuginfod enabled off' -ex 'handle SIGSEGV SIG34 SIGURG nostop noprint pass' \
        -ex "source $prefix/share/gdb/weft-gdb.py" -ex 'break look_here' -ex run \
        -ex 'info goroutines' -ex 'goroutine 3 bt' -ex continue "$program" >"$tmp/gdb.log" 2>&1
    shows 'chan receive "second" parked' "$tmp/gdb.log"
    shows '^\* .*1 running .*thread' "$tmp/gdb.log"
    shows '^4 goroutines' "$tmp/gdb.log"
    shows '#.* deep_inside (depth=.*0)' "$tmp/gdb.log"
    shows '#.* parked (depth=' "$tmp/gdb.log"
    shows '^went on' "$tmp/gdb.log"
}

# A core file: of what is in use, not of the reservation, and the goroutines in it.
core() {
    not_across "the core file would be one of qemu"
    need gdb
    case $(cat /proc/sys/kernel/core_pattern) in core | core.%p) ;; *) exit 77 ;; esac
    ulimit -c unlimited || exit 77
    compile gdb_test
    rm -rf "$program.d"
    mkdir "$program.d"
    (cd "$program.d" && timeout 30 "$program" abort) >/dev/null 2>&1 || true
    file=$(find "$program.d" -name 'core*')
    [ -s "$file" ] || fail "no core file in 30 s"
    size=$(stat -c %s "$file")
    [ "$size" -lt 1000000000 ] || fail "a core file of $size bytes"
    gdb -batch -nx -ex 'set debuginfod enabled off' -ex "source $prefix/share/gdb/weft-gdb.py" \
        -ex 'info goroutines' -ex 'goroutine 3 bt' "$program" "$file" >"$tmp/core.log" 2>&1
    rm -r "$program.d"
    shows 'chan receive "second" parked' "$tmp/core.log"
    shows '^\* .*1 running .*thread' "$tmp/core.log"
    shows '^4 goroutines' "$tmp/core.log"
    shows '#.* deep_inside (depth=.*0)' "$tmp/core.log"
    shows '#.* parked (depth=' "$tmp/core.log"
}

all() {
    for source in hello.c sieve.c pipeline.c select.c echo.c pool.c chat.c deadlines.c fetch.c supervise.c cpp.cpp; do
        run sample $source
    done
    for file in "$examples"/cookbook/*; do
        run cookbook "${file##*/}"
    done
    for procs in 1 2 4; do
        run api $procs
        run api $procs 3
        run ends $procs
        run net $procs
        run processes $procs
        run mixed 1 $procs
        run exceptions $procs
        run hpp $procs
        run python_module $procs
    done
    for name in codes threads movable; do
        run misuse $name
    done
    for name in lock ends main_ends too_late exits; do
        run threads $name
    done
    for where in go task scope timer; do
        run hpp_lost $where
    done
    for how in -static -static-pie weft-static; do
        run linking $how
    done
    run lld
    run lld -Wl,--gc-sections
    for name in tls no_frame_table rpath musl names hpp_whole hpp_sanitizers cmake_samples old_cxx setting sanitizers shadow_stacks static abi first manual host memory many python rust errno handoff overflow stacks \
        signals late_exceptions debugger core; do
        run $name
    done
}

# --- steps ---------------------------------------------------------------------------------------------------

run() {
    status=0
    "$here/run.sh" "$prefix" "$@" || status=$?
    echo "$* $status"
    [ $status -eq 0 ] || [ $status -eq 77 ]
}

# What a sample prints: is_right SAMPLE PROGRAM
is_right() {
    case $1 in
        hello) expected="hello from a goroutine 1" ;;
        sieve) expected="2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 53 59 61 67 71 73 79 83 89 97" ;;
        pipeline) expected="the squares of 1 to 1000 add up to 333833500" ;;
        select) expected="20 fast, 5 slow, ticks: some
the time has passed" ;;
        echo) expected="50 of 50 clients were answered
the connection was refused
the time has passed, success" ;;
        pool) expected="there are 9592 primes below 100000
a job that is wrong: an argument is null or out of range" ;;
        chat) expected="heard from 2
heard from 2
heard from 2" ;;
        deadlines) expected="6 in time, 2 too late, 0 stages failed" ;;
        fetch) expected="/: 200, 5 bytes: hello
/never: the time has passed
/: the connection was refused" ;;
        supervise) expected="exit 1: failed 3 times
exec sleep 1000: cancelled" ;;
        cpp) expected="10100 0
thrown in a goroutine
the channel is closed
0" ;;
    esac
    output=$("$2") || fail "$1: exit code $?"
    [ "$output" = "$expected" ] || fail "$1 prints: $output"
}

# A sample, compiled as its user would: by_pkg_config SOURCE PROGRAM OPTION...
by_pkg_config() {
    need pkg-config
    source=$1 output=$2
    shift 2
    case $source in
        *.cpp)
            need c++
            compiler="c++ -std=c++20"
            ;;
        *) compiler="cc -std=c99 -pedantic" ;;
    esac
    flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs weft)
    $compiler "$@" "$examples/$source" -o "$output" $flags "-Wl,-rpath,$prefix/lib"
}

# Sets program: compile NAME [OPTION...]. Cases that run at once compile to files of their own.
compile() {
    program=$(mktemp "$tmp/$1-XXXXXX")
    source=$here/$1.c
    shift
    cc -std=gnu99 -O1 -g -Wall -Wextra -Werror -I"$prefix/include" "$@" "$source" -o "$program" \
        -L"$prefix/lib" -lweft -lpthread -ldl -lm "-Wl,-rpath,$prefix/lib"
}

# says TEXT COMMAND...
says() {
    text=$1
    shift
    output=$("$@" 2>&1) || fail "exit code $?: $output"
    case $output in *"$text"*) ;; *) fail "$output" ;; esac
}

# The process aborts, with this on standard error: ends_with TEXT COMMAND...
ends_with() {
    text=$1
    shift
    ulimit -c 0
    status=0
    log=$(mktemp "$tmp/aborts-XXXXXX.log")
    "$@" >/dev/null 2>"$log" || status=$?
    [ $status -eq 134 ] || fail "exit code $status: $(cat "$log")"
    shows "$text" "$log"
}

shows() {
    grep -q -e "$1" "$2" || fail "no line '$1' in: $(cat "$2")"
}

# This case is not for a library of another processor, for this reason: not_across REASON
not_across() {
    [ -z "${WEFT_CROSS:-}" ] || { echo "left out: $1" && exit 77; }
}

need() {
    command -v "$1" >/dev/null || exit 77
}

fail() {
    echo "$*" >&2
    exit 1
}

for tool in cc nm readelf; do
    need $tool
done
"$@"
