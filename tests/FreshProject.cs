// A project that uses the packages, as their users have it.

using System.Text.RegularExpressions;

namespace Weft.Tests;

/// <summary>A console project in a directory of its own, which Dispose removes. It takes Weft
/// from out/packages/ and all else from the packages that building this repository needed, so
/// it works without a network.</summary>
internal sealed class FreshProject : IDisposable
{
    private readonly string _name;
    private readonly string _directory;

    internal FreshProject(string name, string program, bool pinned = true, bool publishAot = true, string property = "")
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
                <PublishAot>{(publishAot ? "true" : "false")}</PublishAot>
                {property}
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

    internal ChildResult RunPublished(params string[] args) =>
        ChildProcess.Execute(Path.Combine(_directory, "published", _name), args);

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    internal void Write(string file, string text) =>
        File.WriteAllText(Path.Combine(_directory, file), text);

    internal string Read(string file) => File.ReadAllText(Path.Combine(_directory, file));

    private static string Packages() => Path.Combine(Repository.Root(), "out", "packages");

    /// <summary>The file of a package; the calling test is skipped where there is none.</summary>
    internal static string Packed(string name)
    {
        string? package = Directory.Exists(Packages())
            ? Directory.EnumerateFiles(Packages(), name + ".*.nupkg").SingleOrDefault(
                file => char.IsAsciiDigit(Path.GetFileName(file)[name.Length + 1]))
            : null;
        Skip.When(package is null, "there is no package; ./build.sh pack makes it");
        return package!;
    }

    internal static string Version(string package) =>
        Regex.Match(Path.GetFileNameWithoutExtension(package), @"\d+\.\d+\.\d+.*").Value;

    private static string MachinePackages() =>
        Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(
            Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
}
