// Goroutines that nobody will ever wake.

using Weft.Runtime;

namespace Weft;

public static unsafe partial class Go
{
    /// <summary>
    /// Finds the goroutines that are blocked for ever: each waits for a channel, a select, a
    /// <see cref="WaitGroup"/>, a <see cref="Mutex"/> or the like that nobody can reach any more but
    /// goroutines that are themselves blocked for ever. Never one that something could still wake: what a
    /// timer, a static field, a handle, a weak reference, a finalizer, or the stack of a thread or of any
    /// other goroutine leads to counts as reachable. It may miss one because an old value is taken for a
    /// reference, on a stack that has native frames or an exception in flight, or was interrupted in a loop:
    /// what else waits is read precisely. Go: the goroutineleak profile.
    /// </summary>
    /// <remarks>
    /// Costs two full collections that stop the world, and runs the finalizers that are due in between; not
    /// to be called from a finalizer. Any thread or goroutine may call it; calls take their turn.
    /// </remarks>
    /// <param name="reclaim">Also ends them, as if each had called <see cref="Exit"/> where it waits: their
    /// finally blocks run, also after this call has returned, and their memory is freed. Code that catches
    /// every exception must throw that one again, else the goroutine goes on.</param>
    /// <returns>What was found.</returns>
    /// <exception cref="PlatformNotSupportedException">The program uses the server collector, or runs on the
    /// JIT (<see cref="Mode"/>), or on a .NET runtime that Weft does not support.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for the stacks.</exception>
    public static LeakReport FindLeaks(bool reclaim = false)
    {
        if (Jit.IsOn)
        {
            throw new PlatformNotSupportedException(
                "Go.FindLeaks needs NativeAOT: on the JIT goroutines are threads, which keep all alive.");
        }
        Scheduler.EnsureStarted();
        if (!LeakFinder.IsSupported)
        {
            throw new PlatformNotSupportedException(
                "Go.FindLeaks needs the workstation collector: set ServerGarbageCollection to false.");
        }
        return new LeakReport(
            LeakFinder.Find(&SelectCase.IsReachable, reclaim).ConvertAll(leak => new LeakedGoroutine(leak)));
    }
}
