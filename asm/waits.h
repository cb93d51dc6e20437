// What the files here have for one another: who may park, and the monitor as a lock (waits.c); what calls on
// sockets tell of them (events.c).

#ifndef WEFT_WAITS_H
#define WEFT_WAITS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define HIDDEN   __attribute__((visibility("hidden")))
#define NO_LIMIT (-1)

#define PAL_SUCCESS 0                   // The base library's number, as the others that begin so.

struct queue { struct waiter *first, *last; };

struct monitor {
    pthread_mutex_t guard;
    int held;                           // By how many: one, unless
    int more;                           // so many more may hold it at once.
    struct queue acquirers, waiters;
};

// The calling goroutine; NULL on other threads, in a critical section, and where the setting says so.
HIDDEN char *weft_may_park(void);

// What the calling goroutine does until it next calls a hook, or returns, does not block; or it may, after
// all. For sysmon, which takes the processor from who is long in native code. Nothing on other threads.
HIDDEN void weft_call_is_short(void);
HIDDEN void weft_call_may_block(void);

// 0 for a time-out. Whoever holds it may stop, and go on in another thread. A hook may be called inside.
HIDDEN int weft_monitor_acquire(struct monitor *m, int timeout_ms);
HIDDEN void weft_monitor_release(struct monitor *m);

// Before the base library gets to know it. Any thread.
HIDDEN void weft_write_would_block(int fd);
HIDDEN void weft_connect_in_progress(int fd);
HIDDEN void weft_has_sent(int fd);
HIDDEN void weft_forget_registration(int fd);   // The descriptor is about to be closed.

#endif
