// Walks and shapes of the caller's own stack, as it would lie if the caller had parked: where the registers
// are, and which stacks have no shape.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal static unsafe class GcWalks
{
    internal const int MostObjects = 5;

    private static int ScanWords => FrameWalk.ScanSize / sizeof(nint);

    /// <summary>What raw code reads and writes: statics that need no constructor.</summary>
    private static class Raw
    {
        internal static Pushed Pushed;
        internal static int LastCache;
    }

    /// <summary>What lies in the words where the switch pushes r15 r14 r13 r12 rbx rbp, if a walk finds them;
    /// 0 if not.</summary>
    private struct Pushed
    {
        internal const int Registers = 6;
        internal fixed long Found[Registers];
    }

    /// <summary>A question to StackShapes, and the answer.</summary>
    private struct Question
    {
        internal int Cache;
        internal nint MoreDepth;
        internal bool HasShape;
        internal int Frames;
        internal int Slots;
    }

    [InlineArray(100)]
    private struct HundredObjects
    {
        private object _first;
    }

    // -------------------------------------------------------------------------------------------------
    // Registers.

    /// <summary>With so many objects in use, the word where a walk finds each of them, 0 for r15 to 4 for rbx;
    /// -1 for one that is not found in one of these. The compiler uses one register after the other, so two that
    /// were taken for each other are seen.</summary>
    internal static int[] PlacesOf(int count)
    {
        _ = Go.MaxProcs; // The runtime is up.
        byte[][] objects =
            [.. Enumerable.Range(0, MostObjects).Select(_ => GC.AllocateArray<byte>(8, pinned: true))];
        Raw.Pushed = default;
        switch (count)
        {
            case 1: Hold(objects[0]); break;
            case 2: Hold(objects[0], objects[1]); break;
            case 3: Hold(objects[0], objects[1], objects[2]); break;
            case 4: Hold(objects[0], objects[1], objects[2], objects[3]); break;
            default: Hold(objects[0], objects[1], objects[2], objects[3], objects[4]); break;
        }
        int[] places = new int[count];
        for (int i = 0; i < count; i++)
        {
            long address = Unsafe.As<byte[], nint>(ref objects[i]);
            places[i] = -1;
            for (int at = 0; at < Pushed.Registers; at++)
            {
                places[i] = Raw.Pushed.Found[at] == address ? at : places[i];
            }
        }
        return places;
    }

    // They are used after each of two calls: that is worth a register which calls preserve.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Hold(object a)
    {
        LookAtRegisters();
        Use(a);
        LookAtRegisters();
        Use(a);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Hold(object a, object b)
    {
        LookAtRegisters();
        Use(a, b);
        LookAtRegisters();
        Use(a, b);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Hold(object a, object b, object c)
    {
        LookAtRegisters();
        Use(a, b, c);
        LookAtRegisters();
        Use(a, b, c);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Hold(object a, object b, object c, object d)
    {
        LookAtRegisters();
        Use(a, b, c, d);
        LookAtRegisters();
        Use(a, b, c, d);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Hold(object a, object b, object c, object d, object e)
    {
        LookAtRegisters();
        Use(a, b, c, d, e);
        LookAtRegisters();
        Use(a, b, c, d, e);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Use(object a, object? b = null, object? c = null, object? d = null, object? e = null)
    {
        GC.KeepAlive(a);
        GC.KeepAlive(b);
        GC.KeepAlive(c);
        GC.KeepAlive(d);
        GC.KeepAlive(e);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LookAtRegisters() =>
        Switch.AsParked((nint)(delegate*<nint, void*, void>)&WalkForRegisters, null);

    [SkipLocalsInit]
    private static void WalkForRegisters(nint sp, void* unused)
    {
        nint* scan = stackalloc nint[ScanWords];
        new Span<nint>(scan, ScanWords).Clear();
        FrameWalk.Walk walk;
        FrameWalk.Begin(&walk, sp, RuntimeThread.Field(Current.Thread(), RuntimeThread.Table.BoundsHigh), true);
        FrameWalk.Run(&walk, &OnWord, (nint)scan);
    }

    private static void OnWord(nint* word, nint scan, uint flags)
    {
        long at = word - (nint*)FrameWalk.Of(scan)->Sp;
        if (at is >= 0 and < Pushed.Registers)
        {
            Raw.Pushed.Found[at] = *word;
        }
    }

    // -------------------------------------------------------------------------------------------------
    // Shapes. In a goroutine: its stack has an end.

    /// <summary>For a cache that no other caller has; the collector's threads have the first ones. The stack
    /// does not move from here on: there is enough of it.</summary>
    private static Question NewQuestion()
    {
        Switch.Reserve(2 * 1024 * 1024);
        return new Question { Cache = 1000 + Interlocked.Increment(ref Raw.LastCache) };
    }

    /// <summary>How many frames the deepest recursion has that has a shape.</summary>
    internal static int MostFramesOfAShape()
    {
        Question question = NewQuestion();
        int most = 0;
        for (int depth = 4060; depth < 4110; depth++)
        {
            AskBelow(depth, &question);
            most = question.HasShape ? question.Frames : most;
        }
        return most;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int AskBelow(int depth, Question* question)
    {
        if (depth == 0)
        {
            Ask(question);
            return 0;
        }
        return AskBelow(depth - 1, question) + 1;
    }

    /// <summary>How many references the shape has of a stack with so many frames of a hundred each; -1 for
    /// none.</summary>
    internal static int ReferencesOfAShape(int frames)
    {
        Question question = NewQuestion();
        _ = AskBesideHundreds(frames, &question);
        return question.HasShape ? question.Slots : -1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int AskBesideHundreds(int frames, Question* question)
    {
        if (frames == 0)
        {
            Ask(question);
            return 0;
        }
        HundredObjects objects = default;
        Touch(ref objects);
        int below = AskBesideHundreds(frames - 1, question);
        Touch(ref objects);
        return below + 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Touch<T>(ref T value) => value = Unsafe.IsNullRef(ref value) ? default! : value;

    /// <summary>Of so many stacks that nobody has seen before, how many are remembered.</summary>
    internal static int LearnedOf(int stacks)
    {
        Question question = NewQuestion();
        int learned = 0;
        for (int i = 0; i < stacks; i++)
        {
            question.MoreDepth = i * sizeof(nint);
            Ask(&question);
            learned += question.HasShape ? 1 : 0;
        }
        return learned;
    }

    /// <summary>Whether this stack would have a shape if it were so many bytes deeper.</summary>
    internal static bool HasShapeWithMore(nint bytes)
    {
        Question question = NewQuestion();
        question.MoreDepth = bytes;
        Ask(&question);
        return question.HasShape;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Ask(Question* question)
    {
        Switch.AsParked((nint)(delegate*<nint, Question*, void>)&Find, question);
        GC.KeepAlive(question->HasShape ? Raw.LastCache : null); // No tail call: a frame like the others.
    }

    [SkipLocalsInit]
    private static void Find(nint sp, Question* question)
    {
        nint* scan = stackalloc nint[ScanWords];
        new Span<nint>(scan, ScanWords).Clear();
        nint top = Current.Goroutine()->StackHigh + question->MoreDepth;
        StackShapes.Cache* cache = StackShapes.Of(question->Cache);
        StackShapes.Shape* shape = StackShapes.Find(cache, sp, top, sp, (nint)scan);
        question->HasShape = shape != null;
        question->Frames = shape != null ? shape->FrameCount : 0;
        question->Slots = shape != null ? shape->SlotCount : 0;
    }

    // -------------------------------------------------------------------------------------------------
    // Who reports.

    /// <summary>What two threads were told of themselves, at what time.</summary>
    internal readonly record struct Reporting(
        bool Before, bool First, bool FirstHasEnded, bool SecondStill, bool SecondHasEnded);

    /// <summary>Two threads report, the second one for longer.</summary>
    internal static Reporting WhoReports()
    {
        _ = Go.MaxProcs; // The runtime is up.
        nint* scans = stackalloc nint[2 * ScanWords];
        new Span<nint>(scans, 2 * ScanWords).Clear();
        nint first = (nint)scans;
        nint second = (nint)(scans + ScanWords);
        *(int*)(first + GcRoots.ScanThreadNumber) = 1000; // Others than a collection's.
        *(int*)(second + GcRoots.ScanThreadNumber) = 1001;
        Reporting told = default;
        using Barrier step = new(2);
        Thread thread = new(() =>
        {
#pragma warning disable WEFT101 // Called by a test, on a thread, whose stack stays.
            GcRoots.BeginReport(second);
#pragma warning restore WEFT101
            step.SignalAndWait();
            step.SignalAndWait();
            told = told with { SecondStill = GcRoots.IsReporting() };
            GcRoots.EndReport(second);
            told = told with { SecondHasEnded = GcRoots.IsReporting() };
        });
        told = told with { Before = GcRoots.IsReporting() };
        GcRoots.BeginReport(first);
        thread.Start();
        step.SignalAndWait();
        told = told with { First = GcRoots.IsReporting() };
        GcRoots.EndReport(first);
        told = told with { FirstHasEnded = GcRoots.IsReporting() };
        step.SignalAndWait();
        thread.Join();
        return told;
    }
}
