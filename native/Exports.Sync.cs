// Mutex, read-write lock, wait group, condition, semaphore, once.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const long OnceDone = 1;

    [UnmanagedCallersOnly(EntryPoint = "weft_mutex_make")]
    private static int MutexMake(nint* handle) => Make<Mutex>(handle, Kind.Mutex);

    [UnmanagedCallersOnly(EntryPoint = "weft_mutex_free")]
    private static int MutexFree(nint handle) => FreeHandle<Mutex>(handle, Kind.Mutex);

    [UnmanagedCallersOnly(EntryPoint = "weft_mutex_lock")]
    private static int MutexLock(nint handle)
    {
        Mutex? mutex = Handles.Get<Mutex>(handle, Kind.Mutex);
        if (mutex == null)
        {
            return Handles.Fault(handle);
        }
        return mutex.TryLock() ? Code.Ok : LockSlow(mutex);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_mutex_lock_until")]
    private static int MutexLockUntil(nint handle, long deadline)
    {
        Mutex? mutex = Handles.Get<Mutex>(handle, Kind.Mutex);
        return mutex != null && mutex.TryLock() ? Code.Ok
            : Until(handle, Kind.Mutex, deadline, static (Mutex mutex, WaitEnd end, long _) => mutex.Lock(end), 0);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_mutex_try_lock")]
    private static int MutexTryLock(nint handle)
    {
        Mutex? mutex = Handles.Get<Mutex>(handle, Kind.Mutex);
        return mutex == null ? Handles.Fault(handle) : mutex.TryLock() ? Code.Ok : Code.WouldWait;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_mutex_unlock")]
    private static int MutexUnlock(nint handle)
    {
        Mutex? mutex = Handles.Get<Mutex>(handle, Kind.Mutex);
        if (mutex == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            mutex.Unlock();
            return Code.Ok;
        }
        catch (InvalidOperationException)
        {
            return Code.NotPermitted;
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_make")]
    private static int RWLockMake(nint* handle) => Make<RWMutex>(handle, Kind.RWMutex);

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_free")]
    private static int RWLockFree(nint handle) => FreeHandle<RWMutex>(handle, Kind.RWMutex);

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_rdlock")]
    private static int RWLockRead(nint handle) =>
        Do(handle, Kind.RWMutex, static (RWMutex mutex, long _) => mutex.RLock(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_rdlock_until")]
    private static int RWLockReadUntil(nint handle, long deadline) => Until(
        handle, Kind.RWMutex, deadline, static (RWMutex mutex, WaitEnd end, long _) => mutex.RLock(end), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_try_rdlock")]
    private static int RWLockTryRead(nint handle)
    {
        RWMutex? mutex = Handles.Get<RWMutex>(handle, Kind.RWMutex);
        return mutex == null ? Handles.Fault(handle) : mutex.TryRLock() ? Code.Ok : Code.WouldWait;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_rdunlock")]
    private static int RWLockReadUnlock(nint handle) =>
        Do(handle, Kind.RWMutex, static (RWMutex mutex, long _) => mutex.RUnlock(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_wrlock")]
    private static int RWLockWrite(nint handle) =>
        Do(handle, Kind.RWMutex, static (RWMutex mutex, long _) => mutex.Lock(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_wrlock_until")]
    private static int RWLockWriteUntil(nint handle, long deadline) => Until(
        handle, Kind.RWMutex, deadline, static (RWMutex mutex, WaitEnd end, long _) => mutex.Lock(end), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_try_wrlock")]
    private static int RWLockTryWrite(nint handle)
    {
        RWMutex? mutex = Handles.Get<RWMutex>(handle, Kind.RWMutex);
        if (mutex == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            return mutex.TryLock() ? Code.Ok : Code.WouldWait;
        }
        catch (InvalidOperationException)
        {
            return Code.NotPermitted;
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_rwlock_wrunlock")]
    private static int RWLockWriteUnlock(nint handle) =>
        Do(handle, Kind.RWMutex, static (RWMutex mutex, long _) => mutex.Unlock(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_wg_make")]
    private static int WaitGroupMake(nint* handle) => Make<WaitGroup>(handle, Kind.WaitGroup);

    [UnmanagedCallersOnly(EntryPoint = "weft_wg_free")]
    private static int WaitGroupFree(nint handle) => FreeHandle<WaitGroup>(handle, Kind.WaitGroup);

    [UnmanagedCallersOnly(EntryPoint = "weft_wg_add")]
    private static int WaitGroupAdd(nint handle, int delta) => Count(handle, delta);

    [UnmanagedCallersOnly(EntryPoint = "weft_wg_done")]
    private static int WaitGroupDone(nint handle) => Count(handle, -1);

    [UnmanagedCallersOnly(EntryPoint = "weft_wg_wait")]
    private static int WaitGroupWait(nint handle) =>
        Do(handle, Kind.WaitGroup, static (WaitGroup group, long _) => group.Wait(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_wg_wait_until")]
    private static int WaitGroupWaitUntil(nint handle, long deadline) => Until(
        handle, Kind.WaitGroup, deadline, static (WaitGroup group, WaitEnd end, long _) => group.Wait(end), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_cond_make")]
    private static int CondMake(nint* handle, nint mutexHandle)
    {
        Mutex? mutex = Handles.Get<Mutex>(mutexHandle, Kind.Mutex);
        if (mutex == null)
        {
            return Handles.Fault(mutexHandle);
        }
        return Publish(handle, handle == null ? null : new Cond(mutex), Kind.Cond);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_cond_free")]
    private static int CondFree(nint handle) => FreeHandle<Cond>(handle, Kind.Cond);

    [UnmanagedCallersOnly(EntryPoint = "weft_cond_wait")]
    private static int CondWait(nint handle) =>
        Do(handle, Kind.Cond, static (Cond cond, long _) => cond.Wait(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_cond_wait_until")]
    private static int CondWaitUntil(nint handle, long deadline) => Until(
        handle, Kind.Cond, deadline, static (Cond cond, WaitEnd end, long _) => cond.Wait(end), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_cond_signal")]
    private static int CondSignal(nint handle) =>
        Do(handle, Kind.Cond, static (Cond cond, long _) => cond.Signal(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_cond_broadcast")]
    private static int CondBroadcast(nint handle) =>
        Do(handle, Kind.Cond, static (Cond cond, long _) => cond.Broadcast(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_sem_make")]
    private static int SemaphoreMake(nint* handle, long size) =>
        !Handles.AreOpen ? Code.NotRunning : size < 0 ? Code.Invalid
        : Publish(handle, handle == null ? null : new Semaphore(size), Kind.Semaphore);

    [UnmanagedCallersOnly(EntryPoint = "weft_sem_free")]
    private static int SemaphoreFree(nint handle) => FreeHandle<Semaphore>(handle, Kind.Semaphore);

    [UnmanagedCallersOnly(EntryPoint = "weft_sem_acquire")]
    private static int SemaphoreAcquire(nint handle, long count) =>
        Do(handle, Kind.Semaphore, static (Semaphore semaphore, long count) => semaphore.Acquire(count), count);

    [UnmanagedCallersOnly(EntryPoint = "weft_sem_acquire_until")]
    private static int SemaphoreAcquireUntil(nint handle, long count, long deadline) => Until(
        handle,
        Kind.Semaphore,
        deadline,
        static (Semaphore semaphore, WaitEnd end, long count) => semaphore.Acquire(count, end),
        count);

    [UnmanagedCallersOnly(EntryPoint = "weft_sem_try_acquire")]
    private static int SemaphoreTryAcquire(nint handle, long count)
    {
        Semaphore? semaphore = Handles.Get<Semaphore>(handle, Kind.Semaphore);
        return semaphore == null ? Handles.Fault(handle)
            : count < 0 ? Code.Invalid
            : semaphore.TryAcquire(count) ? Code.Ok : Code.WouldWait;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_sem_release")]
    private static int SemaphoreRelease(nint handle, long count) =>
        Do(handle, Kind.Semaphore, static (Semaphore semaphore, long count) => semaphore.Release(count), count);

    /// <summary>What others wait for while a weft_once is being done, and by whom it is.</summary>
    private sealed class OnceRun(long caller)
    {
        internal readonly Mutex Busy = new();
        internal readonly long Caller = caller;
    }

    /// <summary>weft_once is a word of the caller's: 0, a handle while it is being done, then OnceDone.</summary>
    [UnmanagedCallersOnly(EntryPoint = "weft_once_do")]
    private static int OnceDo(long* once, delegate* unmanaged<nint, void> function, nint argument)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (once == null || function == null)
        {
            return Code.Invalid;
        }
        try
        {
            while (Volatile.Read(ref *once) is long state && state != OnceDone)
            {
                if (state == 0)
                {
                    OnceRun run = new(CallerId());
                    run.Busy.Lock();
                    nint handle = Handles.Make(run, Kind.Once);
                    if (handle == 0)
                    {
                        return Code.NoMemory;
                    }
                    if (Interlocked.CompareExchange(ref *once, handle, 0) == 0)
                    {
                        function(argument);
                        Volatile.Write(ref *once, OnceDone);
                        run.Busy.Unlock();
                    }
                    _ = Handles.Free<OnceRun>(handle, Kind.Once);
                    continue;
                }
                OnceRun? other = Handles.Get<OnceRun>((nint)state, Kind.Once);
                if (other != null)
                {
                    if (other.Caller == CallerId())
                    {
                        return Code.WaitsForItself;
                    }
                    other.Busy.Lock(); // Until it is done.
                    other.Busy.Unlock();
                }
                else if (Volatile.Read(ref *once) == state)
                {
                    return Code.BadHandle; // Not a weft_once.
                }
            }
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    /// <summary>Of the calling goroutine, or else of the thread: below 0.</summary>
    private static long CallerId()
    {
        Goroutine* g = Current.Goroutine();
        return g != null ? g->Id : -Os.ThreadId();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int LockSlow(Mutex mutex)
    {
        try
        {
            mutex.Lock();
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    /// <summary>Not by Do: each goroutine that starts and ends comes by twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Count(nint handle, int delta)
    {
        WaitGroup? group = Handles.Get<WaitGroup>(handle, Kind.WaitGroup);
        return group == null ? Handles.Fault(handle)
            : group.IsBubbled ? CountInBubble(group, delta)
            : group.TryAdd(delta) ? Code.Ok : Code.NotPermitted;
    }

    private static int CountInBubble(WaitGroup group, int delta)
    {
        try
        {
            group.Add(delta);
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    /// <summary>For what may wait or throw. The function is static, so that no delegate is made.</summary>
    private static int Do<T>(nint handle, Kind kind, Action<T, long> action, long argument)
        where T : class
    {
        T? target = Handles.Get<T>(handle, kind);
        if (target == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            action(target, argument);
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static int Make<T>(nint* handle, Kind kind)
        where T : class, new() =>
        !Handles.AreOpen ? Code.NotRunning : Publish(handle, handle == null ? null : new T(), kind);

    private static int Publish(nint* handle, object? target, Kind kind)
    {
        if (handle == null || target == null)
        {
            return Code.Invalid;
        }
        *handle = Handles.Make(target, kind);
        return *handle != 0 ? Code.Ok : Code.NoMemory;
    }

    private static int FreeHandle<T>(nint handle, Kind kind)
        where T : class =>
        Handles.Free<T>(handle, kind) == null ? Handles.Fault(handle) : Code.Ok;
}
