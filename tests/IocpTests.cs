// The poller over completion ports, alone: on Windows' own calls, under Wine, where that is installed.

namespace Weft.Tests;

internal sealed class IocpTests
{
    private const int Skipped = 77;

    [Test]
    public async Task TheCompletionPortPassesItsTestUnderWine()
    {
        ChildResult result = ChildProcess.Execute(
            "sh",
            [Path.Combine(Repository.Root(), "tests", "iocp", "run.sh")],
            timeout: TimeSpan.FromMinutes(3));

        Skip.When(result.ExitCode == Skipped, result.Output);
        await Assert.That(result.ExitCode).IsEqualTo(0).Because(result.ToString());
    }
}
