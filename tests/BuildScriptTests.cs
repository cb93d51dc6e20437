// build.ps1 is build.sh for whoever is in PowerShell: https://www.nuget.org/packages/powershell has it, as a tool.

using System.ComponentModel;

namespace Weft.Tests;

public sealed class BuildScriptTests
{
    [Test]
    [Arguments(new[] { "help" }, 0)]
    [Arguments(new string[0], 0)]
    [Arguments(new[] { "install", "not a prefix", "--" }, 1)]
    [Arguments(new[] { "no-such-verb" }, 2)]
    public async Task PowerShellGivesAllToBuildSh(string[] arguments, int status)
    {
        string root = Repository.Root();
        ChildResult shell = ChildProcess.Execute("sh", ["build.sh", .. arguments], root);
        ChildResult power = default!;
        try
        {
            power = ChildProcess.Execute(
                "pwsh", ["-NoProfile", Path.Combine(root, "build.ps1"), .. arguments], Path.GetTempPath());
        }
        catch (Win32Exception)
        {
            Skip.Test("PowerShell is not installed: dotnet tool install --global powershell");
        }
        await Assert.That(shell.ExitCode).IsEqualTo(status);
        await Assert.That(power).IsEqualTo(shell);
    }
}
