// What the runtime's files need of others, as far as a model goes: names and meanings are theirs.

using System.Text;
using Weft.Models;

namespace Weft.Runtime;

internal static class Layout
{
    internal const int CacheLine = 64;
    internal const int MaxProcessors = 4;
    internal const int MaxMachinesDefault = 4;
    internal const int MaxThreadsOnJit = 4;
    internal const int RunQueueSize = 4;
    internal const int FreeGoroutinesPerProcessor = 2;
    internal const int FreeHomesPerProcessor = 1;
    internal const int FixedStacksPerProcessor = 2;
    internal const int StoredPerProcessor = 2;
    internal const bool RandomChoice = false;
    internal const int MeetingsBeforeStripes = 100;
}

internal static class Jit
{
    internal static bool IsOn => false; // As for the native compiler.
}

internal static class CoarseTime
{
    internal static long Now => 0;
}

/// <summary>The seed is an address, which is another in each process: here all waits are the same.</summary>
internal readonly struct Backoff
{
    internal Backoff(nint seed) => _ = seed;

    internal static void Expect(int processors)
    {
    }

    internal int Wait()
    {
        Explorer.GiveWay();
        return 1_000;
    }
}

internal static class Check
{
    internal static void Always(bool condition, ReadOnlySpan<byte> message)
    {
        if (!condition)
        {
            throw new ModelException(Encoding.UTF8.GetString(message));
        }
    }

    internal static void Debug(bool condition, ReadOnlySpan<byte> message) => Always(condition, message);
}

internal static class Fatal
{
    internal static void Throw(ReadOnlySpan<byte> message) =>
        throw new ModelException(Encoding.UTF8.GetString(message));

    /// <summary>What would end the process ends the run.</summary>
    internal sealed class Line
    {
        private readonly StringBuilder _text = new();

        internal Line()
        {
        }

        internal Line(ReadOnlySpan<byte> start) => Add(start);

        internal void Add(ReadOnlySpan<byte> text) => _text.Append(Encoding.UTF8.GetString(text));

        internal void Add(long number) => _text.Append(number);

        internal void Write()
        {
        }

        internal void Throw() => throw new ModelException(_text.ToString());
    }
}

/// <summary>Of the thread of the model that runs.</summary>
internal static unsafe class Current
{
    internal static bool IsStarted => true;

    internal static Goroutine* Goroutine() => (Goroutine*)Explorer.Local.Goroutine;

    internal static Goroutine* GoroutineOrNull() => Goroutine();

    internal static Machine* Machine() => (Machine*)Explorer.Local.Machine;

    internal static void SetGoroutine(Goroutine* g) => Explorer.Local.Goroutine = (nint)g;

    internal static void SetMachine(Machine* m) => Explorer.Local.Machine = (nint)m;

    internal static void SetStarted()
    {
    }
}

internal static unsafe class Os
{
    internal const int PageSize = 1024;
    internal const long NoLimit = -1;

    internal static long NowNs() => Explorer.Now;

    internal static int ThreadId() => 0;

    internal static void Nap(long ns) => Explorer.GiveWay();

    internal static void SchedYield() => Explorer.GiveWay();

    internal static void WaitOnAddress(int* word, int expected) => Explorer.WaitOn(word, expected, long.MaxValue);

    internal static bool WaitOnAddress(int* word, int expected, long nanoseconds)
    {
        Explorer.Assert(nanoseconds == NoLimit, "No model has machines that end.");
        WaitOnAddress(word, expected);
        return true;
    }

    internal static void WaitOnAddressUntil(int* word, int expected, long untilNs) =>
        Explorer.WaitOn(word, expected, untilNs);

    internal static nint Reserve(nint bytes) => (nint)Explorer.Allocate<byte>("machines", (int)bytes);

    internal static nint StartThread(delegate*<nint, nint> main, nint argument)
    {
        Explorer.Start(argument);
        return 0;
    }

    internal static void ForgetSignalStack()
    {
    }

    internal static nint Release(nint memory, nint bytes) => 0;

    internal static void DeleteAlarm(nint alarm)
    {
    }

    internal static void WakeAddress(int* word, int count) => Explorer.Wake(word);
}

/// <summary>asm/, as far as memory goes.</summary>
internal static unsafe class Switch
{
    internal static void EnterCritical()
    {
    }

    internal static void LeaveCritical()
    {
    }

    internal static void PollForCollection() => Explorer.GiveWay();

    /// <summary>A look, then the exchange.</summary>
    internal static int EnterLock(ref int heldLock)
    {
        int held = Explorer.Look(ref heldLock);
        return held != 0 ? held : Interlocked.CompareExchange(ref heldLock, 1, 0);
    }

    /// <summary>The stack of from is left (Frames), then the lock: the caller is somebody else from here
    /// on.</summary>
    internal static Goroutine* ToAndUnlock(Goroutine* from, Goroutine* to, ref int heldLock)
    {
        from->Context.SavedSp = Explorer.Local.Frames;
        Volatile.Write(ref heldLock, 0);
        throw new SwitchedAwayException();
    }

    internal static Goroutine* To(Goroutine* from, Goroutine* to, Goroutine* message) =>
        throw new NotSupportedException();

    internal static Goroutine* ToSystem(Goroutine* from, Machine* to, Goroutine* message) =>
        throw new NotSupportedException();

    internal static void* WaitHooks() => throw new NotSupportedException();

    internal static nint CallOnSystemStack(nint function, nint a, nint b) =>
        ((delegate*<nint, nint, nint>)function)(a, b);
}

/// <summary>The code of a goroutine does not go on where it has switched away: a model catches this, and says
/// elsewhere what that one does when it goes on.</summary>
internal sealed class SwitchedAwayException : Exception;
