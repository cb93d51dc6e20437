// That the statics of hot classes are constants, laid down in the program: a class with a static constructor is
// asked at each use whether it has run.

namespace Weft.Tests;

internal sealed class StaticsTests
{
    // Names of methods are in the file of debug information, as the compiler mangles them.
    [Test]
    [NotOnJit("about the program that the native compiler makes")]
    [Arguments("Scheduler", "Park")]
    [Arguments("TimerHeap", "Create")]
    [Arguments("GoroutineTable", "Take")]
    [Arguments("GoroutineExtras", "Take")]
    [Arguments("FixedStacks", "Take")]
    [Arguments("Homes", "Take")]
    public async Task AHotClassHasNoStaticConstructor(string type, string method)
    {
        byte[] symbols = await File.ReadAllBytesAsync(Environment.ProcessPath + ".dbg");

        await Assert.That(JitTests.Has(symbols, type, method)).IsTrue();
        await Assert.That(JitTests.Has(symbols, type, "_cctor")).IsFalse();
    }
}
