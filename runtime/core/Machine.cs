// A machine: an OS thread that runs goroutines. Its own stack is the system stack: the scheduler's loop
// runs there, and so do the parts of the .NET runtime that need more stack than a goroutine has.
//
// Machines are never freed: an idle one sleeps on Wake until there is a processor for it.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Machine
{
    /// <summary>The system stack while a goroutine runs. Must be first: the assembly relies on it.</summary>
    internal Context Context;

    /// <summary>One past the system stack's highest byte.</summary>
    internal nint StackHigh;

    /// <summary>NativeAOT's Thread of this OS thread.</summary>
    internal nint Thread;

    /// <summary>The processor held; null while idle. Owner.</summary>
    internal Processor* Processor;

    /// <summary>The processor that a waker hands over. Written before Wake is set.</summary>
    internal Processor* NextProcessor;

    /// <summary>Looking for work without having any; counted in Scheduler.Spinning.</summary>
    internal bool IsSpinning;

    /// <summary>0 asleep or about to be, 1 woken.</summary>
    internal int Wake;

    internal int Id;

    /// <summary>The next idle one. Guarded by the scheduler's lock.</summary>
    internal Machine* Link;

    /// <summary>All machines ever, for the collector's hook.</summary>
    internal Machine* AllLink;
}
