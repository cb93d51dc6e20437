// The waits of .NET's base library: its low-level monitor, and its yield. On a goroutine they park it.
//
// On Unix every wait of the base library's own ends here: WaitHandle, Monitor and Lock, Thread.Sleep and
// Join, Task.Wait, SemaphoreSlim, the thread pool's idle threads. The functions of libSystem.Native have a
// mutex and a condition variable; those below replace them for the whole process, because a monitor has to be
// the same for threads and goroutines: it may be made before the first goroutine, and both may wait on it.
// From .NET 11 on some wait on an address instead, as with a futex: that goes by the same queue and words.
//
//   monitor    held or not (lookups.c: by how many); who waits to acquire it; who waits to be signalled. Each
//              queue is in order of arrival, goroutines and threads alike. Who releases hands it to the first
//   guard      guards all of that, for a few instructions; nobody parks with it
//   waiter     of a goroutine: in its control block, which does not move, where its place in a queue of
//              Weft's is: it waits in one of the two at a time. Of a thread: on its stack
//   word       its wait: sequence << 2 | state. A thread sleeps on it with a futex. Of a goroutine: in the
//              control block, and used for nothing else, for a timer may come too late
//
//   Preparing --commit--> Parked --signal, time-out--> Signalled, TimedOut; or straight from Preparing
//
// Whoever changes the word away from Parked makes the goroutine ready, or wakes the thread; from Preparing
// nobody has to, as the commit (sched/DotNetWait.cs) finds out. A timer that comes late finds a later
// sequence, which is the process's: it never touches anything but the word.
//
// Between a goroutine's Acquire and Release other goroutines may run, and it may change threads: so held is a
// word, and no mutex of the system's, which belongs to a thread. For the same reason nothing here may keep
// what belongs to the thread across a call of a hook: the address of weft_tls or of errno.
//
// .NET 11 calls Release as it calls a leaf, in the middle of managed code: no C# can be called there, and so
// no goroutine made ready. It leaves the monitor free, and a goroutine that waits to acquire one looks for
// itself, every millisecond.
//
// Where a goroutine cannot park it blocks its thread: no memory for the timer, a critical section, a wait
// inside a hook, and with WEFTDEBUG=dotnetwaits=0.
//
// Rejected: the condition variable for threads beside a list for goroutines (two orders, to be mixed by
// hand); barging (who is woken may lose again and again, and each try costs it two switches).

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "context.h"
#include "waits.h"

enum state { PREPARING, PARKED, SIGNALLED, TIMED_OUT };

#define STATE_BITS  2
#define STATE_MASK  3
#define CANNOT_PARK (-1)
#define BUCKETS     64

#if WEFT_DOTNET >= 11
#define RELEASE_IS_A_LEAF 1
#else
#define RELEASE_IS_A_LEAF 0
#endif
#define LOOK_AGAIN_MS 1                 // Then.

struct waiter {
    struct waiter *next, *previous;
    char *goroutine;                    // NULL: whoever waits blocks its thread.
    long *word;
    int32_t *address;                   // What it waits on, if not on a monitor.
    int queued;
};
_Static_assert(sizeof(struct waiter) <= 56, "the flags of Weft's own waiter lie there"); // core/Waiter.cs

// Of a wait that blocks its thread.
struct own { struct waiter waiter; long word; };

// Whom to wake once the guard is released: a goroutine, or a thread by the word it sleeps on.
struct wake { char *goroutine; long *word; };

struct thread_words { char *goroutine; void *machine; int critical; };
extern HIDDEN __thread struct thread_words weft_tls __attribute__((tls_model("initial-exec")));

// C# stores these at start (sched/DotNetWait.cs).
static struct hooks {
    int (*park)(long sequence, int timeout_ms); // The state it ended with, or CANNOT_PARK.
    void (*ready)(char *goroutine);
    uint8_t (*has_others)(void *machine);       // Raw C#.
    void (*yield)(void);
    long on;
    long finalizer_asked; // How often the collector has, and what of it is done; -1 while it is at work.
    long finalizer_done;
} hooks;

static long last_sequence;

HIDDEN void *weft_wait_hooks(void)
{
    return &hooks;
}

static int compare_exchange(long *word, long from, long to)
{
    return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void enqueue(struct queue *q, struct waiter *w)
{
    w->next = NULL;
    w->previous = q->last;
    if (q->last == NULL)
        q->first = w;
    else
        q->last->next = w;
    q->last = w;
    w->queued = 1;
}

static void dequeue(struct queue *q, struct waiter *w)
{
    if (w->previous == NULL)
        q->first = w->next;
    else
        w->previous->next = w->next;
    if (w->next == NULL)
        q->last = w->previous;
    else
        w->next->previous = w->previous;
    w->queued = 0;
}

// The machine is this thread's until the next call of a hook.
static __attribute__((noinline)) void set_short_count(int is_short)
{
    char *m = weft_tls.goroutine == NULL ? NULL : weft_tls.machine;
    if (m != NULL)
        *(uint32_t *)(m + M_SHORT_COUNT) = is_short ? *(uint32_t *)(m + M_NATIVE_COUNT) : 0;
}

HIDDEN void weft_call_is_short(void)
{
    set_short_count(1);
}

HIDDEN void weft_call_may_block(void)
{
    set_short_count(0);
}

// The calling goroutine, if it may park. Not inlined, as it reads weft_tls.
HIDDEN __attribute__((noinline)) char *weft_may_park(void)
{
    return hooks.on && weft_tls.critical == 0 ? weft_tls.goroutine : NULL;
}

// A new wait of the caller's: as its goroutine if it may park, else as its thread, in own.
static struct waiter *begin(struct own *own)
{
    char *goroutine = weft_may_park();
    struct waiter *w = &own->waiter;
    w->goroutine = NULL;
    w->word = &own->word;
    if (goroutine != NULL && !goroutine[G_LINE_IN_USE] && !goroutine[G_WAITER_IS_QUEUED]) {
        goroutine[G_LINE_IN_USE] = 1;
        w = (struct waiter *)(goroutine + G_WAITER);
        w->goroutine = goroutine;
        w->word = (long *)(goroutine + G_DOTNET_WAIT_WORD);
    }
    w->address = NULL;
    w->queued = 0;
    return w;
}

static void end(struct waiter *w, struct own *own)
{
    if (w != &own->waiter)
        ((char *)w)[G_LINE_IN_USE - G_WAITER] = 0;
}

static void prepare(struct waiter *w)
{
    long sequence = __atomic_add_fetch(&last_sequence, 1, __ATOMIC_RELAXED);
    long state = w->goroutine == NULL ? PARKED : PREPARING;
    __atomic_store_n(w->word, sequence << STATE_BITS | state, __ATOMIC_SEQ_CST);
}

// Ends a wait, unless a time-out has; 0 then. Whom to wake is for wake_up. Under the guard: without it one
// that gives up may be gone. One that is signalled may be, too: nothing of it is used after the exchange.
static int signal_waiter(struct waiter *w, struct wake *wake)
{
    long *at = w->word;
    long word = __atomic_load_n(at, __ATOMIC_ACQUIRE);
    char *goroutine = w->goroutine;     // After the word: pairs with sleep_on.
    while ((word & STATE_MASK) <= PARKED) {
        if (compare_exchange(at, word, (word & ~(long)STATE_MASK) | SIGNALLED)) {
            if ((word & STATE_MASK) == PARKED) {
                wake->goroutine = goroutine;
                wake->word = at;
            }
            return 1;
        }
        word = __atomic_load_n(at, __ATOMIC_ACQUIRE);
        goroutine = w->goroutine;
    }
    return 0;
}

static void wake_up(struct wake wake)
{
    if (wake.goroutine != NULL)
        hooks.ready(wake.goroutine);
    else if (wake.word != NULL)
        syscall(SYS_futex, wake.word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); // It may be gone: no harm.
}

// Sleeps on the word's lower half until it is no longer Parked.
static void block(struct waiter *w, int timeout_ms)
{
    struct timespec end;
    if (timeout_ms >= 0) {
        clock_gettime(CLOCK_MONOTONIC, &end);
        long ns = end.tv_nsec + timeout_ms % 1000 * 1000000L;
        end.tv_sec += timeout_ms / 1000 + ns / 1000000000;
        end.tv_nsec = ns % 1000000000;
    }
    for (;;) {
        long word = __atomic_load_n(w->word, __ATOMIC_ACQUIRE);
        if ((word & STATE_MASK) != PARKED)
            return;
        long result = syscall(
            SYS_futex, w->word, FUTEX_WAIT_BITSET_PRIVATE, (int)word, timeout_ms >= 0 ? &end : NULL, NULL,
            FUTEX_BITSET_MATCH_ANY);
        if (result < 0 && errno == ETIMEDOUT
            && compare_exchange(w->word, word, (word & ~(long)STATE_MASK) | TIMED_OUT))
            return;
    }
}

// Waits for the word. Returns the state it has then.
static int sleep_on(struct waiter *w, int timeout_ms)
{
    if (w->goroutine != NULL) {
        long word = __atomic_load_n(w->word, __ATOMIC_ACQUIRE);
        if ((word & STATE_MASK) != PREPARING)
            return word & STATE_MASK;
        int state = hooks.park(word >> STATE_BITS, timeout_ms);
        if (state != CANNOT_PARK)
            return state;
        w->goroutine = NULL;            // Pairs with the read in signal_waiter.
        if (!compare_exchange(w->word, word, word | PARKED))
            return SIGNALLED;
    }
    block(w, timeout_ms);
    return __atomic_load_n(w->word, __ATOMIC_ACQUIRE) & STATE_MASK;
}

// Signals the first that still waits, among those on that address. Under the guard.
static struct wake signal_first(struct queue *q, const int32_t *address)
{
    struct wake wake = { NULL, NULL };
    struct waiter *next;
    for (struct waiter *w = q->first; w != NULL; w = next) {
        next = w->next;
        if (w->address != address)
            continue;
        dequeue(q, w);
        if (signal_waiter(w, &wake))
            break;                      // Else its time was over, and the signal is the next one's.
    }
    return wake;
}

// The monitor goes to the next one, or is free. Under the guard.
static struct wake pass_on(struct monitor *m)
{
    struct wake wake = { NULL, NULL };
    int passed = 0;
    while (m->acquirers.first != NULL && !passed) {
        struct waiter *w = m->acquirers.first;
        dequeue(&m->acquirers, w);
        passed = signal_waiter(w, &wake); // Else it is about to look for itself.
    }
    m->held -= !passed;
    return wake;
}

// With the guard held, which it releases. The waiter is the caller's, in no queue. 0 for a time-out: the
// guard is held still.
static int acquire_in_time(struct monitor *m, struct waiter *w, int timeout_ms)
{
    if (m->held > m->more) {
        prepare(w);
        enqueue(&m->acquirers, w);
        pthread_mutex_unlock(&m->guard);
        if (sleep_on(w, timeout_ms) == SIGNALLED)
            return 1;                   // Whoever signals hands the monitor over.
        pthread_mutex_lock(&m->guard);
        if (w->queued)
            dequeue(&m->acquirers, w);
        return 0;
    }
    m->held++;
    pthread_mutex_unlock(&m->guard);
    return 1;
}

static void acquire(struct monitor *m, struct waiter *w)
{
    while (!acquire_in_time(m, w, RELEASE_IS_A_LEAF && w->goroutine != NULL ? LOOK_AGAIN_MS : NO_LIMIT))
        ;
}

// Releases the monitor, waits for a signal, acquires it again. 0 for a time-out.
static int wait(struct monitor *m, int timeout_ms)
{
    struct own own;
    struct waiter *w = begin(&own);
    pthread_mutex_lock(&m->guard);
    prepare(w);
    enqueue(&m->waiters, w);
    struct wake next = pass_on(m);
    pthread_mutex_unlock(&m->guard);
    wake_up(next);
    int state = sleep_on(w, timeout_ms);
    pthread_mutex_lock(&m->guard);
    if (w->queued)
        dequeue(&m->waiters, w);
    acquire(m, w);
    end(w, &own);
    return state == SIGNALLED;
}

// A lock for sockets.c, and places for lookups.c: held across whatever stops a goroutine, and handed over in
// order of arrival.

HIDDEN int weft_monitor_acquire(struct monitor *m, int timeout_ms)
{
    pthread_mutex_lock(&m->guard);
    if (m->held <= m->more) {
        m->held++;
        pthread_mutex_unlock(&m->guard);
        return 1;
    }
    if (timeout_ms == 0) {
        pthread_mutex_unlock(&m->guard);
        return 0;
    }
    struct own own;
    struct waiter *w = begin(&own);
    int acquired = acquire_in_time(m, w, timeout_ms);
    if (!acquired)
        pthread_mutex_unlock(&m->guard);
    end(w, &own);
    return acquired;
}

HIDDEN void weft_monitor_release(struct monitor *m)
{
    pthread_mutex_lock(&m->guard);
    struct wake next = pass_on(m);
    pthread_mutex_unlock(&m->guard);
    wake_up(next);
}

// What is linked in the place of libSystem.Native's functions, with their contracts.

HIDDEN struct monitor *__wrap_SystemNative_LowLevelMonitor_Create(void)
{
    struct monitor *m = calloc(1, sizeof *m);
    if (m != NULL && pthread_mutex_init(&m->guard, NULL) != 0) {
        free(m);
        return NULL;
    }
    return m;
}

HIDDEN void __wrap_SystemNative_LowLevelMonitor_Destroy(struct monitor *m)
{
    pthread_mutex_destroy(&m->guard);
    free(m);
}

HIDDEN void __wrap_SystemNative_LowLevelMonitor_Acquire(struct monitor *m)
{
    while (!weft_monitor_acquire(m, RELEASE_IS_A_LEAF && weft_may_park() ? LOOK_AGAIN_MS : NO_LIMIT))
        ;
}

HIDDEN void __wrap_SystemNative_LowLevelMonitor_Release(struct monitor *m)
{
    struct wake next = { NULL, NULL };
    pthread_mutex_lock(&m->guard);
    struct waiter *w = m->acquirers.first;
    if (RELEASE_IS_A_LEAF && w != NULL && w->goroutine != NULL)
        m->held--;
    else
        next = pass_on(m);
    pthread_mutex_unlock(&m->guard);
    wake_up(next);
}

HIDDEN void __wrap_SystemNative_LowLevelMonitor_Wait(struct monitor *m)
{
    wait(m, NO_LIMIT);
}

HIDDEN int32_t __wrap_SystemNative_LowLevelMonitor_TimedWait(struct monitor *m, int32_t timeout_ms)
{
    return wait(m, timeout_ms);
}

HIDDEN void __wrap_SystemNative_LowLevelMonitor_Signal_Release(struct monitor *m)
{
    pthread_mutex_lock(&m->guard);
    struct wake signalled = signal_first(&m->waiters, NULL);
    struct wake next = pass_on(m);
    pthread_mutex_unlock(&m->guard);
    wake_up(signalled);
    wake_up(next);
}

// From .NET 11 on: the base library's inner lock, and the idle threads of its pool.

static struct bucket { pthread_mutex_t guard; struct queue waiters; } buckets[BUCKETS] =
    { [0 ... BUCKETS - 1] = { .guard = PTHREAD_MUTEX_INITIALIZER } };

static struct bucket *bucket_of(const int32_t *address)
{
    uintptr_t n = (uintptr_t)address;
    return &buckets[(n >> 6 ^ n >> 12 ^ n >> 18) % BUCKETS];
}

// Waits until it is woken, unless the word there is another one. 0 for a time-out.
static int wait_on(int32_t *address, int32_t value, int timeout_ms)
{
    struct bucket *b = bucket_of(address);
    struct own own;
    struct waiter *w = begin(&own);
    pthread_mutex_lock(&b->guard);
    if (__atomic_load_n(address, __ATOMIC_SEQ_CST) != value) {
        pthread_mutex_unlock(&b->guard);
        end(w, &own);
        return 1;
    }
    prepare(w);
    w->address = address;
    enqueue(&b->waiters, w);
    pthread_mutex_unlock(&b->guard);
    int state = sleep_on(w, timeout_ms);
    pthread_mutex_lock(&b->guard);
    if (w->queued)
        dequeue(&b->waiters, w);
    pthread_mutex_unlock(&b->guard);
    end(w, &own);
    return state == SIGNALLED;
}

HIDDEN void __wrap_SystemNative_LowLevelFutex_WaitOnAddress(int32_t *address, int32_t value)
{
    wait_on(address, value, NO_LIMIT);
}

HIDDEN int32_t __wrap_SystemNative_LowLevelFutex_WaitOnAddressTimeout(
    int32_t *address, int32_t value, int32_t timeout_ms)
{
    return wait_on(address, value, timeout_ms);
}

HIDDEN void __wrap_SystemNative_LowLevelFutex_WakeByAddressSingle(int32_t *address)
{
    struct bucket *b = bucket_of(address);
    pthread_mutex_lock(&b->guard);      // Pairs with wait_on: it has seen the new word, or is in the queue.
    struct wake wake = signal_first(&b->waiters, address);
    pthread_mutex_unlock(&b->guard);
    wake_up(wake);
}

// Thread.Yield and Thread.Sleep(0): others on this processor first, then other threads on this core.
int __real_RhYield(void);
HIDDEN int __wrap_RhYield(void)
{
    if (weft_tls.goroutine == NULL || !hooks.on || weft_tls.critical != 0
        || !hooks.has_others(weft_tls.machine))
        return __real_RhYield();
    hooks.yield();
    return 1;
}

// Whether the finalizer thread has something to do, for the report of deadlocks: where the collector asks for
// it, and where the thread waits for that, from the first time on. What was asked for since it last came back
// is not done, though the thread may not have got a core yet. A collection that found nothing to finalize
// says so and wakes nobody: it does not count, since nobody would ever take it off.
void __real__ZN15GCToEEInterface18EnableFinalizationEb(uint8_t has_work);
HIDDEN void __wrap__ZN15GCToEEInterface18EnableFinalizationEb(uint8_t has_work)
{
    if (has_work)
        __atomic_add_fetch(&hooks.finalizer_asked, 1, __ATOMIC_SEQ_CST);
    __real__ZN15GCToEEInterface18EnableFinalizationEb(has_work);
}

uint32_t __real_RhpWaitForFinalizerRequest(void);
HIDDEN uint32_t __wrap_RhpWaitForFinalizerRequest(void)
{
    static long seen; // The finalizer thread's.
    __atomic_store_n(&hooks.finalizer_done, seen, __ATOMIC_SEQ_CST);
    uint32_t result = __real_RhpWaitForFinalizerRequest();
    __atomic_store_n(&hooks.finalizer_done, -1, __ATOMIC_SEQ_CST);
    seen = __atomic_load_n(&hooks.finalizer_asked, __ATOMIC_SEQ_CST);
    return result;
}
