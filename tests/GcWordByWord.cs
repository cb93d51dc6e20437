// Parked stacks that are not walked, each for one reason alone: collections read them word by word, and what
// they hold is there. Counted, so that a walk which happens to be right is seen as well.
//
//   callback      native code has called the waiting method: libc's qsort
//   reflection    the runtime keeps the arguments, and registers where: the only place that the value is in
//   catch         an exception is in flight
//   dispatch      the runtime looks for the method of an interface: the call's arguments are read word by word,
//                 the frames are walked, each time anew; while references are updated nobody reads the words
//   beyond        words like addresses of the heap, but of a part that it has never reached; run with
//                 WEFTDEBUG=gcprecise=0,gcages=1, so that the ages of all words are looked up
//
// gc-word-by-word NAME.

using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal static unsafe class GcWordByWord
{
    private const int Goroutines = 16;
    private const int Collections = 6; // Two of each generation.

    private static readonly Chan<int> s_gate = new();
    private static readonly Chan<int> s_old = new();
    private static readonly MethodInfo s_invoked = typeof(GcWordByWord).GetMethod(
        nameof(Invoked), BindingFlags.Static | BindingFlags.NonPublic)!;

    private static int s_parked;
    private static int s_ended;

    internal static int Program(string[] args)
    {
        Action<int> body = args[0] switch
        {
            "callback" => Callback,
            "reflection" => Reflection,
            "catch" => Catch,
            "dispatch" => Dispatch,
            _ => Beyond,
        };
        WaitGroup done = new();
        for (int i = 0; i < Goroutines; i++)
        {
            int id = i;
            done.Go(() => body(id));
        }
        GcTorture.WaitForParked(ref s_parked, Goroutines);
        if (args[0] == "dispatch")
        {
            GC.Collect(); // All is old by then, but what they make next.
            GC.Collect();
            s_parked = 0;
            s_old.Close();
            GcTorture.WaitForParked(ref s_parked, Goroutines);
        }
        long least = long.MaxValue;
        (_, _, long walksBefore) = StackShapes.Counts();
        for (int i = 0; i < Collections; i++)
        {
            long before = GcRoots.WordByWord;
            GC.Collect(i / 2, GCCollectionMode.Forced, blocking: true, compacting: true);
            least = Math.Min(least, GcRoots.WordByWord - before);
            GC.KeepAlive(new byte[1000][].Select(_ => new TortureValue(-1)).ToArray());
        }
        (_, _, long walks) = StackShapes.Counts();
        s_gate.Close();
        done.Wait(); // With a wrong value the process ends.
        GcTorture.Expect(s_ended == Goroutines, $"{s_ended} have ended");
        if (args[0] == "dispatch")
        {
            walks -= walksBefore;
            GcTorture.Expect(walks >= 2 * Collections * Goroutines, $"{walks} walks: one has got a shape");
        }
        else
        {
            GcTorture.Expect(least >= Goroutines, $"{least} were read word by word");
        }
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Park()
    {
        Interlocked.Increment(ref s_parked);
        _ = s_gate.Receive(out _);
        Interlocked.Increment(ref s_ended);
    }

    private static void Callback(int id)
    {
        TortureValue value = new(id);
        int* numbers = stackalloc int[] { 2, 1 };
        QuickSort(numbers, 2, sizeof(int), &Compare);
        value.Verify(id, "below native code");
    }

    [UnmanagedCallersOnly]
    private static int Compare(int* one, int* other)
    {
        TortureValue value = new(77);
        Park();
        value.Verify(77, "above native code");
        return *one - *other;
    }

    [DllImport("libc", EntryPoint = "qsort")]
    private static extern void QuickSort(
        void* first, nuint count, nuint size, delegate* unmanaged<int*, int*, int> compare);

    private static void Reflection(int id)
    {
        object?[] arguments = [null, id, id, id, id]; // Fewer are kept in ordinary locals.
        _ = s_invoked.Invoke(null, arguments);
        ((TortureValue)arguments[0]!).Verify(id, "given back");
    }

    private static void Invoked(ref TortureValue value, int id, int b, int c, int d)
    {
        value = new TortureValue(id);
        Park();
        value.Verify(b + c + d - id - id, "an argument");
    }

    private static void Catch(int id)
    {
        TortureValue value = new(id);
        try
        {
            throw new InvalidOperationException("n" + id);
        }
        catch (InvalidOperationException e)
        {
            Park();
            GcTorture.Expect(e.Message == "n" + id, "the exception");
        }
        value.Verify(id, "around a catch block");
    }

    private interface IVerifiable
    {
        public void Verify(TortureValue value, nint beyond, int id);
    }

    [DynamicInterfaceCastableImplementation]
    private interface IVerifies : IVerifiable
    {
        void IVerifiable.Verify(TortureValue value, nint beyond, int id) => value.Verify(id, "an argument");
    }

    private sealed class Castable : IDynamicInterfaceCastable
    {
        internal bool Parks { get; set; }

        public bool IsInterfaceImplemented(RuntimeTypeHandle type, bool throwIfNotImplemented) => true;

        public RuntimeTypeHandle GetInterfaceImplementation(RuntimeTypeHandle type)
        {
            if (Parks)
            {
                Park();
            }
            return typeof(IVerifies).TypeHandle;
        }
    }

    private static void Dispatch(int id)
    {
        Castable target = new();
        IVerifiable verifiable = (IVerifiable)(object)target;
        target.Parks = true;
        Interlocked.Increment(ref s_parked);
        _ = s_old.Receive(out _);
        verifiable.Verify(new TortureValue(id), QuarterOfHeap(out nint low) + low, id);
    }

    private static nint QuarterOfHeap(out nint low)
    {
        nint* addresses = Switch.Layout() + RuntimeThread.FirstAddress;
        low = *(nint*)addresses[RuntimeThread.HeapLow];
        return (*(nint*)addresses[RuntimeThread.HeapHigh] - low) / 4; // 64 GB.
    }

    private static void Beyond(int id)
    {
        nint quarter = QuarterOfHeap(out nint low);
        nint* words = stackalloc nint[] { low + quarter, low + (2 * quarter), low + (3 * quarter) };
        TortureValue value = new(id);
        Park();
        GcTorture.Expect(words[0] + quarter == words[1] && words[1] + quarter == words[2], "the words");
        value.Verify(id, "beside words");
    }
}
