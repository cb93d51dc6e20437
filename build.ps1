#!/usr/bin/env pwsh
#requires -Version 7.2

# The verbs of build.sh where PowerShell is the shell: hands them on, with all arguments and the status.
# On Windows to the Linux beside it, WSL, since Weft itself is not for Windows yet (runtime/PLATFORMS.md).

$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false
Set-Location $PSScriptRoot

if (-not $IsWindows) {
    & ./build.sh @args
} elseif (Get-Command wsl -CommandType Application -ErrorAction Ignore) {
    & wsl --exec sh ./build.sh @args
} else {
    [Console]::Error.WriteLine('build.ps1: Weft is not for Windows yet; with WSL (wsl --install) this runs build.sh there')
    exit 1
}
exit $LASTEXITCODE
