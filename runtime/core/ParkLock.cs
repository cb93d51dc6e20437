// The commit of a park on an object: its lock is released once the goroutine has left its stack. The
// object is found through the goroutine, whose ParkObject is a root: a pointer into it would not survive
// a collection.

namespace Weft.Runtime;

/// <summary>An object whose lock a goroutine holds while it parks on it.</summary>
internal interface IParkLock
{
    public void Unlock();
}

/// <summary>An object that a goroutine parks on: its ParkObject.</summary>
internal unsafe interface IParkPlace
{
    /// <summary>Takes g out of the queue, if it waits here: it will never get what it waits for, and ends.
    /// The caller then makes it ready. False when somebody else does.</summary>
    public bool Abandon(Goroutine* g);
}

internal static unsafe class ParkLock
{
    /// <summary>For Scheduler.Park: releases the lock of what g waits on. g waits in any case.</summary>
    internal static bool Release(Goroutine* g, void* argument)
    {
        ((IParkLock)Goroutine.ParkObject(g)!).Unlock();
        return true;
    }
}
