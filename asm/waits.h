// What waits.c has and sockets.c and lookups.c use: who may park, and the monitor as a lock.

#ifndef WEFT_WAITS_H
#define WEFT_WAITS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define HIDDEN   __attribute__((visibility("hidden")))
#define NO_LIMIT (-1)

struct queue { struct waiter *first, *last; };

struct monitor {
    pthread_mutex_t guard;
    int held;                           // By how many: one, unless
    int more;                           // so many more may hold it at once.
    struct queue acquirers, waiters;
};

// The calling goroutine; NULL on other threads, in a critical section, and where the setting says so.
HIDDEN char *weft_may_park(void);

// 0 for a time-out. Whoever holds it may stop, and go on in another thread. A hook may be called inside.
HIDDEN int weft_monitor_acquire(struct monitor *m, int timeout_ms);
HIDDEN void weft_monitor_release(struct monitor *m);

#endif
