#!/bin/sh
# Runs tests of Weft on other builds of .NET than the one that this repository is built with, as far as their
# packages can be had, and compares what asm/runtime_x64.h (or _arm64.h) says with a build's debug information.
#
#   tests/runtimes.sh                         the smoke test on each other build below whose packages can be had
#   tests/runtimes.sh run VERSION [TEST...]   publish the tests for one build and run them: all, or those named
#   tests/runtimes.sh compare VERSION         what differs between the table and the build; needs gdb
#
# WEFT_RID=linux-arm64: for that one, by the cross tools that ./build.sh arm64 needs; CppCompilerAndLinker and
# ObjCopyName are what they are called here, if not clang and llvm-objcopy. The system has to run its programs
# (qemu, with QEMU_LD_PREFIX). compare takes gdb-multiarch then.
#
# Everything lands in out/runtimes/VERSION/, the packages too: the machine's own are not touched.
#
# An SDK 10 cannot build for .NET 11 by itself. What it takes: the packages of 11, with the build logic of 10
# (targets and tasks, which belong to the SDK), told four things that 11 changed. An SDK 11 needs none of it.
set -eu
cd "$(dirname "$0")/.."

known="10.0.12 11.0.0"
own=$(sed -n 's/.*<RuntimeFrameworkVersion>\(.*\)<.*/\1/p' Directory.Build.props)
machine=${NUGET_PACKAGES:-$HOME/.nuget/packages}
quiet='-v:quiet --nologo -tl:off'
rid=${WEFT_RID:-linux-x64}
case $rid in
    linux-x64) table=asm/runtime_x64.h cross="" ;;
    linux-arm64)
        table=asm/runtime_arm64.h
        cross="-r $rid -p:WeftCross=true -p:DisableTransitiveFrameworkReferenceDownloads=true"
        ;;
    *) echo "runtimes.sh: WEFT_RID is $rid; it takes linux-x64 and linux-arm64" >&2 && exit 1 ;;
esac
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1

fail() {
    echo "runtimes.sh: $1" >&2
    exit 1
}

# Restores the packages of a build of .NET; false where they are not to be had.
restore() {
    at=$PWD/out/runtimes/$1${cross:+-$rid}
    packages=$at/packages
    mkdir -p "$at/fetch"
    cat >"$at/fetch/fetch.csproj" <<END
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><TargetFramework>net10.0</TargetFramework></PropertyGroup>
  <ItemGroup>
    <PackageDownload Include="Microsoft.DotNet.ILCompiler" Version="[$1]" />
    <PackageDownload Include="runtime.linux-x64.Microsoft.DotNet.ILCompiler" Version="[$1]" />
    <PackageDownload Include="Microsoft.NETCore.App.Runtime.NativeAOT.$rid" Version="[$1]" />
    <PackageDownload Include="Microsoft.NET.ILLink.Tasks" Version="[$1]" />
  </ItemGroup>
</Project>
END
    # Outside of this repository's own settings.
    echo '<Project />' >"$at/fetch/Directory.Build.props"
    cp "$at/fetch/Directory.Build.props" "$at/fetch/Directory.Build.targets"
    NUGET_PACKAGES=$packages dotnet restore "$at/fetch/fetch.csproj" $quiet >"$at/restore.log" 2>&1
}

major() {
    echo "${1%%.*}"
}

# The build logic of our own version in the place of that of a later one.
overlay() {
    for package in microsoft.dotnet.ilcompiler microsoft.net.illink.tasks; do
        from=$machine/$package/$own to=$packages/$package/$1
        [ -d "$from" ] || fail "the packages of .NET $own are missing; build the repository first"
        rm -rf "$to/build" "$to/tools" "$to/Sdk"
        for part in build tools Sdk; do
            [ ! -d "$from/$part" ] || cp -r "$from/$part" "$to/"
        done
    done
    sed -i -e 's/DotNetRuntimeDebugHeader/DotNetRuntimeContractDescriptor/' \
        -e 's/--stacktracedata"/--stacktracedata:frames"/' \
        -e "/VxSortSupportName/s/ Condition=\"'\$(_targetArchitecture)' == 'x64'\"//" \
        -e '/UseSystemZlib.*libz\.a" \/>/{p;s/libz\.a/libzstd.a/}' \
        "$packages/microsoft.dotnet.ilcompiler/$1/build/"*.targets
}

# Publishes a project for a build of .NET into out/runtimes/VERSION/bin/.
publish() {
    if [ "$(major "$1")" -gt "$(dotnet --version | cut -d. -f1)" ]; then
        overlay "$1"
    fi
    NUGET_PACKAGES=$packages dotnet publish "$2" $quiet $cross -p:RuntimeFrameworkVersion="$1" \
        -p:WeftLockDirectory="$at/lock/" -p:RestoreLockedMode=false \
        -p:RestoreFallbackFolders="$machine" -p:WeftOut="$at/"
}

run() {
    version=$1
    shift
    publish "$version" tests/Weft.Tests.csproj
    "$at/bin/weft-tests" "$@"
}

# Prints the fields of the table whose offset in the build's debug information is another one.
compare() {
    gdb=gdb${cross:+-multiarch}
    has "$gdb" || fail "$gdb is missing"
    objects=$at/objects
    rm -rf "$objects" && mkdir -p "$objects"
    library=$(find "$packages/microsoft.netcore.app.runtime.nativeaot.$rid/$1" -name libRuntime.WorkstationGC.a)
    (cd "$objects" && ar x "$library" thread.cpp.o)
    "$gdb" -batch -ex 'ptype /od RuntimeThreadLocals' "$objects/thread.cpp.o" >"$at/fields.txt" 2>/dev/null
    "${CC:-cc}" -E -dM -DWEFT_DOTNET="$(major "$1")" -x c "$table" >"$at/table.txt"
    differences=0
    while read -r name field; do
        expected=$(($(awk -v name="$name" '$2 == name { print $3 }' "$at/table.txt")))
        found=$(sed -n "s/^\/\* *\([0-9]*\) .*[ *]$field;.*/\1/p" "$at/fields.txt")
        if [ "$found" != "$expected" ]; then
            echo "$1: $field is at ${found:-no offset}, $name says $expected"
            differences=$((differences + 1))
        fi
    done <<END
THREAD_FLAGS m_ThreadStateFlags
THREAD_FRAME m_pTransitionFrame
THREAD_DEFERRED m_pDeferredTransitionFrame
THREAD_CACHED m_pCachedTransitionFrame
THREAD_HIJACK_SLOT m_ppvHijackedReturnAddressLocation
THREAD_HIJACK_VALUE m_pvHijackedReturnAddress
THREAD_EXINFO m_pExInfoStackHead
THREAD_STATICS m_pThreadLocalStatics
THREAD_INLINED_LIST m_pInlinedThreadLocalStatics
THREAD_GCFRAMES m_pGCFrameRegistrations
THREAD_BOUNDS_LOW m_pStackLow
THREAD_BOUNDS_HIGH m_pStackHigh
THREAD_INTERRUPTED m_interruptedContext
END
    found=$(awk '/total size/ { n = $5 } END { print n }' "$at/fields.txt")
    if [ "$found" != $(($(awk '$2 == "THREAD_SIZE" { print $3 }' "$at/table.txt"))) ]; then
        echo "$1: all of it is ${found:-of no size}, THREAD_SIZE says something else"
        differences=$((differences + 1))
    fi
    [ "$differences" -eq 0 ] && echo "$1: all offsets are those of $table"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# -------------------------------------------------------------------------------------------------

verb=${1:-smoke}
[ $# -eq 0 ] || shift
case $verb in
    smoke)
        status=0
        for version in $known; do
            if [ "$version" = "$own" ]; then
                echo "== .NET $version: what this repository is built with, all tests run on it"
            elif restore "$version"; then
                echo "== .NET $version"
                if publish "$version" tests/smoke/Weft.Smoke.csproj && "$at/bin/weft-smoke"; then
                    echo ".NET $version: works"
                else
                    echo ".NET $version: does not work"
                    status=1
                fi
            else
                echo "== .NET $version: its packages cannot be had here, skipped"
            fi
        done
        exit "$status"
        ;;
    run | compare)
        [ $# -gt 0 ] || fail "usage: tests/runtimes.sh $verb VERSION"
        restore "$1" || fail "the packages of .NET $1 cannot be had here; see out/runtimes/$1/restore.log"
        "$verb" "$@"
        ;;
    *) fail "usage: tests/runtimes.sh [run VERSION [TEST...] | compare VERSION]" ;;
esac
