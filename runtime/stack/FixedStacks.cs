// Stacks that never move: address space reserved up front, a guard below, pages committed by the kernel on
// first touch. A power of two, kept for the next of the same size.
//
//   Take:  the processor's few -> some of pieces with free ones -> a new piece (StackPieces.cs)
//   Give:  the processor's few -> half of them to their pieces, in one go
//
//   lists of pieces, for each size:
//          part: some free        whole: all free, may hold memory   --sysmon-->   cold: all free, no memory
//
// The guard is wide because C code is not compiled to touch its stack page by page: a frame of some
// kilobytes would jump over one page, and write to what lies below.
//
// What a start and an end cost does not depend on how many there are: nothing is searched for, a piece's
// record is one line, the kernel is asked for 25 of the usual size at a time. A free stack is a bit in that
// record; nothing is written to its pages, so those that one piece has can go back to the system together.
// Sysmon does that, bit by bit, while more than Layout.FreePagesKept free ones hold memory.
//
// Up to Layout.FixedStacksKept of a size keep all that they had, if that is not much; others keep one page,
// the topmost. Each processor has some more of the usual size for itself, without a lock, and keeps them when
// it is retired.
//
// Rejected: giving the lower pages of each back. Nobody knows whether any was touched, and asking the kernel
// for each goroutine that ends costs more than the goroutine. A link to the next in a free one's top page
// (done until 2026-11-27): that page could never go back, and each was one more cache line of a cold page.
// Locks: s_lock guards everything but a processor's own; a leaf. Never taken in a signal handler.

using System.Numerics;

namespace Weft.Runtime;

internal static unsafe class FixedStacks
{
    private const int ClassCount = 15; // 64 KB << 14 = 1 GB, Layout.MaxStackLimit.
    private const nint KeptWhole = 256 * 1024;
    private const int ReturnedAtOnce = 256;
    private const int TakenAtOnce = (Layout.FixedStacksPerProcessor + 7) / 8;
    private const byte NoList = 0;
    private const byte Part = 1;
    private const byte Whole = 2;
    private const byte Cold = 3;

    private static ShortLock s_lock;
    private static StackPiece** s_heads; // Of each size, for each list.
    private static int* s_warm;          // Free ones of each size that may hold memory.
    private static nint s_warmOfAll;
    private static nint s_wholePieces;

    /// <summary>Free ones that may hold memory. For tests.</summary>
    internal static nint FreeWarm => Volatile.Read(ref s_warmOfAll);

    /// <summary>Whether <see cref="ReturnSome"/> has something to do. Stale as soon as it is read.</summary>
    internal static bool HasTooMany =>
        Volatile.Read(ref s_wholePieces) > 0 && Volatile.Read(ref s_warmOfAll) > Layout.FreePagesKept;

    internal static void Initialize()
    {
        StackPieces.Initialize();
        nint memory = AddressSpace.Need(Os.PageSize);
        s_heads = (StackPiece**)memory;
        s_warm = (int*)(s_heads + ((Cold + 1) * ClassCount));
        nint end = (nint)(s_warm + ClassCount);
        Check.Always(end <= memory + Os.PageSize, "stacks: the pools' page is full"u8);
    }

    /// <summary>Takes a place for a stack of a class's size. Returns its address, or -errno.</summary>
    internal static nint Take(nint size)
    {
        int k = ClassOf(size);
        s_lock.Enter();
        StackPiece* piece = Find(k);
        nint error = 0;
        if (piece == null)
        {
            piece = StackPieces.Make(k, size, out error);
        }
        nint place = piece == null ? error : TakeFrom(piece);
        s_lock.Exit();
        return place;
    }

    /// <summary>Takes a place that p has, or may have from all without a system call; 0 where there is none
    /// of that size. On the machine that holds p.</summary>
    internal static nint TakeKept(Processor* p, nint size)
    {
        if (size != Layout.FixedStackDefault)
        {
            return 0;
        }
        if (p->KeptStackCount == 0)
        {
            TakeSome(p);
            if (p->KeptStackCount == 0)
            {
                return 0;
            }
        }
        return p->KeptStacks[2 * --p->KeptStackCount];
    }

    /// <summary>Gives a place back: to p, on the machine that holds it, or to all.</summary>
    internal static void Give(Processor* p, nint place, nint size)
    {
        if (size != Layout.FixedStackDefault)
        {
            Give(place, size);
            return;
        }
        if (p->KeptStackCount == Layout.FixedStacksPerProcessor)
        {
            GiveHalf(p);
        }
        Keep(p, place);
    }

    /// <summary>Gives a place back.</summary>
    internal static void Give(nint place, nint size)
    {
        int k = ClassOf(size);
        nint kept = KeepsAll(k) ? KeptWhole : 0; // And the page at the top.
        if (size > kept)
        {
            _ = Os.Discard(place, size - kept);
        }
        s_lock.Enter();
        GiveTo(StackPieces.Of(place), place);
        s_lock.Exit();
    }

    /// <summary>Gives a megabyte of pages back to the system, if there are too many. Nobody waits for
    /// it.</summary>
    internal static void ReturnSome()
    {
        for (int stacks = 0; stacks < ReturnedAtOnce && HasTooMany;)
        {
            s_lock.Enter();
            StackPiece* piece = HasTooMany ? TakeWhole() : null;
            s_lock.Exit();
            if (piece == null)
            {
                return;
            }
            // In no list: nobody takes of it. The guards lie within; giving pages back does not remove them.
            _ = Os.Discard(piece->Base, piece->Count * piece->Stride);
            stacks += piece->Count;
            s_lock.Enter();
            MoveToItsList(piece);
            s_lock.Exit();
        }
    }

    private static void Keep(Processor* p, nint place)
    {
        nint* range = p->KeptStacks + (2 * p->KeptStackCount++);
        range[0] = place;
        range[1] = Layout.FixedStackDefault; // What GiveHalf discards: all but the page at the top.
    }

    /// <summary>Several at a time, so that processors seldom meet.</summary>
    private static void TakeSome(Processor* p)
    {
        int k = ClassOf(Layout.FixedStackDefault);
        s_lock.Enter();
        for (int i = 0; i < TakenAtOnce; i++)
        {
            StackPiece* piece = Find(k);
            if (piece == null)
            {
                break;
            }
            Keep(p, TakeFrom(piece));
        }
        s_lock.Exit();
    }

    /// <summary>The ones that lay there longest.</summary>
    private static void GiveHalf(Processor* p)
    {
        const int given = Layout.FixedStacksPerProcessor / 2;
        int k = ClassOf(Layout.FixedStackDefault);
        if (!KeepsAll(k))
        {
            Os.DiscardEach(p->KeptStacks, given);
        }
        s_lock.Enter();
        for (int i = 0; i < given; i++)
        {
            nint place = p->KeptStacks[2 * i];
            GiveTo(StackPieces.Of(place), place);
        }
        s_lock.Exit();
        p->KeptStackCount -= given;
        for (int i = 0; i < 2 * p->KeptStackCount; i++)
        {
            p->KeptStacks[i] = p->KeptStacks[i + (2 * given)];
        }
    }

    private static bool KeepsAll(int k) => Volatile.Read(ref s_warm[k]) < Layout.FixedStacksKept;

    /// <summary>A piece with a free one, rather a warm one; null if there is none.</summary>
    private static StackPiece* Find(int k)
    {
        for (byte list = Part; list <= Cold; list++)
        {
            if (*HeadOf(list, k) != null)
            {
                return *HeadOf(list, k);
            }
        }
        return null;
    }

    private static nint TakeFrom(StackPiece* piece)
    {
        ulong warm = piece->Free & piece->Warm;
        ulong bit = warm != 0 ? warm & (~warm + 1) : piece->Free & (~piece->Free + 1);
        CountWarm(piece->Class, warm != 0 ? -1 : 0);
        piece->Free &= ~bit;
        piece->Warm |= bit;
        MoveToItsList(piece);
        return piece->Base + (BitOperations.Log2(bit) * piece->Stride) + StackPieces.GuardSize;
    }

    private static void GiveTo(StackPiece* piece, nint place)
    {
        nint slot = (place - StackPieces.GuardSize - piece->Base) / piece->Stride;
        ulong bit = 1ul << (int)slot;
        Check.Always((piece->Free & bit) == 0, "stacks: one is free twice"u8);
        piece->Free |= bit;
        CountWarm(piece->Class, 1);
        MoveToItsList(piece);
    }

    /// <summary>One that is all free, out of its list, without memory as soon as the caller has given it
    /// back. There is one: they are counted.</summary>
    private static StackPiece* TakeWhole()
    {
        int k = 0;
        while (*HeadOf(Whole, k) == null)
        {
            k++;
        }
        StackPiece* piece = *HeadOf(Whole, k);
        Unlink(piece);
        CountWarm(k, -BitOperations.PopCount(piece->Warm));
        piece->Warm = 0;
        return piece;
    }

    private static void CountWarm(int k, int change)
    {
        s_warm[k] += change;
        s_warmOfAll += change;
    }

    private static void MoveToItsList(StackPiece* piece)
    {
        byte list = piece->Free == 0 ? NoList
            : piece->Free != piece->All ? Part
            : piece->Warm != 0 ? Whole : Cold;
        if (piece->List == list)
        {
            return;
        }
        Unlink(piece);
        piece->List = list;
        if (list == NoList)
        {
            return;
        }
        s_wholePieces += list == Whole ? 1 : 0;
        StackPiece** head = HeadOf(list, piece->Class);
        piece->Next = *head;
        piece->Previous = null;
        if (*head != null)
        {
            (*head)->Previous = piece;
        }
        *head = piece;
    }

    private static void Unlink(StackPiece* piece)
    {
        if (piece->List == NoList)
        {
            return;
        }
        s_wholePieces -= piece->List == Whole ? 1 : 0;
        if (piece->Previous != null)
        {
            piece->Previous->Next = piece->Next;
        }
        else
        {
            *HeadOf(piece->List, piece->Class) = piece->Next;
        }
        if (piece->Next != null)
        {
            piece->Next->Previous = piece->Previous;
        }
        piece->List = NoList;
    }

    private static StackPiece** HeadOf(byte list, int k) => s_heads + (list * ClassCount) + k;

    private static int ClassOf(nint size)
    {
        int k = StackSizes.ClassOf(size);
        Check.Always(k < ClassCount, "stacks: larger than any class"u8);
        return k;
    }
}
