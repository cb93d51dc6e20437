// An object that is pinned may become younger in a compacting collection: where hardly anything else lives near
// it, the collector gives its region back to generation 0. The age of the parked goroutine that refers to it
// has to follow, or the next collection does not find it.
//
// gc-demoted. Round after round, until it has become younger: the second one, as a rule.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Tests;

internal static class GcDemoted
{
    private const int Rounds = 20;

    private static WeakReference? s_value;
    private static bool s_isRight;

    internal static int Program(string[] args)
    {
        bool isYounger = false;
        for (int round = 0; round < Rounds && !isYounger; round++)
        {
            isYounger = Round();
        }
        return isYounger ? 0 : 3;
    }

    private static bool Round()
    {
        s_value = null;
        Chan<int> gate = new();
        WaitGroup done = new();
        done.Go(() => Hold(gate));
        while (Volatile.Read(ref s_value) is null)
        {
            Thread.Sleep(1);
        }
        Thread.Sleep(20); // It is about to wait.
        GC.Collect(0, GCCollectionMode.Forced, blocking: true, compacting: false);
        int before = Generation();
        GCHandle pinned = Pin();
        GC.Collect(1, GCCollectionMode.Forced, blocking: true, compacting: true);
        int after = Generation();
        pinned.Free();
        GC.Collect(0, GCCollectionMode.Forced, blocking: true, compacting: true);
        GcTorture.Expect(s_value!.IsAlive, $"lost; from generation {before} to {after}");
        gate.Close();
        done.Wait();
        GcTorture.Expect(s_isRight, $"another value; from generation {before} to {after}");
        return after < before;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Generation() => GC.GetGeneration(s_value!.Target!);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static GCHandle Pin() => GCHandle.Alloc(s_value!.Target!, GCHandleType.Pinned);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Hold(Chan<int> gate)
    {
        byte[] value = [1, 42];
        Volatile.Write(ref s_value, new WeakReference(value));
        _ = gate.Receive(out _);
        s_isRight = value[1] == 42;
    }
}
