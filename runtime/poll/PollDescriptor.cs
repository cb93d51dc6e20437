// Who waits on a descriptor: one word for each direction.
//
//   None      nobody waits, and nothing is known: BeginPark, or a report, may come
//   Ready     it was reported ready; the next one who would wait takes that, and tries again
//   Parking   somebody is about to wait: the commit of its park stores the goroutine, if nothing came in
//             between
//   (g)       a goroutine waits; whoever exchanges it for something else makes it runnable
//
// At most one waits in each direction: the caller holds that direction (net/Descriptor.cs). A report, the end
// of a time limit, a cancellation and the close all take the goroutine out by exchange, so that one of them
// wakes it. What they say is in the flags, written before the exchange; the waiter reads the flags after its
// exchange to Parking. One of the two sees the other.
//
// A record serves one descriptor after the other. The tag changes when one ends: events and timers carry the
// tag that they were made with. An event that passed that check just before the change only makes the next
// owner's word Ready without cause.
//
// Rejected: a list of waiters (the direction's lock has that), the runtime's own sockets (their engine has
// its own thread and queue).
// Locks: Lock guards deadlines and flags; a leaf. The two words have none.

using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal enum PollMode
{
    Read,
    Write,
}

/// <summary>Why a wait ended.</summary>
internal enum PollResult
{
    /// <summary>Try again.</summary>
    Ready,

    /// <summary>The deadline has passed.</summary>
    Expired,

    /// <summary>The wait was given up.</summary>
    Cancelled,

    /// <summary>The descriptor is being closed.</summary>
    Closed,
}

[StructLayout(LayoutKind.Sequential, Size = 64)]
internal unsafe struct PollDescriptor
{
    internal const nint None = 0;
    internal const nint Ready = 1;
    internal const nint Parking = 2;

    private const int FlagClosed = 1;
    private const int FlagExpired = 2;    // Shifted by one for writing.
    private const int FlagCancelled = 8;  // The same.

    private nint _read;
    private nint _write;
    private long _readDeadline;  // Never, or a time of Os.NowNs. Under Lock.
    private long _writeDeadline; // The same.

    /// <summary>The next free one. Guarded by PollTable's lock.</summary>
    internal PollDescriptor* Link;

    internal ShortLock Lock;
    private int _flags; // Written under Lock.
    private int _unusual;

    /// <summary>A report is for both directions, as it is the last one: Netpoll.Arm.</summary>
    internal bool ReportsOnce;

    /// <summary>Changes with each descriptor that the record serves.</summary>
    internal uint Tag;

    /// <summary>Its place in the table. Never changes.</summary>
    internal uint Index;

    /// <summary>Whether anything but plain readiness was ever reported.</summary>
    internal readonly bool IsUnusual => Volatile.Read(in _unusual) != 0;

    /// <summary>Before the report itself, which may find that the word says Ready already, and change
    /// nothing. Seldom more than once for a descriptor.</summary>
    internal void NoteUnusual()
    {
        Volatile.Write(ref _unusual, 1);
        Interlocked.MemoryBarrier(); // Then the word: pairs with Forget, whose words are the other way round.
    }

    /// <summary>It serves a new descriptor.</summary>
    internal void Open()
    {
        Check.Always(_read is None or Ready, "poll: a new descriptor has a reader"u8);
        Check.Always(_write is None or Ready, "poll: a new descriptor has a writer"u8);
        _read = None;
        _write = None;
        _readDeadline = TimerNode.Never;
        _writeDeadline = TimerNode.Never;
        _unusual = 0;
        _flags = 0;
        ReportsOnce = false;
    }

    /// <summary>The descriptor is gone: events and timers with the old tag do nothing.</summary>
    internal void Retire()
    {
        Check.Always((_flags & FlagClosed) != 0, "poll: a descriptor ends without a close"u8);
        Check.Always(_read is None or Ready, "poll: a descriptor ends under a reader"u8);
        Check.Always(_write is None or Ready, "poll: a descriptor ends under a writer"u8);
        Lock.Enter();
        Volatile.Write(ref Tag, Tag + 1);
        Lock.Exit();
    }

    /// <summary>Why an operation may not wait, or Ready.</summary>
    internal readonly PollResult State(PollMode mode)
    {
        int flags = Volatile.Read(in _flags);
        return flags == 0 ? PollResult.Ready
            : (flags & FlagClosed) != 0 ? PollResult.Closed
            : (flags & (FlagCancelled << (int)mode)) != 0 ? PollResult.Cancelled
            : (flags & (FlagExpired << (int)mode)) != 0 ? PollResult.Expired
            : PollResult.Ready;
    }

    /// <summary>The word, for CommitPark. The record never moves.</summary>
    internal static nint* Word(PollDescriptor* pd, PollMode mode) =>
        mode == PollMode.Read ? &pd->_read : &pd->_write;

    /// <summary>Forgets that it was reported ready: the caller is about to try, and then to look at
    /// IsUnusual. A report that is forgotten here has noted that before. On x86 the exchanges of the kernel's
    /// locks stand between, in the try.</summary>
    internal static void Forget(PollDescriptor* pd, PollMode mode)
    {
        Volatile.Write(ref *Word(pd, mode), None);
        if (!X86Base.IsSupported)
        {
            Interlocked.MemoryBarrier(); // The word, then _unusual: pairs with NoteUnusual.
        }
    }

    /// <summary>False when it was reported ready meanwhile, which the caller has taken.</summary>
    internal static bool BeginPark(PollDescriptor* pd, PollMode mode)
    {
        nint* word = Word(pd, mode);
        while (true)
        {
            if (Interlocked.CompareExchange(ref *word, None, Ready) == Ready)
            {
                return false;
            }
            nint found = Interlocked.CompareExchange(ref *word, Parking, None);
            if (found == None)
            {
                if (!X86Base.IsSupported) // An exchange is a full barrier on x86, and not on others.
                {
                    Interlocked.MemoryBarrier(); // The word, then the flags: pairs with SetFlag and Close.
                }
                return true;
            }
            Check.Always(found == Ready, "poll: two wait for the same"u8);
        }
    }

    /// <summary>For a park's commit: false when something came in between.</summary>
    internal static bool CommitPark(nint* word, Goroutine* g)
    {
        Netpoll.AddWaiters(1);
        if (Interlocked.CompareExchange(ref *word, (nint)g, Parking) == Parking)
        {
            return true; // g may have run on by now.
        }
        Netpoll.AddWaiters(-1);
        return false;
    }

    /// <summary>After the wait, or instead of it. True when it was reported ready.</summary>
    internal static bool EndPark(PollDescriptor* pd, PollMode mode)
    {
        nint found = Interlocked.Exchange(ref *Word(pd, mode), None);
        Check.Always(found <= Parking, "poll: a goroutine goes on that still waits"u8);
        return found == Ready;
    }

    /// <summary>Takes out who waits, if anybody does, for the caller to make runnable. Ready stays for the
    /// next one.</summary>
    internal Goroutine* Unblock(PollMode mode, bool ready)
    {
        ref nint word = ref (mode == PollMode.Read ? ref _read : ref _write);
        while (true)
        {
            nint found = Volatile.Read(ref word);
            if (found == Ready || (found == None && !ready))
            {
                return null;
            }
            if (Interlocked.CompareExchange(ref word, ready ? Ready : None, found) != found)
            {
                continue;
            }
            if (found is None or Parking)
            {
                return null;
            }
            Netpoll.AddWaiters(-1);
            return (Goroutine*)found;
        }
    }

    /// <summary>Under Lock: the deadline of a direction, at once if it is not after now. Returns who waits
    /// if it has passed.</summary>
    internal Goroutine* SetDeadline(PollMode mode, long when, long now)
    {
        Check.Debug(Lock.IsHeld, "poll: a deadline without the lock"u8);
        (mode == PollMode.Read ? ref _readDeadline : ref _writeDeadline) = when;
        return SetFlag(FlagExpired << (int)mode, when <= now, mode);
    }

    /// <summary>Under Lock: when the direction's deadline is, or Never.</summary>
    internal readonly long Deadline(PollMode mode) =>
        mode == PollMode.Read ? _readDeadline : _writeDeadline;

    /// <summary>Under Lock: the deadline has passed.</summary>
    internal Goroutine* Expire(PollMode mode) => SetFlag(FlagExpired << (int)mode, true, mode);

    /// <summary>Who uses the direction gives up, until this is called with false.</summary>
    internal Goroutine* Cancel(PollMode mode, bool value)
    {
        Lock.Enter();
        Goroutine* g = SetFlag(FlagCancelled << (int)mode, value, mode);
        Lock.Exit();
        return g;
    }

    /// <summary>Nobody waits from now on. Returns both who did, linked.</summary>
    internal Goroutine* Close()
    {
        Lock.Enter();
        Volatile.Write(ref _flags, _flags | FlagClosed);
        Lock.Exit();
        Interlocked.MemoryBarrier(); // The flag, then the words: pairs with BeginPark.
        Goroutine* reader = Unblock(PollMode.Read, ready: false);
        Goroutine* writer = Unblock(PollMode.Write, ready: false);
        if (reader == null)
        {
            reader = writer;
            writer = null;
        }
        if (writer != null)
        {
            writer->Link = null;
        }
        if (reader != null)
        {
            reader->Link = writer;
        }
        return reader;
    }

    private Goroutine* SetFlag(int flag, bool value, PollMode mode)
    {
        Volatile.Write(ref _flags, value ? _flags | flag : _flags & ~flag);
        if (!value)
        {
            return null;
        }
        Interlocked.MemoryBarrier(); // The flag, then the word: pairs with BeginPark.
        return Unblock(mode, ready: false);
    }
}
