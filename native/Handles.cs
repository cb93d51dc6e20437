// What C holds: a number that looks like a pointer. It names an entry of a table and the generation of it, so
// that one that was freed, made up, or of another type is found out, and never followed.
//
//   handle   [ generation, 27 bits | kind, 5 bits ][ index, 32 bits ]      entry   [ object | tag | next free ]
//              the tag
//
// A look-up reads the object first, then the tag. Whoever frees writes the tag first, then the object; whoever
// makes the other way round: an object read before the right tag is that handle's.
//
// Entries are in chunks that never move. Before weft_init, and after weft_shutdown, the look-up finds no
// table: that is the one check for both.
// Locks: s_lock guards the free list; a leaf.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Native;

internal enum Kind : uint
{
    Chan = 1,
    Mutex,
    RWMutex,
    WaitGroup,
    Cond,
    Semaphore,
    Once,

    /// <summary>The bit by which the next one differs from Chan.</summary>
    Owned = 8,

    /// <summary>A channel that a timer or a context has made, and alone sends to and closes: the look-up for
    /// Chan does not find it, <see cref="Handles.GetChan"/> does.</summary>
    OwnedChan = Owned | Chan,
    Timer,
    Context,
    Connection,
    Listener,
    Task,
    Bundle,
    Packets,
    Reader,
    Process,
}

internal static class Handles
{
    private const int ChunkBits = 12;
    private const int ChunkSize = 1 << ChunkBits;
    private const int ChunkCount = 1 << 14; // 67 million handles.
    private const int KindBits = 5;

    private static ShortLock s_lock;
    private static Entry[]?[]? s_open;
    private static Entry[]?[]? s_table;
    private static int s_chunks;
    private static int s_firstFree = -1;
    private static int s_live;

    private struct Entry
    {
        internal object? Target;
        internal uint Tag;
        internal int Next;
    }

    /// <summary>Whether Weft is running for C: between weft_init and weft_shutdown.</summary>
    internal static bool AreOpen => Volatile.Read(ref s_open) != null;

    /// <summary>How many handles exist. For tests.</summary>
    internal static int Live => Volatile.Read(ref s_live);

    internal static void Open()
    {
        s_table ??= new Entry[ChunkCount][];
        Volatile.Write(ref s_open, s_table);
    }

    internal static void Close() => Volatile.Write(ref s_open, null);

    /// <summary>The object, or null: see <see cref="Fault"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static T? Get<T>(nint handle, Kind kind)
        where T : class =>
        Find<T>(handle, kind, (1 << KindBits) - 1);

    /// <summary>A channel to receive from: also one that is a timer's or a context's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ByteChan? GetChan(nint handle) =>
        Find<ByteChan>(handle, Kind.Chan, ((1 << KindBits) - 1) & ~(uint)Kind.Owned);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T? Find<T>(nint handle, Kind kind, uint compared)
        where T : class
    {
        Entry[]?[]? table = s_open;
        uint index = (uint)handle;
        if (table == null || index >> ChunkBits >= (uint)table.Length)
        {
            return null;
        }
        Entry[]? chunk = table[index >> ChunkBits];
        if (chunk == null)
        {
            return null;
        }
        ref Entry entry = ref chunk[index & (ChunkSize - 1)];
        object? target = Volatile.Read(ref entry.Target);
        uint tag = (uint)(handle >> 32);
        return Volatile.Read(ref entry.Tag) == tag && (tag & compared) == (uint)kind
            ? Unsafe.As<T>(target)
            : null;
    }

    /// <summary>Why Get found nothing.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static int Fault(nint handle) =>
        !AreOpen ? Code.NotRunning : handle == 0 ? Code.Invalid : Code.BadHandle;

    /// <summary>Why Get found no channel for what only its owner may do.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static int FaultOfOwner(nint handle) =>
        Get<ByteChan>(handle, Kind.OwnedChan) != null ? Code.NotPermitted : Fault(handle);

    /// <summary>A handle for the object; 0 when there is no memory.</summary>
    internal static nint Make(object target, Kind kind)
    {
        while (true)
        {
            s_lock.Enter();
            int index = s_firstFree;
            if (index >= 0)
            {
                ref Entry entry = ref s_table![index >> ChunkBits]![index & (ChunkSize - 1)];
                s_firstFree = entry.Next;
                uint tag = (((entry.Tag >> KindBits) + 1) << KindBits) | (uint)kind;
                Volatile.Write(ref entry.Target, target);
                Volatile.Write(ref entry.Tag, tag);
                s_live++;
                s_lock.Exit();
                return (nint)(((ulong)tag << 32) | (uint)index);
            }
            int chunks = s_chunks;
            s_lock.Exit();
            if (!AddChunk(chunks))
            {
                return 0;
            }
        }
    }

    /// <summary>Makes the handle invalid. The object, or null if it is none.</summary>
    internal static T? Free<T>(nint handle, Kind kind)
        where T : class
    {
        s_lock.Enter();
        T? target = Get<T>(handle, kind);
        if (target != null)
        {
            int index = (int)(uint)handle;
            ref Entry entry = ref s_table![index >> ChunkBits]![index & (ChunkSize - 1)];
            Volatile.Write(ref entry.Tag, entry.Tag & ~((1u << KindBits) - 1)); // No kind: no handle has it.
            Volatile.Write(ref entry.Target, null);
            entry.Next = s_firstFree;
            s_firstFree = index;
            s_live--;
        }
        s_lock.Exit();
        return target;
    }

    /// <summary>Adds entries, if nobody has since that many chunks were seen.</summary>
    private static bool AddChunk(int seen)
    {
        if (seen == ChunkCount)
        {
            return false;
        }
        Entry[] chunk;
        try
        {
            chunk = new Entry[ChunkSize];
        }
        catch (OutOfMemoryException)
        {
            return false;
        }
        s_lock.Enter();
        if (s_chunks == seen)
        {
            int first = seen << ChunkBits;
            for (int i = 0; i < ChunkSize; i++)
            {
                chunk[i].Next = i + 1 < ChunkSize ? first + i + 1 : s_firstFree;
            }
            Volatile.Write(ref s_table![seen], chunk);
            s_firstFree = first;
            s_chunks++;
        }
        s_lock.Exit();
        return true;
    }
}
