#!/bin/sh
# Publishes the test of the completion port and runs it under Wine. Exit code 77: Wine is not installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$here/../../out
for wine in wine64 /usr/lib/wine/wine64 wine none; do
    command -v "$wine" >/dev/null 2>&1 && break
done
if [ "$wine" = none ]; then
    echo "Wine is not installed; on Debian: apt-get install --no-install-recommends wine64"
    exit 77
fi
dotnet publish "$here/iocp.csproj" -o "$out/iocp" -v:quiet --nologo -tl:off
mkdir -p "$out/wine"
WINEPREFIX=$(cd "$out/wine" && pwd) WINEDEBUG=-all "$wine" "$out/iocp/iocp.exe"
