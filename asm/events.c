// For what the base library's sockets are reported to its own thread, ".NET Sockets".
//
// A socket that was ever used asynchronously, or in non-blocking mode, is in that thread's epoll for good,
// from its first wait on, for reading and for writing. So each time that something has come it is reported
// as writable too, and nobody waits for that: the thread gives it to the thread pool to find out, whose
// threads then spin for more. Where goroutines do the work these are changes of threads for nothing: two for
// each query to a database. So what a goroutine registers is registered for reading, until a call that writes
// would block:
//
//   0 ---registered by a goroutine---> NARROW ---would block---> 0    (registered for writing too)
//   0 ---would block---> BLOCKED ---registered---> 0                  (for both, as was asked)
//   0 ---a connect is in progress---> CONNECTING ---something was sent---> 0
//                                         `------registered------> 0  (for both)
//
// No report is lost: who finds that a call would block makes the change before the base library gets to know
// it, and a change has the kernel look again.
//
// Rejected: to wait in Weft's poller, as sockets.c does for sockets in blocking mode (the call does not tell
// whether it is a synchronous one).
// Locks: one, for all changes of states. It is never held while somebody waits.

#include "waits.h"

#define MOST_DESCRIPTORS 65536          // Those above are registered for both.

#define FOR_READING 1                   // The base library's numbers.
#define FOR_WRITING 2

enum { NARROW = 1, BLOCKED, CONNECTING };

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static uint8_t states[MOST_DESCRIPTORS]; // Written under the lock.
static struct registration { intptr_t port; uintptr_t data; } registrations[MOST_DESCRIPTORS]; // Of NARROW.

static int has_state(intptr_t fd)
{
    return fd >= 0 && fd < MOST_DESCRIPTORS;
}

static int state_of(int fd)
{
    return has_state(fd) ? __atomic_load_n(&states[fd], __ATOMIC_SEQ_CST) : 0;
}

static void set_state(int fd, int state)
{
    __atomic_store_n(&states[fd], (uint8_t)state, __ATOMIC_SEQ_CST);
}

int32_t __real_SystemNative_TryChangeSocketEventRegistration(
    intptr_t port, intptr_t fd, int32_t from, int32_t to, uintptr_t data);

static void must_report_writable(int fd, int otherwise)
{
    if (!has_state(fd))
        return;
    pthread_mutex_lock(&guard);
    if (states[fd] == NARROW) {
        struct registration *r = &registrations[fd];
        __real_SystemNative_TryChangeSocketEventRegistration(
            r->port, fd, FOR_READING, FOR_READING | FOR_WRITING, r->data);
        otherwise = 0;
    }
    set_state(fd, otherwise);
    pthread_mutex_unlock(&guard);
}

HIDDEN void weft_write_would_block(int fd)
{
    must_report_writable(fd, BLOCKED);
}

HIDDEN void weft_connect_in_progress(int fd)
{
    must_report_writable(fd, CONNECTING);
}

static void forget(int fd, int state)
{
    pthread_mutex_lock(&guard);
    if (states[fd] == state)
        set_state(fd, 0);
    pthread_mutex_unlock(&guard);
}

HIDDEN void weft_has_sent(int fd)
{
    if (state_of(fd) == CONNECTING)
        forget(fd, CONNECTING);
}

HIDDEN void weft_forget_registration(int fd)
{
    int state = state_of(fd);
    if (state != 0)
        forget(fd, state);
}

// What is linked in the place of libSystem.Native's function, with its contract.
HIDDEN int32_t __wrap_SystemNative_TryChangeSocketEventRegistration(
    intptr_t port, intptr_t fd, int32_t from, int32_t to, uintptr_t data)
{
    if (!has_state(fd))
        return __real_SystemNative_TryChangeSocketEventRegistration(port, fd, from, to, data);
    pthread_mutex_lock(&guard);
    int narrow = from == 0 && to == (FOR_READING | FOR_WRITING) && states[fd] != BLOCKED
        && states[fd] != CONNECTING && weft_may_park() != NULL;
    int32_t result = __real_SystemNative_TryChangeSocketEventRegistration(
        port, fd, from, narrow ? FOR_READING : to, data);
    narrow = narrow && result == PAL_SUCCESS;
    if (narrow)
        registrations[fd] = (struct registration){ port, data };
    set_state((int)fd, narrow ? NARROW : 0);
    pthread_mutex_unlock(&guard);
    return result;
}
