// GC.Collect: whoever calls it without a pause leaves others a gap now and then.
//
// A thread that comes back to managed code while the world is stopped sleeps until that collection is over.
// By the time it has woken the next one may have begun: beside a loop of collections it never gets in, be it
// a machine with a due timer, sysmon, or any thread of .NET's. So, every few milliseconds, a collection waits
// until no other runs and the last has been over for a while.
//
//   collect      enough time since the last gap, or since the last collection: at once
//                else: wait until nobody collects, and for the gap; then go on
//
// Collections that allocation asks for are not held up: there is work between them.
//
// Rejected: to stop the goroutine alone that collected (it does stop too, stack/GcRoots.cs): with two of
// them, or beside a thread, the next collection begins at once. Locks: none; a race costs a gap.

#include <stdint.h>
#include <time.h>

#define HIDDEN   __attribute__((visibility("hidden")))
#define GAP_NS   150000
#define EVERY_NS 4000000
#define MOST_NS  20000000

static int64_t last_end, last_gap;
static int running;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void leave_gap(void)
{
    int64_t start = now();
    if (start - __atomic_load_n(&last_end, __ATOMIC_RELAXED) > GAP_NS
        || start - __atomic_load_n(&last_gap, __ATOMIC_RELAXED) < EVERY_NS)
        return;
    struct timespec nap = { 0, GAP_NS / 2 };
    int64_t at = start;
    while (at - start < MOST_NS
           && (__atomic_load_n(&running, __ATOMIC_RELAXED) != 0
               || at - __atomic_load_n(&last_end, __ATOMIC_RELAXED) < GAP_NS)) {
        nanosleep(&nap, 0);
        at = now();
    }
    __atomic_store_n(&last_gap, at, __ATOMIC_RELAXED);
}

// What GC.Collect calls.
#if WEFT_DOTNET == 10
#define COLLECT(kind) kind##RhpCollect
#else
#define COLLECT(kind) kind##RhCollect
#endif

void COLLECT(__real_)(uint32_t generation, uint32_t mode, uint32_t low_memory);
HIDDEN void COLLECT(__wrap_)(uint32_t generation, uint32_t mode, uint32_t low_memory)
{
    leave_gap();
    __atomic_add_fetch(&running, 1, __ATOMIC_RELAXED);
    COLLECT(__real_)(generation, mode, low_memory);
    __atomic_store_n(&last_end, now(), __ATOMIC_RELAXED);
    __atomic_sub_fetch(&running, 1, __ATOMIC_RELAXED);
}
