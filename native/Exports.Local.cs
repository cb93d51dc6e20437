// Values of a goroutine's own, under keys that are made once: as pthread_key_create's are of a thread. They lie
// in the control block; a bit tells which are set, so that a goroutine without any pays a test at its end.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const int EndRounds = 4; // A function called at the end may set values again; as POSIX has it.

    private static readonly nint[] s_localEnds = new nint[GoroutineExtra.LocalCount];
    private static int s_localKeys;

    [UnmanagedCallersOnly(EntryPoint = "weft_local_key")]
    private static int LocalKey(int* key, nint end)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (key == null)
        {
            return Code.Invalid;
        }
        int made = Interlocked.Increment(ref s_localKeys);
        if (made > GoroutineExtra.LocalCount)
        {
            Interlocked.Decrement(ref s_localKeys);
            return Code.NoMemory;
        }
        s_localEnds[made - 1] = end;
        *key = made;
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_local_set")]
    private static int LocalSet(int key, nint value)
    {
        Goroutine* g = Current.Goroutine();
        if (g == null)
        {
            return Code.NotGoroutine;
        }
        if (key <= 0 || key > Volatile.Read(ref s_localKeys))
        {
            return Code.Invalid;
        }
        uint bit = 1u << (key - 1);
        GoroutineExtra* extra = GoroutineExtras.Of(g);
        extra->Locals[key - 1] = value;
        extra->LocalsSet = value != 0 ? extra->LocalsSet | bit : extra->LocalsSet & ~bit;
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_local_get")]
    private static nint LocalGet(int key)
    {
        Goroutine* g = Current.Goroutine();
        GoroutineExtra* extra = g == null ? null : g->Extra;
        return extra == null || key <= 0 || key > GoroutineExtra.LocalCount
            || (extra->LocalsSet & (1u << (key - 1))) == 0
                ? 0
                : (nint)extra->Locals[key - 1];
    }

    private static void EndLocals(GoroutineExtra* extra)
    {
        for (int round = 0; round < EndRounds && extra->LocalsSet != 0; round++)
        {
            for (int i = 0; i < GoroutineExtra.LocalCount; i++)
            {
                if ((extra->LocalsSet & (1u << i)) != 0)
                {
                    extra->LocalsSet &= ~(1u << i);
                    nint value = (nint)extra->Locals[i];
                    if (s_localEnds[i] != 0)
                    {
                        ((delegate* unmanaged<nint, void>)s_localEnds[i])(value);
                    }
                }
            }
        }
        extra->LocalsSet = 0;
    }
}
