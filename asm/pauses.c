// When collections stopped the world: begin, stopped, end, of the last ones, in ticks (base/Ticks.cs: which
// clock they are of is chosen at the start; before that nothing is noted). The execution trace shows them,
// and metrics count them; .NET's own events of collections need an EventSource, which most programs are built
// without.
//
//   SuspendEE     begins to stop all threads; back when they stand still
//   GcStartWork   which generation
//   RestartEE     lets them go
//
// A background collection has several pauses. One at a time: who suspends holds the runtime's lock of all
// threads. Readers see whole entries: `count` is changed last.
//
// Rejected: hooks in C#. The thread that suspends is a goroutine's as often as the collector's, and is in no
// state to run C# in the middle. Locks: none.

#include <stdint.h>
#include <time.h>

#define HIDDEN __attribute__((visibility("hidden")))
#define KEPT   1024 // A power of two.

struct pause {
    int64_t begin, stopped, end, generation;
};

// core/Pauses.cs has the same.
struct pauses {
    int64_t count;       // Of pauses that are over.
    int64_t ticks;       // All of them together.
    int64_t scan_ticks;  // Of these, Weft's report of goroutines. Written by C#.
    int64_t generation;  // Of the collection that runs.
    int64_t source;      // Of ticks. Written by C#: NONE until it is chosen.
    struct pause last[KEPT];
};

int64_t weft_ticks(void);

enum { NONE, COUNTER, NANOSECONDS }; // As in core/Pauses.cs.

static struct pauses all;
static int64_t began, stood, clock_of_pause;

static int64_t ticks(int64_t clock)
{
    if (clock != NANOSECONDS)
        return weft_ticks();
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

HIDDEN struct pauses *weft_pauses(void)
{
    return &all;
}

void __real__ZN15GCToEEInterface9SuspendEEE14SUSPEND_REASON(int reason);
HIDDEN void __wrap__ZN15GCToEEInterface9SuspendEEE14SUSPEND_REASON(int reason)
{
    int64_t clock = __atomic_load_n(&all.source, __ATOMIC_RELAXED);
    int64_t now = ticks(clock);
    __real__ZN15GCToEEInterface9SuspendEEE14SUSPEND_REASON(reason);
    clock_of_pause = clock; // Only now: until then the last one may not be over.
    began = now;
    stood = ticks(clock);
    all.generation = -1;
}

void __real__ZN15GCToEEInterface11GcStartWorkEii(int generation, int most);
HIDDEN void __wrap__ZN15GCToEEInterface11GcStartWorkEii(int generation, int most)
{
    all.generation = generation;
    __real__ZN15GCToEEInterface11GcStartWorkEii(generation, most);
}

void __real__ZN15GCToEEInterface9RestartEEEb(_Bool finished);
HIDDEN void __wrap__ZN15GCToEEInterface9RestartEEEb(_Bool finished)
{
    if (clock_of_pause != NONE) {
        int64_t number = all.count;
        int64_t now = ticks(clock_of_pause);
        all.last[number % KEPT] = (struct pause){ began, stood, now, all.generation };
        all.ticks += now - began;
        __atomic_store_n(&all.count, number + 1, __ATOMIC_RELEASE);
    }
    __real__ZN15GCToEEInterface9RestartEEEb(finished);
}
