// The base library's calls on sockets and pipes that may block: on a goroutine they park it.
//
// A socket that was ever used asynchronously is in non-blocking mode, and its synchronous calls wait in an
// event (waits.c), of which a thread of .NET's is told. That costs 10 us and more: event, lock and condition
// are made for each wait. A synchronous receive tells by its form that it is one (is_synchronous), and waits
// here first: for a second, or an eighth of its time-out; then .NET waits, and where it tries again it waits
// here again. So where a form should ever mislead a call comes back late, but it comes back (HACKING, trap
// bu). Only a stream's: a datagram socket that is shut down, as for a close, is readable and still would
// block who may not, and what is tried after that finds the base library's record of the socket gone.
//
// All others block in the functions of libSystem.Native that those below stand in front of.
// Each tries without blocking, and waits in Weft's poller in between (sched/SocketWait.cs).
//
//   file    a descriptor that a goroutine used so, until it is closed. It has what the poller reports, from
//           when somebody had to wait
//   side    of a file, for reading or for writing: who holds it tries and waits, the others stand in line.
//           So each report wakes one, who passes the side on when it is done, and the next one tries
//   wait    one call, on the stack of its goroutine
//
//   try; would block? --> wait_again: stand in line for the side; try; would block? --> the poller; try ...
//
// The poller reports a file once each time it is armed, at once if it is ready already. Who waits arms it,
// after a try that failed, so no report is lost; and who is woken for nothing tries, and arms it again.
// If poll(2) says "ready" and a try still fails, twice, the poller knows nothing of what is missing (a full
// queue at the other end of a datagram socket), and the thread blocks.
//
// Receive and Send have a flag for "without blocking". Accept, Read and Write have none: they ask poll(2)
// first, with the side held, so that no goroutine takes what another has seen. A plain thread may; then the
// goroutine blocks its own. Write blocks only beyond what a pipe takes at once, so it writes that much at a
// time; SendFile likewise. Connect is started in non-blocking mode, and asked again by the same call when it
// is over.
//
// Poll of several descriptors, or for urgent data, has no one file to wait on: they are put into an epoll
// instance, for this call, which is one.
//
// SO_RCVTIMEO and SO_SNDTIMEO count from the first try, and end in what the kernel says then: EAGAIN, and
// EINPROGRESS of a connect. In non-blocking mode nobody waits but a synchronous receive, as said above.
//
// The base library closes a socket after all calls on it have ended, which it sees to by a shutdown: the
// poller reports that. Where a number is closed all the same, or has become another file's (the poller's
// record is gone then, and the next one to arm it finds out), those who waited get EBADF, and not a byte of
// the other file.
//
// In a call of hooks the goroutine may change threads: errno is read and written in functions of their own,
// which are not inlined. None of these functions is called as a leaf (HACKING, trap bm).
//
// Rejected: to register for each wait and forget afterwards (two calls more for each, and some 4 us); edges
// that are reported until the close, as net/ has it (events for nobody, where a thread goes on with it); a
// duplicate of the descriptor for each wait (twice as many, and a socket that is closed stays open);
// non-blocking mode for all (other processes may share the file). For Select: to wait in all the files at
// once (their sides are held by who receives meanwhile). For SendFile: non-blocking mode while it lasts.
// Locks: a bucket's, for its files and what the poller knows of them; a side's, which comes before it.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "waits.h"

// The numbers of the base library, where they are not the system's.
#define PAL_EAGAIN      0x10006
#define PAL_DONTWAIT    0x1000
#define PAL_ERRORQUEUE  0x2000          // Never blocks.

#define BUCKETS         64
#define NS_PER_MS       1000000L
#define NS_PER_SECOND   1000000000L
#define NEVER           INT64_MAX
#define MOST_BEFORE_EVENT NS_PER_SECOND // What a synchronous call waits here in non-blocking mode; and
#define PART_BEFORE_EVENT 8             // at most this part of its time-out, which .NET counts from then on.
#define UNKNOWN         0

enum mode { READ, WRITE };

// How a wait ended, if not by a success.
enum outcome { NONE, EXPIRED, NON_BLOCKING, CLOSED, BLOCK };

// What hooks.wait returns; or -ENOMEM.
enum { REPORTED, TIME_OVER };

struct file {
    struct file *next;                  // In its bucket.
    int fd;
    int users;                          // Under the bucket's lock, as all but waiting and gone.
    int waiting;                        // In which directions somebody does: 1 << mode.
    int gone;                           // Not in its bucket: CLOSED, or BLOCK. Only ever set.
    void *record;                       // The poller's. NULL: nobody has had to wait.
    struct monitor sides[2];
};

struct wait {
    int fd;
    enum mode mode;
    int exact;                          // The try is poll(2) itself.
    int synchronous;                    // It waits a while in non-blocking mode, too.
    int64_t end;                        // Of CLOCK_MONOTONIC, in ns; or UNKNOWN.
    struct file *file;                  // Not NULL: the side is held.
    int waited;                         // The poller has reported something.
    int doubted;                        // It was ready, and a try failed.
    enum outcome outcome;
};

static struct bucket { struct monitor lock; struct file *files; } buckets[BUCKETS] =
    { [0 ... BUCKETS - 1] = { .lock = { .guard = PTHREAD_MUTEX_INITIALIZER } } };
static int file_count;

// C# stores these at start (sched/SocketWait.cs).
static struct socket_hooks {
    int (*arm)(int fd, int directions, void **record); // 0 or -errno. -ENOENT: another file has the number.
    int (*wait)(void *record, int mode, int64_t end);
    void (*forget)(void *record, int fd);       // It is not reported any more. Who waits goes on.
    void (*give)(void *record);                 // Nobody waits, or will.
} hooks;

HIDDEN void *weft_socket_hooks(void)
{
    return &hooks;
}

int32_t SystemNative_ConvertErrorPlatformToPal(int32_t error);

static __attribute__((noinline)) int get_errno(void)
{
    return errno;
}

static __attribute__((noinline)) void set_errno(int error)
{
    errno = error;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_SECOND + t.tv_nsec;
}

// What poll(2) says at once; not 0 where it cannot tell, as the call itself then says why. A signal that
// comes meanwhile says nothing, although poll(2) ends by it even where it does not wait: trap cp.
static __attribute__((noinline)) int ready_now(const struct wait *w)
{
    struct pollfd p = { w->fd, w->mode == READ ? POLLIN : POLLOUT, 0 };
    int count;
    do
        count = poll(&p, 1, 0);
    while (count < 0 && errno == EINTR);
    return count < 0 ? POLLERR : p.revents;
}

static __attribute__((noinline)) int is_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || (flags & O_NONBLOCK) != 0;
}

static __attribute__((noinline)) int socket_option(int fd, int option)
{
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : 0;
}

static __attribute__((noinline)) void find_end(struct wait *w)
{
    struct timeval limit = { 0, 0 };
    socklen_t size = sizeof limit;
    int error = getsockopt(w->fd, SOL_SOCKET, w->mode == READ ? SO_RCVTIMEO : SO_SNDTIMEO, &limit, &size);
    int64_t ns = limit.tv_sec * NS_PER_SECOND + limit.tv_usec * 1000L;
    w->end = error != 0 || ns == 0 ? NEVER : now() + ns;
}

static void find_end_before_event(struct wait *w)
{
    find_end(w);
    int64_t start = now(), most = MOST_BEFORE_EVENT;
    if (w->end != NEVER && (w->end - start) / PART_BEFORE_EVENT < most)
        most = (w->end - start) / PART_BEFORE_EVENT;
    w->end = start + most;
}

// How long until the end, rounded up; 0 when it is over.
static int time_left_ms(const struct wait *w)
{
    if (w->end == NEVER)
        return NO_LIMIT;
    int64_t ms = (w->end - now() + NS_PER_MS - 1) / NS_PER_MS;
    return ms <= 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

static struct bucket *bucket_of(int fd)
{
    return &buckets[(unsigned)fd % BUCKETS];
}

static struct file **place_of(int fd)
{
    struct file **place = &bucket_of(fd)->files;
    while (*place != NULL && (*place)->fd != fd)
        place = &(*place)->next;
    return place;
}

static void free_file(struct file *f)
{
    if (f->record != NULL)
        hooks.give(f->record);
    pthread_mutex_destroy(&f->sides[READ].guard);
    pthread_mutex_destroy(&f->sides[WRITE].guard);
    free(f);
    __atomic_sub_fetch(&file_count, 1, __ATOMIC_SEQ_CST);
}

// No longer the file of that number. Who waits goes on, with that outcome.
static void expel(struct file **place, enum outcome outcome)
{
    struct file *f = *place;
    *place = f->next;
    __atomic_store_n(&f->gone, outcome, __ATOMIC_SEQ_CST);
    if (f->record != NULL)
        hooks.forget(f->record, f->fd);
}

// Who used it is told; the last of them frees it.
static void drop(int fd, enum outcome outcome)
{
    struct bucket *b = bucket_of(fd);
    weft_monitor_acquire(&b->lock, NO_LIMIT);
    struct file **place = place_of(fd), *f = *place;
    int unused = 0;
    if (f != NULL) {
        expel(place, outcome);
        unused = f->users == 0;
    }
    weft_monitor_release(&b->lock);
    if (unused)
        free_file(f);
}

// The file of that number, with one user more; or NULL.
static struct file *take_file(int fd)
{
    struct bucket *b = bucket_of(fd);
    weft_monitor_acquire(&b->lock, NO_LIMIT);
    struct file **place = place_of(fd), *f = *place;
    int waiting = f == NULL ? 0 : __atomic_load_n(&f->waiting, __ATOMIC_ACQUIRE);
    if (waiting != 0 && hooks.arm(fd, waiting, &f->record) == -ENOENT) {
        expel(place, CLOSED);           // Those wait on another one.
        place = place_of(fd);
        f = NULL;
    }
    if (f == NULL && (f = calloc(1, sizeof *f)) != NULL) {
        f->fd = fd;
        pthread_mutex_init(&f->sides[READ].guard, NULL);
        pthread_mutex_init(&f->sides[WRITE].guard, NULL);
        f->next = *place;
        *place = f;
        __atomic_add_fetch(&file_count, 1, __ATOMIC_SEQ_CST);
    }
    if (f != NULL)
        f->users++;
    weft_monitor_release(&b->lock);
    return f;
}

static void give_file(struct file *f)
{
    struct bucket *b = bucket_of(f->fd);
    weft_monitor_acquire(&b->lock, NO_LIMIT);
    int unused = --f->users == 0 && f->gone;
    weft_monitor_release(&b->lock);
    if (unused)
        free_file(f);
}

// Has the poller report the wait's direction, once. False when it cannot.
static int arm(struct wait *w)
{
    struct bucket *b = bucket_of(w->fd);
    struct file *f = w->file;
    int error = 0;
    weft_monitor_acquire(&b->lock, NO_LIMIT);
    if (!f->gone) {
        // Who is not among the others has done with the record: pairs with wait_again.
        int others = __atomic_fetch_or(&f->waiting, 1 << w->mode, __ATOMIC_ACQUIRE);
        error = hooks.arm(w->fd, others | 1 << w->mode, &f->record);
        if (error == -ENOENT && others == 0 && !w->waited) {
            // Nobody waits on the one that had the number before, and was closed past us.
            void *record = f->record;
            f->record = NULL;
            hooks.give(record);
            error = hooks.arm(w->fd, 1 << w->mode, &f->record);
        } else if (error == -ENOENT) {
            expel(place_of(w->fd), CLOSED);
            error = 0;
        }
    }
    weft_monitor_release(&b->lock);
    return error == 0;
}

// Stands in line for the side. False: see outcome. Whether somebody else had it: in_line.
static int enter(struct wait *w, int *in_line)
{
    struct file *f = take_file(w->fd);
    if (f == NULL) {
        w->outcome = BLOCK;
        return 0;
    }
    *in_line = !weft_monitor_acquire(&f->sides[w->mode], 0);
    if (*in_line) {
        if (w->end == UNKNOWN)
            find_end(w);
        int left = time_left_ms(w);
        if (left == 0 || !weft_monitor_acquire(&f->sides[w->mode], left)) {
            give_file(f);
            w->outcome = EXPIRED;
            return 0;
        }
    }
    w->file = f;
    return 1;
}

// Ends what wait_again or enter began. With errno as it is.
static void leave(struct wait *w)
{
    struct file *f = w->file;
    if (f == NULL)
        return;
    int error = get_errno();
    w->file = NULL;
    weft_monitor_release(&f->sides[w->mode]);
    give_file(f);
    set_errno(error);
}

static int is_gone(struct wait *w)
{
    int gone = __atomic_load_n(&w->file->gone, __ATOMIC_SEQ_CST);
    if (gone)
        w->outcome = gone;
    return gone;
}

// After a try that would have blocked: true when it is to be tried again. Else the outcome says why not, and
// the caller acts on that after leave.
static int wait_again(struct wait *w)
{
    if (w->file == NULL) {
        int in_line;
        if (!w->exact && is_non_blocking(w->fd)) {
            if (!w->synchronous || socket_option(w->fd, SO_TYPE) != SOCK_STREAM) {
                w->outcome = NON_BLOCKING;
                return 0;
            }
            find_end_before_event(w);
        }
        if (!enter(w, &in_line))
            return 0;
        if (in_line)
            return !is_gone(w);         // Who had it may have left something.
    }
    if (!w->exact && w->waited && ready_now(w)) {
        if (++w->doubted == 1)
            return 1;
        w->outcome = BLOCK;
        return 0;
    }
    w->doubted = 0;
    if (w->end == UNKNOWN)
        find_end(w);
    if (!arm(w)) {
        w->outcome = BLOCK;
        return 0;
    }
    if (is_gone(w))
        return 0;
    int result = hooks.wait(w->file->record, w->mode, w->end);
    __atomic_fetch_and(&w->file->waiting, ~(1 << w->mode), __ATOMIC_RELEASE);
    if (is_gone(w))
        return 0;
    w->waited = 1;
    w->outcome = result == REPORTED ? NONE : result == TIME_OVER ? EXPIRED : BLOCK;
    return w->outcome == NONE;
}

// What is linked in the place of libSystem.Native's functions, with their contracts.

// The result of one that returns an error of the base library's, and what the kernel says at a time-out.
static int32_t finish(struct wait *w, int32_t result, int32_t expired)
{
    leave(w);
    return w->outcome == EXPIRED ? expired
        : w->outcome == CLOSED ? SystemNative_ConvertErrorPlatformToPal(EBADF)
        : result;
}

static int is_to_wait(int32_t flags)
{
    return (flags & (PAL_DONTWAIT | PAL_ERRORQUEUE)) == 0 && weft_may_park() != NULL;
}

// What the result of a call on a socket means to the base library's own thread.
static int32_t tell(enum mode mode, int fd, int32_t result)
{
    if (mode == WRITE && result == PAL_EAGAIN)
        weft_write_would_block(fd);
    else if (mode == WRITE && result == PAL_SUCCESS)
        weft_has_sent(fd);
    return result;
}

struct io_vector { char *base; uintptr_t size; };

// The base library's, of a call that receives a message.
struct message {
    void *address;
    struct io_vector *vectors;
    void *control;
    int32_t address_size, vector_count, control_size, flags;
};

// Whether who receives it waits for it. .NET receives into one buffer by this call where it is synchronous,
// and by Receive where it is not, or may not wait. Into a list of buffers it receives by this one always;
// there the vectors lie in memory that was asked for on the way, further down the stack or on the heap. The
// one of a single buffer is a local above the header, in a small frame.
static int is_synchronous(const struct message *m)
{
    if (m == NULL)
        return 0;                       // The call itself then says why.
    uintptr_t distance = (uintptr_t)m->vectors - (uintptr_t)m;
    return m->vector_count == 1 && m->address_size == 0 && m->control_size == 0
        && distance >= sizeof *m && distance < 2 * sizeof *m;
}

// Those that have a flag for "without blocking": tried with it until there is an answer.
#define BY_FLAG(name, its_mode, its_form, call, ...)                                    \
    int32_t __real_SystemNative_##name(__VA_ARGS__);                                    \
    HIDDEN int32_t __wrap_SystemNative_##name(__VA_ARGS__)                              \
    {                                                                                   \
        if (!is_to_wait(flags))                                                         \
            return tell(its_mode, (int)fd, call(name, flags));                          \
        struct wait w = { .fd = (int)fd, .mode = its_mode, .synchronous = its_form };   \
        int32_t result;                                                                 \
        do {                                                                            \
            weft_call_is_short();                                                       \
            result = call(name, flags | PAL_DONTWAIT);                                  \
        } while (result == PAL_EAGAIN && wait_again(&w));                               \
        result = finish(&w, result, PAL_EAGAIN);                                        \
        if (w.outcome != BLOCK)                                                         \
            return tell(its_mode, (int)fd, result);                                     \
        weft_call_may_block();                                                          \
        return call(name, flags);                                                       \
    }
#define OF_BYTES(name, flags)   __real_SystemNative_##name(fd, buffer, size, flags, count)
#define OF_MESSAGE(name, flags) __real_SystemNative_##name(fd, message, flags, count)

BY_FLAG(Receive, READ, 0, OF_BYTES, intptr_t fd, void *buffer, int32_t size, int32_t flags, int32_t *count)
BY_FLAG(Send, WRITE, 0, OF_BYTES, intptr_t fd, void *buffer, int32_t size, int32_t flags, int32_t *count)
BY_FLAG(ReceiveMessage, READ, is_synchronous(message), OF_MESSAGE,
        intptr_t fd, struct message *message, int32_t flags, int64_t *count)
BY_FLAG(SendMessage, WRITE, 0, OF_MESSAGE,
        intptr_t fd, struct message *message, int32_t flags, int64_t *count)

// For those that have no form without blocking: with the side held, waits until it can be done at once.
static void wait_until_ready(struct wait *w)
{
    int in_line;
    if (w->file != NULL || enter(w, &in_line))
        while (!is_gone(w) && !ready_now(w) && wait_again(w))
            ;
}

int32_t __real_SystemNative_Accept(intptr_t fd, void *address, int32_t *size, intptr_t *accepted);
HIDDEN int32_t __wrap_SystemNative_Accept(intptr_t fd, void *address, int32_t *size, intptr_t *accepted)
{
    if (weft_may_park() == NULL || accepted == NULL || is_non_blocking((int)fd))
        return __real_SystemNative_Accept(fd, address, size, accepted);
    struct wait w = { .fd = (int)fd, .mode = READ, .exact = 1 };
    wait_until_ready(&w);
    *accepted = -1;
    int32_t result = w.outcome == NONE ? __real_SystemNative_Accept(fd, address, size, accepted) : 0;
    result = finish(&w, result, PAL_EAGAIN);
    return w.outcome == BLOCK ? __real_SystemNative_Accept(fd, address, size, accepted) : result;
}

int32_t __real_SystemNative_Connect(intptr_t fd, void *address, int32_t size);

// The same call once more, which blocks. Where its time runs out the kernel says EALREADY, not EINPROGRESS as
// after the first, and .NET makes another error of that.
static int32_t connect_again(intptr_t fd, void *address, int32_t size)
{
    int32_t result = __real_SystemNative_Connect(fd, address, size);
    return result == SystemNative_ConvertErrorPlatformToPal(EALREADY)
        ? SystemNative_ConvertErrorPlatformToPal(EINPROGRESS) : result;
}

// How a connect ended that was ready with these events: as the kernel's own blocking connect does it.
static int32_t connected(intptr_t fd, void *address, int32_t size, int events)
{
    if ((events & (POLLERR | POLLHUP)) == 0)
        return connect_again(fd, address, size);
    int error = socket_option((int)fd, SO_ERROR);
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    connect((int)fd, &none, sizeof none); // Or the next connect ends in ECONNABORTED.
    return SystemNative_ConvertErrorPlatformToPal(error != 0 ? error : ECONNABORTED);
}

HIDDEN int32_t __wrap_SystemNative_Connect(intptr_t fd, void *address, int32_t size)
{
    int flags;
    int32_t result, in_progress = SystemNative_ConvertErrorPlatformToPal(EINPROGRESS);
    if (weft_may_park() == NULL || address == NULL || socket_option((int)fd, SO_TYPE) != SOCK_STREAM
        || (flags = fcntl((int)fd, F_GETFL)) < 0 || (flags & O_NONBLOCK) != 0) {
        result = __real_SystemNative_Connect(fd, address, size);
        if (result == in_progress)
            weft_connect_in_progress((int)fd);
        return result;
    }
    struct wait w = { .fd = (int)fd, .mode = WRITE, .exact = 1 };
    fcntl((int)fd, F_SETFL, flags | O_NONBLOCK);
    result = __real_SystemNative_Connect(fd, address, size);
    fcntl((int)fd, F_SETFL, flags);
    if (result == PAL_EAGAIN)
        return __real_SystemNative_Connect(fd, address, size); // The queue of a Unix socket: none can tell.
    if (result != in_progress)
        return result;
    wait_until_ready(&w);
    if (w.outcome == NONE)
        result = connected(fd, address, size, ready_now(&w));
    result = finish(&w, result, in_progress);
    return w.outcome == BLOCK ? connect_again(fd, address, size) : result;
}

// The count that a call of read or write returns; -1 and errno.
static int64_t finish_io(struct wait *w, int64_t result)
{
    leave(w);
    if (w->outcome != EXPIRED && w->outcome != CLOSED)
        return result;
    set_errno(w->outcome == CLOSED ? EBADF : EAGAIN);
    return -1;
}

// The rest of a call of read or write that is done once it can be done at once.
#define RETURN_WHEN_READY(its_fd, its_mode, call)                                       \
    do {                                                                                \
        struct wait w = { .fd = (int)(its_fd), .mode = its_mode, .exact = 1 };          \
        wait_until_ready(&w);                                                           \
        int64_t result = finish_io(&w, w.outcome == NONE ? call : 0);                   \
        return w.outcome == BLOCK ? call : result;                                      \
    } while (0)

int32_t __real_SystemNative_Read(intptr_t fd, void *buffer, int32_t size);
HIDDEN int32_t __wrap_SystemNative_Read(intptr_t fd, void *buffer, int32_t size)
{
    if (weft_may_park() == NULL || size <= 0 || is_non_blocking((int)fd))
        return __real_SystemNative_Read(fd, buffer, size);
    RETURN_WHEN_READY(fd, READ, __real_SystemNative_Read(fd, buffer, size));
}

// Console's, of a terminal.
int32_t __real_SystemNative_ReadStdin(void *buffer, int32_t size);
HIDDEN int32_t __wrap_SystemNative_ReadStdin(void *buffer, int32_t size)
{
    if (weft_may_park() == NULL || size <= 0 || is_non_blocking(STDIN_FILENO))
        return __real_SystemNative_ReadStdin(buffer, size);
    RETURN_WHEN_READY(STDIN_FILENO, READ, __real_SystemNative_ReadStdin(buffer, size));
}

// How much can be written at once where poll(2) says that something can. More need not be one piece.
static __attribute__((noinline)) int32_t most_at_once(int fd, int32_t size)
{
    return size > PIPE_BUF && fcntl(fd, F_GETPIPE_SZ) > 0 ? PIPE_BUF : size;
}

int32_t __real_SystemNative_Write(intptr_t fd, const void *buffer, int32_t size);
HIDDEN int32_t __wrap_SystemNative_Write(intptr_t fd, const void *buffer, int32_t size)
{
    if (weft_may_park() == NULL || size <= 0 || is_non_blocking((int)fd))
        return __real_SystemNative_Write(fd, buffer, size);
    struct wait w = { .fd = (int)fd, .mode = WRITE, .exact = 1 };
    int32_t most = most_at_once((int)fd, size), done = 0, result = 0;
    while (done < size) {
        wait_until_ready(&w);
        if (w.outcome != NONE)
            break;
        int32_t piece = size - done < most ? size - done : most;
        result = __real_SystemNative_Write(fd, (const char *)buffer + done, piece);
        if (result <= 0)
            break;
        done += result;
    }
    result = (int32_t)finish_io(&w, result);
    if (w.outcome == BLOCK)
        result = __real_SystemNative_Write(fd, (const char *)buffer + done, size - done);
    return w.outcome == BLOCK && result > 0 ? done + result : done > 0 ? done : result;
}

// Socket.Poll and Select; Console's output to what is in non-blocking mode.
struct poll_event { int32_t fd; int16_t events, triggered; };

// What the poller can report of the descriptor itself.
static int is_simple(const struct poll_event *e, uint32_t count)
{
    int events = e->events & (POLLIN | POLLPRI | POLLOUT);
    return count == 1 && e->fd >= 0 && (events == POLLIN || events == POLLOUT);
}

// An epoll instance that can be read when one of them is ready; or -1.
static __attribute__((noinline)) int gather(const struct poll_event *events, uint32_t count)
{
    int all = epoll_create1(EPOLL_CLOEXEC), error = all < 0;
    for (uint32_t i = 0; i < count && !error; i++) {
        struct epoll_event wanted = { .events = events[i].events & (POLLIN | POLLPRI | POLLOUT) };
        if (events[i].fd < 0)
            continue;                   // poll(2) skips it.
        error = epoll_ctl(all, EPOLL_CTL_ADD, events[i].fd, &wanted);
        if (error && errno == EEXIST) {
            for (uint32_t k = 0; k < i; k++)
                if (events[k].fd == events[i].fd)
                    wanted.events |= events[k].events & (POLLIN | POLLPRI | POLLOUT);
            error = epoll_ctl(all, EPOLL_CTL_MOD, events[i].fd, &wanted);
        }
    }
    if (!error)
        return all;
    if (all >= 0)
        close(all);
    return -1;
}

int32_t __real_SystemNative_Close(intptr_t fd);
HIDDEN int32_t __wrap_SystemNative_Close(intptr_t fd);

int32_t __real_SystemNative_Poll(
    struct poll_event *events, uint32_t count, int32_t timeout_ms, uint32_t *triggered);
HIDDEN int32_t __wrap_SystemNative_Poll(
    struct poll_event *events, uint32_t count, int32_t timeout_ms, uint32_t *triggered)
{
    if (count == 0 || timeout_ms == 0 || timeout_ms < NO_LIMIT || events == NULL || triggered == NULL
        || weft_may_park() == NULL)
        return __real_SystemNative_Poll(events, count, timeout_ms, triggered);
    int simple = is_simple(events, count), gathered = -1;
    struct wait w = { .mode = simple && events->events & POLLOUT ? WRITE : READ, .exact = 1 };
    w.end = timeout_ms < 0 ? NEVER : now() + timeout_ms * NS_PER_MS;
    w.fd = events->fd;
    int32_t result;
    do {
        result = __real_SystemNative_Poll(events, count, 0, triggered);
        if (result != PAL_SUCCESS || *triggered != 0)
            break;
        if (!simple && gathered < 0) {
            w.fd = gathered = gather(events, count);
            w.outcome = gathered < 0 ? BLOCK : NONE;
        }
    } while (w.outcome == NONE && wait_again(&w));
    result = finish(&w, result, PAL_SUCCESS);
    if (gathered >= 0)
        __wrap_SystemNative_Close(gathered);
    return w.outcome == BLOCK ? __real_SystemNative_Poll(events, count, time_left_ms(&w), triggered) : result;
}

// As much at a time as a socket that can be written to takes: at least a third of its buffer is free then.
// The caller comes again for the rest.
int32_t __real_SystemNative_SendFile(intptr_t fd, intptr_t from, int64_t offset, int64_t size, int64_t *sent);
HIDDEN int32_t __wrap_SystemNative_SendFile(
    intptr_t fd, intptr_t from, int64_t offset, int64_t size, int64_t *sent)
{
    if (weft_may_park() == NULL || size <= 0 || is_non_blocking((int)fd))
        return tell(WRITE, (int)fd, __real_SystemNative_SendFile(fd, from, offset, size, sent));
    struct wait w = { .fd = (int)fd, .mode = WRITE, .exact = 1 };
    int64_t most = socket_option((int)fd, SO_SNDBUF) / 4;
    most = most < PIPE_BUF ? PIPE_BUF : most;
    wait_until_ready(&w);
    *sent = 0;
    int32_t result = w.outcome == NONE
        ? __real_SystemNative_SendFile(fd, from, offset, size < most ? size : most, sent) : 0;
    result = finish(&w, result, PAL_EAGAIN);
    return w.outcome == BLOCK ? __real_SystemNative_SendFile(fd, from, offset, size, sent) : result;
}

// Who waits on the number all the same is told, before it can be another file's.
HIDDEN int32_t __wrap_SystemNative_Close(intptr_t fd)
{
    if (__atomic_load_n(&file_count, __ATOMIC_SEQ_CST) != 0)
        drop((int)fd, CLOSED);
    weft_forget_registration((int)fd);
    return __real_SystemNative_Close(fd);
}

// Somebody else wants it in the poller (sched/SocketWait.cs). Who waits on it blocks its thread.
HIDDEN void weft_forget_descriptor(int fd)
{
    drop(fd, BLOCK);
}

#if WEFT_DOTNET >= 11

// On what is in non-blocking mode .NET 11 waits by poll(2) in these.

int32_t __real_SystemNative_ReadFromNonblocking(intptr_t fd, void *buffer, int32_t size);
HIDDEN int32_t __wrap_SystemNative_ReadFromNonblocking(intptr_t fd, void *buffer, int32_t size)
{
    if (weft_may_park() == NULL || size <= 0)
        return __real_SystemNative_ReadFromNonblocking(fd, buffer, size);
    RETURN_WHEN_READY(fd, READ, __real_SystemNative_ReadFromNonblocking(fd, buffer, size));
}

int32_t __real_SystemNative_WriteToNonblocking(intptr_t fd, const void *buffer, int32_t size);
HIDDEN int32_t __wrap_SystemNative_WriteToNonblocking(intptr_t fd, const void *buffer, int32_t size)
{
    if (weft_may_park() == NULL || size <= 0)
        return __real_SystemNative_WriteToNonblocking(fd, buffer, size);
    RETURN_WHEN_READY(fd, WRITE, __real_SystemNative_WriteToNonblocking(fd, buffer, size));
}

// Of one handle's several buffers.

int64_t __real_SystemNative_ReadV(intptr_t fd, struct io_vector *vectors, int32_t count);
HIDDEN int64_t __wrap_SystemNative_ReadV(intptr_t fd, struct io_vector *vectors, int32_t count)
{
    if (weft_may_park() == NULL || count <= 0)
        return __real_SystemNative_ReadV(fd, vectors, count);
    RETURN_WHEN_READY(fd, READ, __real_SystemNative_ReadV(fd, vectors, count));
}

// What a pipe need not take at once goes one buffer at a time: the caller comes again for the rest.
int64_t __real_SystemNative_WriteV(intptr_t fd, struct io_vector *vectors, int32_t count);
HIDDEN int64_t __wrap_SystemNative_WriteV(intptr_t fd, struct io_vector *vectors, int32_t count)
{
    if (weft_may_park() == NULL || count <= 0)
        return __real_SystemNative_WriteV(fd, vectors, count);
    uintptr_t size = 0;
    for (int32_t i = 0; i < count && size <= INT_MAX; i++)
        size += vectors[i].size < INT_MAX ? vectors[i].size : INT_MAX;
    int32_t all = size < INT_MAX ? (int32_t)size : INT_MAX;
    if (most_at_once((int)fd, all) == all)
        RETURN_WHEN_READY(fd, WRITE, __real_SystemNative_WriteV(fd, vectors, count));
    while (vectors->size == 0)
        vectors++;
    int32_t first = vectors->size < INT_MAX ? (int32_t)vectors->size : INT_MAX;
    return is_non_blocking((int)fd)
        ? __wrap_SystemNative_WriteToNonblocking(fd, vectors->base, first)
        : __wrap_SystemNative_Write(fd, vectors->base, first);
}

#endif
