// The harness itself: child programs, and that their ends are told apart.

using System.Globalization;

namespace Weft.Tests;

internal sealed class HarnessTests
{
    internal static int ExitWith(string[] args)
    {
        Console.WriteLine("out: " + string.Join('|', args));
        Console.Error.WriteLine("error: " + Environment.GetEnvironmentVariable("WEFT_HARNESS"));
        return int.Parse(args[0], CultureInfo.InvariantCulture);
    }

    internal static int Hang(string[] args)
    {
        Console.WriteLine("before");
        Thread.Sleep(Timeout.Infinite);
        return 0;
    }

    internal static int Crash(string[] args) => throw new InvalidOperationException("on purpose");

    [Test]
    public async Task AChildsExitCodeOutputAndErrorComeBack()
    {
        ChildResult child = ChildProcess.Run(
            "exit-with", ["7", "two words"], new() { ["WEFT_HARNESS"] = "set" });

        await Assert.That(child.ExitCode).IsEqualTo(7);
        await Assert.That(child.Output).IsEqualTo("out: 7|two words\n");
        await Assert.That(child.Error).IsEqualTo("error: set\n");
    }

    [Test]
    public async Task AChildThatHangsIsKilledAndItsOutputKept()
    {
        TimeoutException exception = Assert.ThrowsExactly<TimeoutException>(
            () => ChildProcess.Run("hang", timeout: TimeSpan.FromSeconds(3)));

        await Assert.That(exception.Message).Contains("before");
    }

    [Test]
    public async Task AnUnhandledExceptionEndsAChildBySigabrt()
    {
        ChildResult child = ChildProcess.Run("crash");

        await Assert.That(child.ExitCode).IsEqualTo(128 + 6);
        await Assert.That(child.Error).Contains("on purpose");
    }
}
