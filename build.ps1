#!/usr/bin/env pwsh
#requires -Version 7.2

# Builds, tests and measures Weft, with the verbs of build.sh, where PowerShell is the shell.
# It installs nothing: each check says in one line what is missing.
param([string] $Verb = 'help', [Parameter(ValueFromRemainingArguments)] [string[]] $Rest = @())

$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false
Set-Location $PSScriptRoot

$Quiet = '-v:quiet', '--nologo', '-tl:off'
$Exe = if ($IsWindows) { '.exe' } else { '' }

function Show-Help {
    @'
usage: ./build.ps1 VERB [ARGUMENT...]

  build   compile everything; a warning is an error
  run     publish the sample program weave and count this repository with it
  test    publish the tests in the normal and in the small-queue build, and run both
  bench   publish and run the benchmarks
  pack    make the NuGet package in out/packages/
  stress  run the tests until one fails, or N times: ./build.ps1 stress N
  clean   remove out/
  help    this text

What follows test and bench goes to the program: ./build.ps1 test Tidy runs one class of tests.
Everything lands in out/, the programs in out/bin/.
'@
}

# --- verbs ---------------------------------------------------------------------------------------

function Build {
    Initialize-Machine
    Invoke-Dotnet build Native.sln '-c' Release
}

function Run {
    Initialize-Machine
    Publish native/samples/weave/weave.csproj
    $files = (Get-ChildItem -File).Name
    & "out/bin/weave$Exe" count @files .ci asm bench native runtime tests
    exit $LASTEXITCODE
}

function Test {
    Initialize-Machine
    Publish-Tests
    $results = 'weft-tests', 'weft-tests-small' | ForEach-Object { Invoke-Suite $_ $Rest }
    $passed = ($results.Passed | Measure-Object -Sum).Sum
    $failed = ($results.Failed | Measure-Object -Sum).Sum
    "$passed passed, $failed failed"
    exit [int]($failed -gt 0 -or $passed -eq 0)
}

function Bench {
    Initialize-Machine
    Publish bench/bare/bare.csproj
    Publish bench/Weft.Bench.csproj
    & "out/bin/weft-bench$Exe" @Rest
    exit $LASTEXITCODE
}

function Pack {
    Initialize-Machine
    Remove-Directory out/packages
    Invoke-Dotnet pack runtime/Weft.csproj
}

function Stress {
    Initialize-Machine
    Publish-Tests
    $rounds = if ($Rest) { [int]$Rest[0] } else { [int]::MaxValue }
    for ($round = 1; $round -le $rounds; $round++) {
        "round $round"
        foreach ($program in 'weft-tests', 'weft-tests-small') {
            & "out/bin/$program$Exe"
            if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
        }
    }
}

function Clean {
    Remove-Directory out
}

# --- steps ---------------------------------------------------------------------------------------

function Invoke-Dotnet {
    & dotnet @args @Quiet
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

# Publishes one program into out/bin/.
function Publish {
    Invoke-Dotnet publish @args
}

function Publish-Tests {
    Pack
    Publish tests/Weft.Tests.csproj
    Publish tests/Weft.Tests.csproj '-p:WeftSmall=true'
}

# Runs one build of the tests and returns what its summary says. A run that ends without a summary,
# by a crash for example, counts as one failure; one without any of the tests that were asked for,
# status 8, does not: some are in one of the builds only.
function Invoke-Suite([string] $Program, [string[]] $Arguments) {
    Write-Host "== $Program"
    & "out/bin/$Program$Exe" @Arguments 2>&1 | Tee-Object -Variable log | Out-Host
    $status = $LASTEXITCODE
    $passed = Get-Summary $log succeeded
    $failed = Get-Summary $log failed
    if ($status -ne 0 -and $status -ne 8 -and $failed -eq 0) {
        Write-Host "${Program}: ended with status $status"
        $failed = 1
    }
    [pscustomobject]@{ Passed = $passed; Failed = $failed }
}

# The last number that the summary gives for a word, or 0.
function Get-Summary([object[]] $Log, [string] $Word) {
    $line = $Log | Select-String "^\s*${Word}: (\d+)\s*$" | Select-Object -Last 1
    if ($line) { [int]$line.Matches[0].Groups[1].Value } else { 0 }
}

function Remove-Directory([string] $Path) {
    if (Test-Path $Path) { Remove-Item -Recurse -Force $Path }
}

# --- set-up --------------------------------------------------------------------------------------

$env:DOTNET_NOLOGO = '1'
$env:DOTNET_CLI_TELEMETRY_OPTOUT = '1'

function Initialize-Machine {
    if (-not $IsWindows -and -not (Test-Command clang) -and -not (Test-Command gcc)) {
        Stop-Build 'a C compiler is missing; to install it, run:  ./build.sh build'
    }
    if (-not (Test-Command dotnet) -or -not (Test-Sdk)) {
        Stop-Build 'the .NET 10 SDK is missing; see https://dot.net/download'
    }
}

function Test-Command([string] $Name) {
    [bool](Get-Command $Name -CommandType Application -ErrorAction Ignore)
}

# Whether an SDK satisfies global.json.
function Test-Sdk {
    $null = & dotnet --version 2>&1
    $LASTEXITCODE -eq 0
}

function Stop-Build([string] $Message) {
    [Console]::Error.WriteLine("build.ps1: $Message")
    exit 1
}

# -------------------------------------------------------------------------------------------------

switch ($Verb) {
    'build' { Build }
    'run' { Run }
    'test' { Test }
    'bench' { Bench }
    'pack' { Pack }
    'stress' { Stress }
    'clean' { Clean }
    'help' { Show-Help }
    default { Show-Help; exit 2 }
}
