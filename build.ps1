#!/usr/bin/env pwsh
#requires -Version 7.2

# Builds, tests and measures Weft, with the verbs of build.sh, where PowerShell is the shell. Each verb first
# sets up what it needs: by build.sh where there is one to run, else the SDK by Microsoft's script.
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
  test    publish the tests and run them, but for the slow ones (tests/Slow.cs); test all: those too, in the
          small-queue build as well, and on each build of .NET
  bench   publish and run the benchmarks; --dotnet by BenchmarkDotNet, --peers beside other languages
  lib     make the C library in out/lib/ and its header in out/include/
  install install the C library: ./build.ps1 install PREFIX
  pack    make the NuGet packages in out/packages/
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
    $filter = @($Rest)
    $everything = $filter.Count -and $filter[0] -eq 'all'
    if ($everything) {
        $filter = @($filter | Select-Object -Skip 1)
    }
    $builds = @('weft-tests')
    if ($Rest) { $builds += 'weft-tests-small' } else { $env:WEFT_TESTS_QUICK = '1' }
    Publish-Tests -NormalOnly:(-not $Rest)
    $results = @($builds | ForEach-Object { Invoke-Suite $_ $filter })
    if ($everything -and -not $IsWindows) { $results += Invoke-Runtimes }
    $passed = ($results.Passed | Measure-Object -Sum).Sum
    $failed = ($results.Failed | Measure-Object -Sum).Sum
    "$passed passed, $failed failed"
    exit [int]($failed -gt 0 -or $passed -eq 0)
}

function Bench {
    Initialize-Machine
    Publish bench/bare/bare.csproj
    Publish bench/Weft.Bench.csproj
    if ("$Rest" -match '^(--peers|--dotnet --peers)') { Publish-Peers }
    if ("$Rest" -like '--*') {
        Invoke-Dotnet build bench/front/front.csproj
        & dotnet out/front/weft-bench-front.dll @Rest
    } else {
        & "out/bin/weft-bench$Exe" @Rest
    }
    exit $LASTEXITCODE
}

function Lib {
    Initialize-Machine
    Publish native/Weft.Native.csproj
}

function Install {
    if ($IsWindows) { Stop-Build 'install is for systems that have a prefix; the library is in out/lib/' }
    & ./build.sh install @Rest
    exit $LASTEXITCODE
}

function Pack {
    Initialize-Machine
    New-Packages
}

function Stress {
    Initialize-Machine
    Publish-Tests
    $rounds = if ($Rest) { [int]$Rest[0] } else { [int]::MaxValue }
    $filter = @($Rest | Select-Object -Skip 1)
    for ($round = 1; $round -le $rounds; $round++) {
        "round $round"
        foreach ($program in 'weft-tests', 'weft-tests-small') {
            & "out/bin/$program$Exe" @filter
            if ($LASTEXITCODE -notin 0, 8) {
                Stop-Build "round ${round}: $program ended with status $LASTEXITCODE"
            }
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

# The same questions in other languages. One whose compiler is missing is left out.
function Publish-Peers {
    Remove-Item -Force -ErrorAction Ignore "out/bin/weft-bench-boost", "out/bin/weft-bench-go$Exe",
        "out/bin/weft-bench-tasks$Exe"
    Publish bench/peers/tasks/tasks.csproj
    if (Get-Command go -CommandType Application -ErrorAction Ignore) {
        $env:CGO_ENABLED, $env:GOTOOLCHAIN, $env:GOFLAGS = '0', 'local', '-buildvcs=false'
        Push-Location bench/peers/go
        & go build -o "../../../out/bin/weft-bench-go$Exe" .
        Pop-Location
    } else {
        'no peer in Go: go is not installed'
    }
    if ((Get-Command c++ -CommandType Application -ErrorAction Ignore) -and
        (Test-Path /usr/include/boost/fiber/all.hpp)) {
        & c++ -O2 -o out/bin/weft-bench-boost bench/peers/boost/main.cpp -lboost_fiber -lboost_context -pthread
    } else {
        'no peer with Boost.Fiber: c++ or libboost-fiber-dev is not installed'
    }
}

function New-Packages {
    Remove-Directory out/packages
    Invoke-Dotnet pack runtime/Weft.csproj
    Invoke-Dotnet pack runtime/aspnetcore/Weft.AspNetCore.csproj
}

# The analyzers look at one of the two.
function Publish-Tests([switch]$NormalOnly) {
    New-Packages
    Publish tests/Weft.Tests.csproj '-p:RunAnalyzers=false'
    if (-not $NormalOnly) { Publish tests/Weft.Tests.csproj '-p:WeftSmall=true' }
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

# The smoke test on each build of .NET that can be had counts as one test.
function Invoke-Runtimes {
    & sh tests/runtimes.sh 2>&1 | Tee-Object -Variable log | Out-Host
    [pscustomobject]@{
        Passed = @($log -match ': works$').Count
        Failed = @($log -match ': does not work$').Count
    }
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
    if (-not $IsWindows) {
        & ./build.sh setup
        if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    }
    Find-Sdk
    if (-not (Test-Sdk) -and $IsWindows) {
        Install-Sdk
        Find-Sdk
    }
    if (-not (Test-Sdk)) {
        Stop-Build 'the .NET 10 SDK could not be installed; get it from https://dot.net/download'
    }
}

# Where Microsoft's script puts an SDK, if the one on the PATH will not do.
function Find-Sdk {
    $directory = Join-Path $HOME .dotnet
    if (-not (Test-Sdk) -and (Test-Path $directory)) {
        $env:PATH = $directory + [IO.Path]::PathSeparator + $env:PATH
    }
}

# Needs no administrator. WEFT_DOTNET_INSTALL names another copy of the script.
function Install-Sdk {
    $address = $env:WEFT_DOTNET_INSTALL ? $env:WEFT_DOTNET_INSTALL : 'https://dot.net/v1/dotnet-install.ps1'
    $script = Join-Path ([IO.Path]::GetTempPath()) weft-dotnet-install.ps1
    $directory = Join-Path $HOME .dotnet
    Write-Host "installing the .NET 10 SDK in $directory"
    try {
        Invoke-WebRequest $address -OutFile $script
        & $script -Channel 10.0 -InstallDir $directory -NoPath
    } catch {
        Write-Host $_
    }
}

# Whether an SDK satisfies global.json.
function Test-Sdk {
    if (-not (Get-Command dotnet -CommandType Application -ErrorAction Ignore)) { return $false }
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
    'lib' { Lib }
    'install' { Install }
    'pack' { Pack }
    'stress' { Stress }
    'clean' { Clean }
    'help' { Show-Help }
    default { Show-Help; exit 2 }
}
