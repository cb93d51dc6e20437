// The packages as their users meet them: a fresh project, one PackageReference, PublishAot.

using System.IO.Compression;
using System.Text.RegularExpressions;

namespace Weft.Tests;

internal sealed class PackageTests
{
    private const string ChannelProgram = """
        using Weft;

        return WeftHost.Run(() =>
        {
            var c = new Chan<int>();
            Go.Run(() => c.Send(42));
            System.Console.WriteLine(c.Receive());
            return 0;
        });
        """;

    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task AFreshProjectNeedsOnlyThePackageAndPublishAot(bool pinned)
    {
        using FreshProject project = new("fresh", ChannelProgram, pinned);

        ChildResult publish = project.Dotnet("publish", "--output", "published");
        await Assert.That(publish.ExitCode).IsEqualTo(0).Because(publish.ToString());

        ChildResult run = project.RunPublished();
        await Assert.That(run.Output).IsEqualTo("42\n").Because(run.ToString());
        await Assert.That(run.ExitCode).IsEqualTo(0);
    }

    [Test]
    public async Task WithoutNativeAotOneLineSaysWhatIsNeeded()
    {
        using FreshProject project = new("fresh", ChannelProgram);

        ChildResult run = project.Dotnet("run");
        await Assert.That(run.ExitCode).IsNotEqualTo(0).Because(run.ToString());
        await Assert.That(run.Error.TrimEnd()).Contains("PublishAot").And.DoesNotContain("\n");
    }

    [Test]
    public async Task PublishingWithoutPublishAotIsAnErrorThatSaysSo()
    {
        using FreshProject project = new("fresh", ChannelProgram);

        ChildResult publish = project.Dotnet("publish", "-p:PublishAot=false");
        await Assert.That(publish.ExitCode).IsNotEqualTo(0).Because(publish.ToString());
        await Assert.That(publish.Output).Contains("error WEFT001").And.Contains("fresh.csproj");
    }

    [Test]
    public async Task AnUnsupportedVersionIsNamedBesideTheSupportedOnes()
    {
        using FreshProject project = new("fresh", ChannelProgram);

        ChildResult publish = project.Dotnet("publish", "-p:WeftSupportedDotNet=12");
        await Assert.That(publish.ExitCode).IsNotEqualTo(0).Because(publish.ToString());
        await Assert.That(publish.Output)
            .Contains("error WEFT003").And.Contains("supported: .NET 12");
    }

    // The check alone: to publish takes ten seconds.
    [Test]
    public async Task APatchThatWasNeverTriedIsAWarningThatCanBeSilenced()
    {
        using FreshProject project = new("fresh", ChannelProgram);
        string[] check =
        [
            "-restore", "-t:ResolveFrameworkReferences;WeftCheckTarget", "-p:RuntimeIdentifier=linux-x64",
            "-p:WeftTriedDotNet=10.0.1",
        ];

        ChildResult warned = project.Dotnet("msbuild", check);
        await Assert.That(warned.ExitCode).IsEqualTo(0).Because(warned.ToString());
        await Assert.That(warned.Output).Contains("warning WEFT004").And.Contains(FreshProject.Pin());

        ChildResult quiet = project.Dotnet("msbuild", [.. check, "-p:NoWarn=WEFT004"]);
        await Assert.That(quiet.ExitCode).IsEqualTo(0).Because(quiet.ToString());
        await Assert.That(quiet.Output).DoesNotContain("WEFT004");
    }

    [Test]
    public async Task ThePackageForAspNetCoreAsksForTheWeftThatItWasPackedWith()
    {
        using ZipArchive package = ZipFile.OpenRead(Packed("Weft.AspNetCore"));
        using StreamReader nuspec = new(package.GetEntry("Weft.AspNetCore.nuspec")!.Open());

        string text = await nuspec.ReadToEndAsync();
        await Assert.That(text).Contains($"<dependency id=\"Weft\" version=\"{Version(Packed("Weft"))}\"")
            .And.Contains("<frameworkReference name=\"Microsoft.AspNetCore.App\"");
    }

    private static string Packages() => Path.Combine(Repository.Root(), "out", "packages");

    /// <summary>The file of a package; the calling test is skipped where there is none.</summary>
    private static string Packed(string name)
    {
        string? package = Directory.Exists(Packages())
            ? Directory.EnumerateFiles(Packages(), name + ".*.nupkg").SingleOrDefault(
                file => char.IsAsciiDigit(Path.GetFileName(file)[name.Length + 1]))
            : null;
        Skip.When(package is null, "there is no package; ./build.sh pack makes it");
        return package!;
    }

    private static string Version(string package) =>
        Regex.Match(Path.GetFileNameWithoutExtension(package), @"\d+\.\d+\.\d+.*").Value;

    /// <summary>A console project in a directory of its own, which Dispose removes. It takes Weft
    /// from out/packages/ and all else from the packages that building this repository needed, so
    /// it works without a network.</summary>
    private sealed class FreshProject : IDisposable
    {
        private readonly string _name;
        private readonly string _directory;

        internal FreshProject(string name, string program, bool pinned = true)
        {
            string packages = Packages();
            string version = Version(Packed("Weft"));

            _name = name;
            _directory = Directory.CreateTempSubdirectory("weft-package-").FullName;
            // Without a pin the SDK chooses the patch, as for any project that `dotnet new console` makes.
            string pin = pinned
                ? $"<RuntimeFrameworkVersion>{Pin()}</RuntimeFrameworkVersion>" : "";
            Write(name + ".csproj", $"""
                <Project Sdk="Microsoft.NET.Sdk">
                  <PropertyGroup>
                    <OutputType>Exe</OutputType>
                    <TargetFramework>net10.0</TargetFramework>
                    {pin}
                    <PublishAot>true</PublishAot>
                    <InvariantGlobalization>true</InvariantGlobalization>
                    <ImplicitUsings>enable</ImplicitUsings>
                    <Nullable>enable</Nullable>
                  </PropertyGroup>
                  <ItemGroup>
                    <PackageReference Include="Weft" Version="{version}" />
                  </ItemGroup>
                </Project>
                """);
            Write("nuget.config", $"""
                <configuration>
                  <packageSources>
                    <clear />
                    <add key="local" value="{packages}" />
                  </packageSources>
                  <fallbackPackageFolders>
                    <add key="machine" value="{MachinePackages()}" />
                  </fallbackPackageFolders>
                </configuration>
                """);
            Write("Program.cs", program);
        }

        /// <summary>What this repository is built with, whose packages are here; the tests may run on another
        /// one.</summary>
        internal static string Pin() => Regex.Match(
            File.ReadAllText(Path.Combine(Repository.Root(), "Directory.Build.props")),
            "<RuntimeFrameworkVersion>(.*)<").Groups[1].Value;

        internal ChildResult Dotnet(string verb, params string[] args) => ChildProcess.Execute(
            "dotnet",
            [verb, .. args],
            _directory,
            // Its own package folder: another build of the same version must not be found.
            new() { ["NUGET_PACKAGES"] = Path.Combine(_directory, "packages") },
            timeout: TimeSpan.FromMinutes(5));

        internal ChildResult RunPublished() =>
            ChildProcess.Execute(Path.Combine(_directory, "published", _name), []);

        public void Dispose() => Directory.Delete(_directory, recursive: true);

        private void Write(string file, string text) =>
            File.WriteAllText(Path.Combine(_directory, file), text);

        private static string MachinePackages() =>
            Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(
                Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
    }
}
