// Address space for fixed stacks, a piece at a time, and which piece an address belongs to.
//
//   piece, 8 MB    [ guard, 64 KB ][ place .......... )[ guard ][ place ......... ) ... [ rest ]
//                   slot 0                              slot 1
//
//   place          [ 0 to 960 bytes ][ low ............................. high )[ the rest of a page ]
//
// A place is a page larger than its stack, which ends in the page at the top, in one of 16 ways: else the
// uppermost lines of all stacks would share a few sets of the caches.
//
//   root[address >> 34] -> leaf[(address >> 22) & 4095]       its record: one cache line, without a search
//
// There is a record for each 4 MB of addresses in use. A piece begins at a multiple of its size and has two,
// the second of which is empty: who finds that one looks at the one before. A stack of 4 MB or more has a
// piece of its own, anywhere, which is longer than 4 MB, so that no other piece begins where its record is.
//
// Guards are installed for a whole piece in one system call. Pieces are cut from extents, each right below
// the one before: the kernel has one mapping for all of them, however many there are.
//
// Rejected: a record at the head of each piece, a page for 25 stacks. A table of pieces: the goroutine would
// have to know its piece's number. One range for all stacks, as homes have: a program that starts none would
// reserve it too, and where address space is limited there is no right share.
// Locks: that of FixedStacks guards everything.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

/// <summary>Some stacks of one size. The list that it is in, and Next and Previous, are FixedStacks'.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = Layout.CacheLine)]
internal unsafe struct StackPiece
{
    internal nint Base;
    internal nint Stride;

    /// <summary>A bit for each slot: nobody has it.</summary>
    internal ulong Free;

    /// <summary>A bit for each slot: it may hold memory.</summary>
    internal ulong Warm;

    internal StackPiece* Next;
    internal StackPiece* Previous;
    internal int Count;
    internal byte Class;
    internal byte List;

    internal readonly ulong All => ulong.MaxValue >> (64 - Count);
}

internal static unsafe class StackPieces
{
    /// <summary>Bytes below a place that fault.</summary>
    internal const nint GuardSize = 64 * 1024;

    private const int Colors = 16;
    private const int MostSlots = 64;
    private const int RecordBits = 22;
    private const int LeafBits = 12;
    private const int AddressBits = 47;
    private const int RootBits = AddressBits - RecordBits - LeafBits;
    private const nint PieceSize = 2 << RecordBits;
    private const nint ExtentSize = 8 * PieceSize;
    private const int ShareOfLimit = 2;

    private static StackPiece** s_root;
    private static nint* s_guardBuffer;
    private static nint s_next; // What is left of the last extent.
    private static nint s_end;
    private static nint s_lowest;
    private static nint s_mayReserve; // Where address space is limited; others need some of it.

    internal static void Initialize()
    {
        s_root = (StackPiece**)AddressSpace.Need((1 << RootBits) * sizeof(nint));
        s_guardBuffer = (nint*)AddressSpace.Need(2 * MostSlots * sizeof(nint));
        s_mayReserve = AddressSpace.Share(ShareOfLimit);
    }

    /// <summary>One past the highest byte of the stack in a place.</summary>
    internal static nint HighOf(nint place, nint size) =>
        place + size + Os.PageSize - (nint)(((nuint)place / Os.PageSize % Colors) * Layout.CacheLine);

    /// <summary>The place of the stack that begins here.</summary>
    internal static nint PlaceOf(nint low) => (low - 1) & -Os.PageSize;

    /// <summary>The piece that a place belongs to.</summary>
    internal static StackPiece* Of(nint place)
    {
        StackPiece* record = RecordOf(place - GuardSize); // Where its slot begins.
        return record->Count != 0 ? record : record - 1;
    }

    /// <summary>A new piece, all of it free, nothing of it memory. Null, and -errno, when there is
    /// none.</summary>
    internal static StackPiece* Make(int k, nint size, out nint error)
    {
        nint stride = GuardSize + size + Os.PageSize;
        bool alone = stride > PieceSize / 2;
        int count = alone ? 1 : (int)Math.Min(PieceSize / stride, MostSlots);
        nint bytes = alone ? stride : PieceSize;
        nint address = bytes > s_mayReserve ? -Os.NoMemory : alone ? Os.Reserve(bytes) : Reserve();
        error = address > 0 ? NeedLeaf(address) : address;
        if (error == 0)
        {
            error = Os.GuardEach(address, GuardSize, stride, count, s_guardBuffer);
        }
        if (error < 0)
        {
            if (address > 0)
            {
                _ = Os.Release(address, bytes);
            }
            return null;
        }
        s_mayReserve -= bytes;
        StackPiece* piece = RecordOf(address);
        *piece = new StackPiece { Base = address, Stride = stride, Count = count, Class = (byte)k };
        piece->Free = piece->All;
        return piece;
    }

    private static StackPiece* RecordOf(nint address) =>
        s_root[address >> (RecordBits + LeafBits)] + ((address >> RecordBits) & ((1 << LeafBits) - 1));

    private static nint Reserve()
    {
        if (s_next == s_end)
        {
            // Of little address space no more than what is needed now.
            nint bytes = Os.AddressSpaceLimit() == long.MaxValue ? ExtentSize : PieceSize;
            nint below = s_lowest > bytes ? Os.ReserveAt(s_lowest - bytes, bytes) : 0;
            nint extent = below > 0 ? below : Os.ReserveAligned(bytes, PieceSize);
            if (extent <= 0)
            {
                return extent;
            }
            s_lowest = extent;
            s_next = extent;
            s_end = extent + bytes;
        }
        nint piece = s_next;
        s_next += PieceSize;
        return piece;
    }

    private static nint NeedLeaf(nint address)
    {
        Check.Always(address >> AddressBits == 0, "stacks: an address of more than 47 bits"u8);
        StackPiece** leaf = &s_root[address >> (RecordBits + LeafBits)];
        if (*leaf == null)
        {
            nint memory = Os.Reserve((nint)sizeof(StackPiece) << LeafBits);
            if (memory <= 0)
            {
                return memory;
            }
            *leaf = (StackPiece*)memory;
        }
        return 0;
    }
}
