// The poller over kqueue: the tests of the network and of the base library's sockets once more, in a child,
// over a library that offers kqueue's calls on Linux (tests/kqueue). To use libkqueue itself, set
// WEFT_KQUEUE_LIB.

namespace Weft.Tests;

internal sealed class KqueueTests
{
    private const string Variable = "WEFT_KQUEUE_LIB";

    private static readonly Lazy<string> s_library = new(FindLibrary);

    [Test]
    [Slow]
    [Arguments("NetTests", 10)]
    [Arguments("NetStreamTests", 5)]
    [Arguments("NetCloseTests", 5)]
    [Arguments("NetDeadlineTests", 5)]
    [Arguments("NetStormTests", 2)]
    [Arguments("PollTests", 5)]
    [Arguments("SocketWaitTests.(!ANumberThatIsAnothers*)", 30)] // Of that kqueue cannot tell.
    public async Task TheNetworkTestsPassOverKqueue(string tests, int least)
    {
        await ChildTests.Pass(tests, least, new() { [Variable] = s_library.Value });
    }

    [Test]
    public async Task ALibraryThatIsNotThereIsNamed()
    {
        ChildResult child = ChildProcess.Run(
            "max-procs", environment: new() { [Variable] = "/nowhere/libkqueue.so" });

        await Assert.That(child.ExitCode).IsNotEqualTo(0);
        await Assert.That(child.ToString()).Contains("/nowhere/libkqueue.so");
    }

    private static string FindLibrary()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } wanted)
        {
            return wanted;
        }
        Skip.When(Qemu.IsHere, "qemu: the library would be for this machine");
        string root = Repository.Root();
        string library = Path.Combine(root, "out", $"kqueue-{Environment.ProcessId}.so");
        ChildResult made = ChildProcess.Execute(
            "cc",
            ["-O2", "-shared", "-fPIC", "-o", library, Path.Combine(root, "tests", "kqueue", "kqueue.c")]);
        if (made.ExitCode != 0)
        {
            Assert.Fail(made.ToString());
        }
        AppDomain.CurrentDomain.ProcessExit += (_, _) => File.Delete(library);
        return library;
    }
}
