// What every goroutine does: number, state, how long it has waited, and its managed stack.
//
//   1. a forced collection stops the world and calls Collect, raw code: addresses of frames into a buffer
//   2. with the world running again the addresses become names
//
// Stopped by a collection, each stack stands still at a known place: parked ones in the switch, running ones
// where the runtime stopped them, or at the transition frame of their native call. From there the chain of
// frame pointers leads upward: the native compiler keeps one on this platform.
//
// Rejected: stopping the world ourselves. It is what a collection does first.
// Locks: s_lock, an ordinary one, for the buffer; a dump at a time.

using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Weft.Runtime;

internal static unsafe class StackDump
{
    private const int ExitCode = 2;
    private const int MaxFrames = 100;
    private const int NameWord = 5;
    private const int HeaderWords = NameWord + (Goroutine.NameSize / 8);
    private const string OwnNamespace = "Weft.Runtime.";

    // Where weft_preempt and wait_for_processor leave things: see asm/switch_x64_sysv.S.
    private const int SavedFramePointer = 40;
    private const int SavedReturn = 48;
    private const int AboveNativeReturn = 80;
    private const int PreemptedAddress = 48;

    private static readonly Lock s_lock = new();
    private static nint* s_buffer;
    private static nint* s_end;
    private static nint* s_at;
    private static nint s_managedStart;
    private static nint s_managedEnd;
    private static int s_missed;

    /// <summary>Writes what all goroutines do. Any thread, any goroutine.</summary>
    internal static void Write(TextWriter writer)
    {
        lock (s_lock)
        {
            nint* addresses = Switch.Layout() + RuntimeThread.FirstAddress;
            s_managedStart = addresses[RuntimeThread.ManagedCodeStart];
            s_managedEnd = addresses[RuntimeThread.ManagedCodeEnd];
            // Address space; only what is written to becomes memory.
            nint bytes = (nint)(Scheduler.LiveCount + 1000) * (HeaderWords + MaxFrames) * sizeof(nint);
            nint memory = Os.Reserve(bytes);
            if (memory <= 0)
            {
                throw new InsufficientMemoryException("No memory for a dump of all goroutines.");
            }
            try
            {
                s_buffer = (nint*)memory;
                s_at = s_buffer;
                s_end = (nint*)(memory + bytes);
                s_missed = 0;
                GcRoots.AtNextMarking(&Collect);
                do
                {
                    GC.Collect(0, GCCollectionMode.Forced, blocking: true);
                }
                while (s_at == s_buffer);
                Print(writer);
            }
            finally
            {
                _ = Os.Release(memory, bytes);
            }
        }
    }

    /// <summary>Writes the reason and what all goroutines do to standard error, and ends the process, as Go
    /// does on a deadlock and on SIGQUIT.</summary>
    [DoesNotReturn]
    internal static void WriteAndExit(ReadOnlySpan<byte> reason)
    {
        Fatal.Write(reason);
        Fatal.Write("\n\n"u8);
        using StringWriter text = new();
        Write(text);
        Fatal.Write(text.ToString());
        Os.Exit(ExitCode);
    }

    /// <summary>The world stands still; raw code.</summary>
    private static void Collect()
    {
        for (nint slot = 0; slot < GoroutinePages.Carved; slot++)
        {
            if (!GoroutinePages.IsPresent(slot))
            {
                continue;
            }
            Goroutine* g = GoroutinePages.At(slot);
            if (g->State == GoroutineState.Dead || g->Kind == GoroutineKind.Thread)
            {
                continue;
            }
            if (s_at + HeaderWords + MaxFrames + 1 > s_end)
            {
                s_missed++;
                continue;
            }
            nint* record = s_at;
            record[0] = (nint)g->Id;
            record[1] = (nint)g->State;
            record[2] = (nint)g->Reason;
            record[3] = (nint)g->WaitSince;
            for (int i = 0; i < Goroutine.NameSize / sizeof(nint); i++)
            {
                record[NameWord + i] = g->HasName ? ((nint*)g->Name)[i] : 0;
            }
            s_at += HeaderWords;
            CollectFrames(g, record);
            record[4] = (nint)(s_at - record) - HeaderWords;
        }
        *s_at++ = 0; // No goroutine has this number: the end.
    }

    private static void CollectFrames(Goroutine* g, nint* record)
    {
        nint sp = g->Context.SavedSp;
        if (sp == 0)
        {
            if (g->State == GoroutineState.Running) // Else it is being made.
            {
                CollectRunning(g, record);
            }
            return;
        }
        nint frame = *(nint*)(sp + SavedFramePointer);
        nint address = *(nint*)(sp + SavedReturn);
        if (g->Reason == ParkReason.Preempted)
        {
            address = *(nint*)(frame + PreemptedAddress);
            frame = *(nint*)frame;
            Add(address + 1); // Where it was interrupted, not a return address: see Print.
            WalkUp(g, frame);
            return;
        }
        if (g->Reason == ParkReason.NativeReturn)
        {
            address = *(nint*)(sp + AboveNativeReturn);
        }
        Add(address);
        WalkUp(g, frame);
    }

    /// <summary>g is on its machine's thread, which is stopped.</summary>
    private static void CollectRunning(Goroutine* g, nint* record)
    {
        nint thread = g->Machine->Thread;
        nint transition = RuntimeThread.Field(thread, RuntimeThread.TransitionFrame);
        if (transition == 0)
        {
            // Who collects: in managed code, to the runtime; where it came from is here.
            transition = RuntimeThread.Field(thread, RuntimeThread.DeferredFrame);
        }
        else if ((g->Machine->NativeCount & 1) != 0)
        {
            record[2] = (nint)ParkReason.NativeReturn;
        }
        if (transition == RuntimeThread.InterruptedFrame)
        {
            SignalContext* context =
                (SignalContext*)RuntimeThread.Field(thread, RuntimeThread.Interrupted);
            Add(context->Ip + 1);
            WalkUp(g, context->FramePointer);
        }
        else if (transition > 0)
        {
            nint* frame = (nint*)transition;
            Add(frame[0]);
            WalkUp(g, frame[1]);
        }
    }

    private static void WalkUp(Goroutine* g, nint frame)
    {
        for (int i = 1; i < MaxFrames; i++)
        {
            if (frame < g->StackLow || frame > g->StackHigh - (2 * sizeof(nint)) || (frame & 7) != 0)
            {
                return;
            }
            Add(((nint*)frame)[1]);
            nint next = *(nint*)frame;
            if (next <= frame)
            {
                return;
            }
            frame = next;
        }
    }

    private static void Add(nint address)
    {
        if (address > s_managedStart && address <= s_managedEnd)
        {
            *s_at++ = address;
        }
    }

    private static void Print(TextWriter writer)
    {
        long now = Os.NowNs();
        for (nint* record = s_buffer; *record != 0; record += HeaderWords + record[4])
        {
            writer.Write("goroutine ");
            writer.Write(record[0].ToString(CultureInfo.InvariantCulture));
            byte* name = (byte*)(record + NameWord);
            if (*name != 0)
            {
                writer.Write(" \"");
                writer.Write(Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name)));
                writer.Write('"');
            }
            writer.Write(" [");
            writer.Write(Describe((GoroutineState)record[1], (ParkReason)record[2]));
            if ((GoroutineState)record[1] == GoroutineState.Waiting)
            {
                writer.Write(", ");
                writer.Write(Duration(now - record[3]));
            }
            writer.WriteLine("]:");
            PrintFrames(writer, record + HeaderWords, (int)record[4]);
            writer.WriteLine();
        }
        if (s_missed > 0)
        {
            writer.WriteLine($"{s_missed} goroutines that had just started are missing.");
        }
    }

    private static void PrintFrames(TextWriter writer, nint* frames, int count)
    {
        bool any = false;
        for (int i = 0; i < count; i++)
        {
            // The instruction before: a return address may be the first of the next function.
            string name = NameOf(frames[i] - 1);
            if (!name.StartsWith(OwnNamespace, StringComparison.Ordinal))
            {
                writer.Write("   at ");
                writer.WriteLine(name);
                any = true;
            }
        }
        if (!any)
        {
            writer.WriteLine("   (nothing of the program's: it has not started, or has just ended)");
        }
    }

    private static string NameOf(nint address)
    {
        DiagnosticMethodInfo? method = DiagnosticMethodInfo.Create(NewStackFrame(address, false));
        return method == null
            ? string.Create(CultureInfo.InvariantCulture, $"0x{address:x}")
            : $"{method.DeclaringTypeName}.{method.Name}";
    }

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    private static extern StackFrame NewStackFrame(IntPtr address, bool needFileInfo);

    private static string Describe(GoroutineState state, ParkReason reason) => state switch
    {
        GoroutineState.Runnable => "runnable",
        GoroutineState.Running => reason == ParkReason.NativeReturn ? "in native code" : "running",
        _ => reason switch
        {
            ParkReason.ChanSend => "chan send",
            ParkReason.ChanReceive => "chan receive",
            ParkReason.WaitGroup => "wait group",
            ParkReason.Select => "select",
            ParkReason.Sleep => "sleep",
            ParkReason.Mutex => "mutex",
            ParkReason.RWMutex => "rw mutex",
            ParkReason.Cond => "cond",
            ParkReason.Semaphore => "semaphore",
            ParkReason.Network => "network",
            _ => "waiting",
        },
    };

    private static string Duration(long nanoseconds)
    {
        double seconds = Math.Max(0, nanoseconds) / 1e9;
        return seconds < 60
            ? string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s")
            : string.Create(CultureInfo.InvariantCulture, $"{seconds / 60:0} minutes");
    }
}
