// The two modes of the one assembly (runtime/JIT.md): what a program can ask, what it is told where the JIT
// cannot do it, and that nothing of the one is left in the other.

using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace Weft.Tests;

internal sealed class JitTests
{
    [Test]
    public async Task TheModeIsThatOfTheProgram()
    {
        bool isJit = System.Runtime.JitInfo.GetCompiledMethodCount() > 0;
        await Assert.That(Go.Mode).IsEqualTo(isJit ? GoMode.Jit : GoMode.NativeAot);
    }

    // Names of methods are in the file of debug information, as the compiler mangles them.
    [Test]
    [NotOnJit("about the program that the native compiler makes")]
    public async Task NothingOfTheJitIsInANativeProgram()
    {
        byte[] symbols = await File.ReadAllBytesAsync(Environment.ProcessPath + ".dbg");

        await Assert.That(Has(symbols, "Scheduler", "ParkThread")).IsTrue();
        await Assert.That(Has(symbols, "JitThreads", "Start")).IsFalse();
        await Assert.That(Has(symbols, "Scheduler", "KeepTimeOnJit")).IsFalse();
        await Assert.That(Has(symbols, "Os", "JitSyscall")).IsFalse();
    }

    [Test]
    [OnlyOnJit]
    [Arguments(1_000)]
    [Arguments(5_000)]
    public async Task ThousandsWaitAtTheSameTime(int count)
    {
        Chan<int> gate = new();
        Chan<int> answers = new(count);
        for (int i = 0; i < count; i++)
        {
            Go.Run(() => answers.Send(2 * gate.Receive()));
        }
        long existing = Go.Count;
        long sum = 0;
        for (int i = 0; i < count; i++)
        {
            gate.Send(i);
        }
        for (int i = 0; i < count; i++)
        {
            sum += answers.Receive();
        }

        await Assert.That(existing).IsGreaterThanOrEqualTo(count);
        await Assert.That(sum).IsEqualTo((long)count * (count - 1));
    }

    [Test]
    [OnlyOnJit]
    public async Task TooManyAreAnExceptionThatNamesTheLimit()
    {
        int before = Go.MaxThreads;
        Chan<int> gate = new();
        InsufficientMemoryException? failure = null;
        try
        {
            Go.MaxThreads = 10;
            for (int i = 0; i < 10; i++)
            {
                Go.Run(() => gate.Receive());
            }
            failure = Assert.Throws<InsufficientMemoryException>(() => Go.Run(() => gate.Receive()));
        }
        finally
        {
            Go.MaxThreads = before;
            gate.Close();
        }

        await Assert.That(failure!.Message).Contains("10 goroutines").And.Contains("Go.MaxThreads");
    }

    // A debugger evaluates what these name. Native programs have no such attributes.
    [Test]
    [OnlyOnJit]
    public async Task ADebuggerShowsAChannelAndChangesNothing()
    {
        Chan<int> channel = new(3);
        channel.Send(1);
        _ = channel.Receive();
        channel.Send(2);
        channel.Send(3);
        channel.Send(4); // Round the end of the buffer.
        Chan<DateTimeOffset> asked = Time.After(TimeSpan.Zero).Channel!;
        Go.Run(() => channel.Send(5));
        SpinWait.SpinUntil(() => channel.DebugText.Contains("senders wait"), TimeSpan.FromSeconds(20));

        ChanDebugView<int> view = new(channel);
        ChanDebugView<DateTimeOffset> other = new(asked);
        string[] shown = [view.State, string.Join(' ', view.Elements), other.State, other.State];

        await Assert.That(string.Join("; ", shown))
            .IsEqualTo("Count = 3 of 3, senders wait; 2 3 4; Count = 0 of 1; Count = 0 of 1");
        await Assert.That(typeof(Chan<>).GetCustomAttribute<DebuggerTypeProxyAttribute>()!.ProxyTypeName)
            .Contains(nameof(ChanDebugView<>));
        await Assert.That(asked.Count).IsEqualTo(1);
        await Assert.That(channel.Receive()).IsEqualTo(2);
    }

    [Test]
    [OnlyOnJit]
    public async Task WhatTheJitCannotDoSaysSo()
    {
        await Assert.That(() => Go.FindLeaks()).Throws<PlatformNotSupportedException>();
        await Assert.That(() => Go.StartTrace(Stream.Null)).Throws<PlatformNotSupportedException>();
        await Assert.That(() => Go.WriteProfile(GoProfile.Block, Stream.Null)).Throws<PlatformNotSupportedException>();
        await Assert.That(() => Go.BlockProfileRate = 1).Throws<PlatformNotSupportedException>();
        await Assert.That(() => Go.MutexProfileFraction = 1).Throws<PlatformNotSupportedException>();
        await Assert.That(Go.FlightRecorder).Throws<PlatformNotSupportedException>();

        Chan<int> gate = new();
        Go.Run(() => gate.Receive());
        string dump = "";
        for (int i = 0; i < 1000 && !dump.Contains("chan receive"); i++)
        {
            Thread.Sleep(10);
            StringWriter writer = new();
            Go.Dump(writer);
            dump = writer.ToString();
        }
        gate.Close();

        await Assert.That(dump).Contains("[chan receive, ").And.Contains("see a debugger");
    }

    [Test]
    [OnlyOnJit]
    public async Task MaxProcsIsOnlyANumber()
    {
        int before = Go.MaxProcs;
        Go.MaxProcs = 1;
        int one = Go.MaxProcs;
        Go.MaxProcs = 7;
        int seven = Go.MaxProcs;
        Go.MaxProcs = before;

        await Assert.That((one, seven)).IsEqualTo((1, 7));
    }

    // Put together here: texts of the program are among its symbols too.
    internal static bool Has(byte[] bytes, string type, string method) =>
        bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes($"Weft_Weft_Runtime_{type}__{method}")) >= 0;
}
