// Two parked stacks with the same chain of return addresses at the same places, of which one is not a chain at
// all: what lies there are words in a buffer, which its frames are found behind.
//
//   first     | wait | Inner: few words       | Outer: many words                |
//   others    | wait | Inner: many words, those of the first | Outer: few words  |
//                                  ^ the first one's return address into Outer
//
// Only rbp tells them apart, and the value that the others hold lies somewhere else in their frames.
//
// gc-shapes buffers: that. gc-shapes byrefs: the first one's byref leads into its own stack, which is no place
// in the heap, and the others' into arrays that nothing else refers to. Each has several of the others: one may
// have been parked by another way through the scheduler.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal static unsafe class GcShapes
{
    private const int Few = 8;
    private const int Many = 48;
    private const int Others = 8;

    private static readonly Chan<int> s_gate = new();
    private static readonly WeakReference?[] s_values = new WeakReference?[Others + 1];
    private static nint s_first;
    private static int s_parked;
    private static int s_copied;

    internal static int Program(string[] args)
    {
        WaitGroup done = new();
        for (int i = 0; i <= Others; i++)
        {
            int id = i;
            done.Go(args[0] == "byrefs"
                ? () => Byref(id)
                : () => Outer(id == 0 ? Many : Few, id == 0 ? Few : Many, id));
            GcTorture.WaitForParked(ref s_parked, i + 1);
            GC.Collect(0);
        }
        for (int i = 0; i < 3; i++)
        {
            GC.Collect(i, GCCollectionMode.Forced, blocking: true, compacting: true);
        }
        (long hits, _, _) = StackShapes.Counts();
        int lost = s_values.Count(value => value is { IsAlive: false });
        GcTorture.Expect(lost == 0, $"{lost} values were not found");
        s_gate.Close();
        done.Wait();
        GcTorture.Expect(hits > 0, "no shape was used");
        GcTorture.Expect(s_copied >= Others || args[0] == "byrefs", "no return address was copied");
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Outer(int words, int inner, int id)
    {
        nint* buffer = stackalloc nint[words];
        Fill(buffer, words, id);
        Inner(inner, id);
        GC.KeepAlive(buffer[words - 1] == 1 ? s_gate : null);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Inner(int words, int id)
    {
        nint* buffer = stackalloc nint[words];
        TortureValue value = new(id);
        s_values[id] = new WeakReference(value);
        Touch(ref value); // In the frame, not in a register that a callee saves.
        Fill(buffer, words, id);
        if (id == 0)
        {
            Volatile.Write(ref s_first, (nint)Current.Goroutine());
        }
        Interlocked.Increment(ref s_parked);
        _ = s_gate.Receive(out _);
        Touch(ref value);
        value.Verify(id, "a value behind a buffer");
        GC.KeepAlive(buffer[words - 1] == 1 ? s_gate : null);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Touch(ref TortureValue value) => value = Volatile.Read(ref value);

    /// <summary>Makes each word what the first one's stack has there: its return addresses, and its own
    /// addresses as if they were of this stack. No references.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Fill(nint* buffer, int words, int id)
    {
        for (int i = 0; id != 0 && i < words; i++)
        {
            Goroutine* first = (Goroutine*)s_first;
            nint distance = Current.Goroutine()->StackHigh - (nint)(buffer + i);
            nint at = first->StackHigh - distance - first->Context.SavedSp;
            nint word = at < 0 ? 0 : *(nint*)(Goroutine.FramesOf(first) + at); // It may be stored.
            bool isOfStack = word >= first->Context.SavedSp && word < first->StackHigh;
            buffer[i] = isOfStack ? word - first->StackHigh + Current.Goroutine()->StackHigh
                : Regions.IsInHeap(word) ? 0 : word;
            s_copied += buffer[i] == 0 ? 0 : 1;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Byref(int id)
    {
        long local = id;
        ref long number = ref id == 0 ? ref local : ref ArrayOf(id)[id];
        Interlocked.Increment(ref s_parked);
        _ = s_gate.Receive(out _);
        GcTorture.Expect(number == id, "a number behind a byref");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long[] ArrayOf(int id)
    {
        long[] numbers = new long[Others + 1];
        numbers[id] = id;
        s_values[id] = new WeakReference(numbers);
        return numbers;
    }
}
