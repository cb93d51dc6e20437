// The walk of a parked stack, remembered. A walk takes 2 to 3 us; thousands of goroutines park at the same
// place in the code, called in the same way, and the references of all of them lie at the same places.
//
// Where they lie depends on the return addresses, and on the frame pointer (rbp, x29) where a frame is found
// by it, and on nothing else:
//
//   sp + 48, 88       return address    -> which method, and where in it: its frame's size, its references
//   ... its frame                       -> where the next return address lies, or where the frame
//                                          pointer lies that tells
//   sp + ReturnAt[1]  return address    -> the next method ...
//
// A shape is such a chain, and the places of the references, by their distance from sp. Of a stack that
// begins at the same return address and is as deep, each word of the chain is compared; if all are equal, the
// walk would be the same. By induction: as long as the words are, the next frame is found at the same
// distance. Without the frame pointer they would not be enough: behind a buffer whose size varies its frame
// is found by it alone, and where another stack has a return address this one may have such a word in the
// buffer. Places by themselves do not tell: two buffers of together the same size are as deep
// (tests/GcShapes.cs).
//
// While a shape is learned all places count, whatever they hold (a byref into the stack itself, a null), in
// either pass. When it is used, what is not in the heap is left out.
//
// Each thread of the collector has its own, so there is nothing to lock; the server collector's threads learn
// the same ones side by side. A set of four ways each, the oldest goes; what they refer to lies one behind
// the other, and when there is no more room all are forgotten. Where hardly anything is found again (deep
// recursion of every depth) most walks are not remembered.
//
//   cache   [ counts | 4,096 places of shapes | shape frames slots | shape frames slots | ...       ]
//
// A stack that is stored (StackStore.cs) lies somewhere else than its addresses say. What is compared lies
// there; to be walked it is copied to where its addresses can be made true, for a moment: the distances are
// the same.
//
// WEFTDEBUG=gcverify=1: each shape that is used is compared with a walk; a difference ends the process.
//
// Raw code. Locks: none.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class StackShapes
{
    private const int MostFrames = 4096;
    private const int MostSlots = 4096;
    private const int Room = 4 << 20; // For shapes; 1 KB is one of 32 frames.
    private const int Sets = 1024;
    private const int SetBits = 10;
    private const int Ways = 4;
    private const int MostThreads = 1024;
    private const int MissesInARow = 64;  // Then most are not learned:
    private const int LearnedThen = 16;   // one of so many is.
    private const int FlagBits = 2;

    /// <summary>Memory for the shape of any stack that is stored: a frame has two words at least.</summary>
    internal static int MostOfStored =>
        sizeof(Shape) + (StackStore.Largest / sizeof(nint) * (sizeof(Frame) + sizeof(int)));

    /// <summary>The chain, and the references: its frames follow, and then its slots, an int each with the
    /// distance and the collector's flags below it. Distances are from sp.</summary>
    internal struct Shape
    {
        internal nint Pc;
        internal nint Depth;
        internal int FrameCount;
        internal int SlotCount;
    }

    private struct Frame
    {
        internal nint Return;
        internal int ReturnAt;
        internal int PointerAt;
        internal int Pointer; // -1: not an address of this stack.
    }

    /// <summary>What one thread of the collector has learned.</summary>
    internal struct Cache
    {
        internal long Hits;
        internal long Misses;
        internal int MissesInARow;
        internal int Learned;
        internal int End; // Of what is used, from the start of the cache.
        internal fixed int Places[Sets * Ways]; // 0: none.
    }

    private static nint* s_caches; // Of each thread of the collector, made when it first needs it.

    internal static bool Verifies { get; set; }

    internal static void Initialize() => s_caches = (nint*)Os.Reserve(MostThreads * sizeof(nint));

    /// <summary>Stacks whose shape was known, those whose was not, and how many of these were walked and not
    /// remembered; of all threads. For tests.</summary>
    internal static (long Hits, long Misses, long Walks) Counts()
    {
        (long Hits, long Misses, long Walks) sum = default;
        for (int i = 0; s_caches != null && i < MostThreads; i++)
        {
            Cache* cache = (Cache*)s_caches[i];
            if (cache != null)
            {
                long walks = cache->Misses - cache->Learned;
                sum = (sum.Hits + cache->Hits, sum.Misses + cache->Misses, sum.Walks + walks);
            }
        }
        return sum;
    }

    /// <summary>Of the collector's thread of that number, which calls; null where there is no memory for it.
    /// </summary>
    internal static Cache* Of(int thread)
    {
        if ((uint)thread >= MostThreads || (nint)s_caches <= 0)
        {
            return null;
        }
        if (s_caches[thread] == 0)
        {
            nint memory = Os.Reserve(sizeof(Cache) + Room);
            if (memory <= 0)
            {
                return null;
            }
            ((Cache*)memory)->End = sizeof(Cache);
            s_caches[thread] = memory;
        }
        return (Cache*)s_caches[thread];
    }

    /// <summary>The shape of a parked stack that FrameWalk.CanWalk; null where it has none, or none is to be
    /// kept: then it has to be walked.</summary>
    internal static Shape* Find(Cache* cache, nint sp, nint top, nint frames, nint scan)
    {
        if (cache == null)
        {
            return null;
        }
        nint pc = *(nint*)(frames + Arch.SavedReturn);
        nint depth = top - sp;
        int* set = SetOf(cache, pc, depth);
        for (int* place = set; place < set + Ways; place++)
        {
            Shape* shape = (Shape*)((byte*)cache + *place);
            if (*place != 0 && shape->Pc == pc && shape->Depth == depth && Matches(shape, sp, frames))
            {
                cache->Hits++;
                cache->MissesInARow = 0;
                if (Verifies)
                {
                    Compare(shape, sp, top, frames, scan);
                }
                return shape;
            }
        }
        cache->Misses++;
        if (++cache->MissesInARow > MissesInARow && cache->MissesInARow % LearnedThen != 0)
        {
            return null;
        }
        MakeRoom(cache);
        Shape* learned = (Shape*)((byte*)cache + cache->End);
        bool known = frames == sp
            ? Learn(learned, sp, top, scan) : LearnStored(learned, sp, top, frames, scan);
        if (!known)
        {
            return null;
        }
        learned->Pc = pc;
        learned->Depth = depth;
        set[cache->Learned++ & (Ways - 1)] = cache->End;
        int size = (int)((byte*)(SlotsOf(learned) + learned->SlotCount) - (byte*)learned);
        cache->End += (size + sizeof(nint) - 1) & -sizeof(nint);
        return learned;
    }

    /// <summary>For one more shape, of whatever size.</summary>
    private static void MakeRoom(Cache* cache)
    {
        int most = sizeof(Shape) + (MostFrames * sizeof(Frame)) + (MostSlots * sizeof(int));
        if (cache->End + most <= sizeof(Cache) + Room)
        {
            return;
        }
        for (int i = 0; i < Sets * Ways; i++)
        {
            cache->Places[i] = 0;
        }
        cache->End = sizeof(Cache);
    }

    private static Frame* FramesOf(Shape* shape) => (Frame*)(shape + 1);

    /// <summary>Once its frames are counted.</summary>
    private static int* SlotsOf(Shape* shape) => (int*)(FramesOf(shape) + shape->FrameCount);

    /// <summary>Where a reference lies, and its flags.</summary>
    internal static nint* SlotAt(Shape* shape, int index, nint sp, out nint flags)
    {
        int slot = SlotsOf(shape)[index];
        flags = slot & ((1 << FlagBits) - 1);
        return (nint*)(sp + (slot >> FlagBits));
    }

    private static int* SetOf(Cache* cache, nint pc, nint depth)
    {
        ulong hash = ((ulong)pc + ((ulong)depth << 20)) * 0x9E3779B97F4A7C15UL;
        return cache->Places + ((nint)(hash >> (64 - SetBits)) * Ways);
    }

    private static bool Matches(Shape* shape, nint sp, nint frames)
    {
        nint depth = shape->Depth;
        Frame* end = FramesOf(shape) + shape->FrameCount;
        for (Frame* frame = FramesOf(shape); frame < end; frame++)
        {
            if (*(nint*)(frames + frame->ReturnAt) != frame->Return
                || Distance(sp, depth, *(nint*)(frames + frame->PointerAt)) != frame->Pointer)
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>How far an address of this stack is from sp; -1 of what is none.</summary>
    private static int Distance(nint sp, nint depth, nint value) =>
        (nuint)(value - sp) < (nuint)depth ? (int)(value - sp) : -1;

    /// <summary>The same of one that is stored, and so is small.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static bool LearnStored(Shape* shape, nint sp, nint top, nint frames, nint scan)
    {
        byte* memory = stackalloc byte[StackStore.Largest + Layout.CacheLine];
        nint copy = CopyOf(sp, top, frames, memory);
        return Learn(shape, copy, copy + (top - sp), scan);
    }

    /// <summary>A copy of a stored stack, for a walk: its addresses are those of the copy.</summary>
    private static nint CopyOf(nint sp, nint top, nint frames, byte* memory)
    {
        nint copy = ((nint)memory + Layout.CacheLine - 1) & -Layout.CacheLine;
        StackGrowth.Copy(frames, copy, top - sp, sp, top, copy - sp);
        return copy;
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Learn(Shape* shape, nint sp, nint top, nint scan)
    {
        nint depth = top - sp;
        if (depth >= 1 << (31 - FlagBits))
        {
            return false;
        }
        FrameWalk.Walk walk;
        FrameWalk.Begin(&walk, sp, top, isBounded: false);
        FrameWalk.Start(&walk);
        int count = 0;
        while (FrameWalk.Pc(&walk) != 0)
        {
            nint at = FrameWalk.PlaceOfPc(&walk) - sp;
            nint pointer = FrameWalk.PlaceOfFramePointer(&walk) - sp;
            if (count == MostFrames || FrameWalk.HasWordsBelow(&walk)
                || (nuint)at >= (nuint)depth || (nuint)pointer >= (nuint)depth
                || *(nint*)(sp + at) != FrameWalk.Pc(&walk))
            {
                return false;
            }
            Frame* frame = FramesOf(shape) + count++;
            frame->ReturnAt = (int)at;
            frame->Return = FrameWalk.Pc(&walk);
            frame->PointerAt = (int)pointer;
            frame->Pointer = Distance(sp, depth, *(nint*)(sp + pointer));
            FrameWalk.Next(&walk);
        }
        shape->FrameCount = count;
        shape->SlotCount = 0;
        walk.Data = shape;
        walk.Count = 0;
        FrameWalk.Run(&walk, &OnLearn, scan);
        return walk.Count >= 0;
    }

    private static void OnLearn(nint* word, nint scan, uint flags)
    {
        FrameWalk.Walk* walk = FrameWalk.Of(scan);
        if (FrameWalk.IsOwn(walk, word) || walk->Count < 0)
        {
            return;
        }
        Shape* shape = (Shape*)walk->Data;
        if (walk->Count == MostSlots || flags >= 1 << FlagBits
            || (nint)word < walk->Sp || (nint)word >= walk->Top)
        {
            walk->Count = -1; // It has no shape.
            return;
        }
        SlotsOf(shape)[walk->Count++] = (int)(((nint)word - walk->Sp) << FlagBits) | (int)flags;
        shape->SlotCount = walk->Count;
    }

    /// <summary>The references that a walk finds now have to be the shape's, in its order.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Compare(Shape* shape, nint sp, nint top, nint frames, nint scan)
    {
        nint* found = stackalloc nint[MostSlots];
        if (frames != sp)
        {
            byte* memory = stackalloc byte[StackStore.Largest + Layout.CacheLine];
            nint copy = CopyOf(sp, top, frames, memory);
            top = copy + (top - sp);
            sp = copy;
        }
        FrameWalk.Walk walk;
        FrameWalk.Begin(&walk, sp, top, isBounded: true);
        walk.Data = found;
        walk.Count = 0;
        FrameWalk.Run(&walk, &OnCompare, scan);
        int count = 0;
        bool same = true;
        for (int i = 0; i < shape->SlotCount; i++)
        {
            nint* slot = SlotAt(shape, i, sp, out nint flags);
            if (Regions.IsInHeap(*slot))
            {
                same &= count < walk.Count && count < MostSlots && found[count] == ((nint)slot | flags);
                count++;
            }
        }
        if (!same || count != walk.Count)
        {
            Fail(sp, top, count, walk.Count);
        }
    }

    private static void OnCompare(nint* word, nint scan, uint flags)
    {
        FrameWalk.Walk* walk = FrameWalk.Of(scan);
        if (FrameWalk.IsOwn(walk, word) || !Regions.IsInHeap(*word))
        {
            return;
        }
        if (walk->Count < MostSlots)
        {
            ((nint*)walk->Data)[walk->Count] = (nint)word | (nint)flags; // Words are aligned.
        }
        walk->Count++;
    }

    [MethodImpl(MethodImplOptions.NoInlining)] // The line is no part of the other's frame.
    private static void Fail(nint sp, nint top, int count, int walked)
    {
        Fatal.Line line = new();
        line.Add("collection: the remembered shape of the stack "u8);
        line.AddHex(sp);
        line.Add(" to "u8);
        line.AddHex(top);
        line.Add(" is not what a walk finds, "u8);
        line.Add(count);
        line.Add(" references and "u8);
        line.Add(walked);
        line.Throw();
    }
}
