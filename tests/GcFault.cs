// A fault in raw code inside a collection, on the stack of who asked for it. It must not become an exception:
// the goroutine would end, and the world stay stopped. Before and after a collection a null reference is an
// exception, as always.
//
// gc-fault goroutine|thread null|far|leaks: at a null reference, or elsewhere; or later in the collection, when
// it is decided who is leaked.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal static unsafe class GcFault
{
    private const long Far = 0x7ff0_0000_0000; // Beyond the null page, and nothing is there.

    private static nint s_address;

    internal static int Program(string[] args)
    {
        _ = Go.MaxProcs; // The runtime is up.
        return args[0] == "thread" ? Fault(args[1]) : WeftHost.Run(() => Fault(args[1]));
    }

    private static int Fault(string address)
    {
        GC.Collect();
        try
        {
            _ = Length(null!);
        }
        catch (NullReferenceException)
        {
            Console.WriteLine("caught");
        }
        s_address = address == "far" ? unchecked((nint)Far) : 0;
        if (address == "leaks")
        {
            Leak();
        }
        else
        {
            GcRoots.AtNextMarking(&Read);
        }
        GC.Collect();
        return 5;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Length(string text) => text.Length;

    private static void Leak()
    {
        WaitGroup parked = new();
        parked.Add(1);
        Go.Run(() =>
        {
            parked.Done();
            new Chan<int>().Receive();
        });
        parked.Wait();
        Thread.Sleep(20); // It is about to wait.
        GcTorture.Expect(Collector.IsSupported(), "leaks are not looked for");
        LeakScan.Arm(null, &ReadLeaked);
    }

    private static void ReadLeaked(Goroutine* leaked) => Read();

    private static void Read() => _ = Volatile.Read(ref *(int*)s_address);
}
