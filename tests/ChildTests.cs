using System.Globalization;
using System.Text.RegularExpressions;

namespace Weft.Tests;

/// <summary>Tests of this program once more, in a child, where the environment differs.</summary>
internal static partial class ChildTests
{
    /// <summary>Fails when one of them does, or fewer pass than that. Tests: Class or Class.Test, with the
    /// wildcards of the test platform.</summary>
    internal static async Task Pass(string tests, int least, Dictionary<string, string> environment)
    {
        ChildResult child = ChildProcess.Execute(
            Environment.ProcessPath!, [tests], environment: environment, timeout: TimeSpan.FromMinutes(3));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        int passed = int.Parse(Succeeded().Match(child.Output).Groups[1].Value, CultureInfo.InvariantCulture);
        await Assert.That(passed).IsGreaterThanOrEqualTo(least);
    }

    [GeneratedRegex(@"^\s*succeeded: (\d+)", RegexOptions.Multiline)]
    private static partial Regex Succeeded();
}
