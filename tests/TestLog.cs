using System.Text;

namespace Weft.Tests;

/// <summary>Names each test on stderr as it starts, so that the log of a crash tells which one it
/// was: the platform itself reports a test only when it is over.</summary>
internal static class TestLog
{
    // Not Console.Error, which the framework captures and prints again.
    private static readonly Stream s_stderr = Console.OpenStandardError();

    [BeforeEvery(HookType.Test)]
    public static void Started(TestContext context) =>
        s_stderr.Write(Encoding.UTF8.GetBytes($"start  {context.Metadata.DisplayName}\n"));
}
