/* weft.h: goroutines for C.
 *
 *   #include <weft.h>                                  cc hello.c $(pkg-config --cflags --libs weft)
 *
 * A goroutine is a function that runs concurrently with others on a stack of its own; many share a few
 * threads. weft_go starts one. It runs until it waits in a weft_ function, yields or returns.
 *
 * Words used below:
 *   anywhere    from goroutines and from any thread of the process, also one that Weft did not make
 *   goroutine   from a goroutine only; elsewhere WEFT_ESRCH
 *   waits       a goroutine parks, which costs no thread; any other thread blocks
 *
 * Results are 0 or more, or the negative of an errno (weft_strerror). Every function returns WEFT_ESHUTDOWN
 * before weft_init and after weft_shutdown, WEFT_EINVAL for null where that is not allowed, WEFT_EBADF for a
 * handle that was freed, is none, or is of another kind; this is not repeated below. A pointer to memory must be
 * valid: that cannot be checked.
 *
 * Ends of waits. Functions whose names end in _until take a deadline, a time of weft_now, or WEFT_NEVER: once it
 * has passed they return WEFT_ETIMEDOUT instead of waiting (weft_after gives one). Three more things end a wait
 * of a goroutine: its context, which weft_with sets (WEFT_ECANCELED, or WEFT_ETIMEDOUT when its time has passed);
 * the cancellation of its task or bundle (WEFT_ECANCELED); weft_task_interrupt (WEFT_EINTR, one wait). What needs
 * no wait is done all the same, and what was ended has done nothing. They end all _until functions, weft_sleep,
 * weft_chan_send, weft_chan_recv, weft_select, weft_task_join, weft_bundle_go, weft_bundle_wait, weft_process_wait,
 * the waits of the network, and look-ups of names; weft_dial is one wait from its beginning.
 * They do not end weft_mutex_lock, weft_rwlock_rdlock, weft_rwlock_wrlock, weft_wg_wait, weft_cond_wait,
 * weft_sem_acquire, weft_once_do, weft_run and weft_bundle_free: whoever calls those need not look at the result.
 *
 * Handles (weft_chan * and the like) are not addresses. Freeing one while others wait on it leaves them
 * waiting, but for channels, which are closed first.
 *
 * What C code must know:
 *   - A goroutine may go on in another thread after every weft_ call, but for weft_lock_thread. Thread-local
 *     variables, the value of errno across a weft_ call, pthread mutexes held across one, and thread identities
 *     do not belong to it: weft_local_get, weft_mutex and weft_lock_thread are what replaces them.
 *   - Compilers keep the address of a thread-local variable, errno's too, and the result of pthread_self for a
 *     whole function, and would use them in the wrong thread after a weft_ call. This header defines errno so
 *     that it is looked up each time; include it where a function uses errno and calls what may call weft_,
 *     or have such a function in a file of its own. WEFT_KEEP_ERRNO leaves errno as it is.
 *   - A call that blocks the thread (read, sleep, pthread_mutex_lock) stops its goroutine only; within 10 ms
 *     another thread takes over the others. weft_blocking says so beforehand: 20 us.
 *   - Code that computes for longer than 10 ms is treated the same way: it goes on, on its thread.
 *   - Interpreters keep the state of a thread in thread-local variables. A callback of Python's (ctypes), of
 *     Ruby's and the like that is a goroutine calls weft_lock_thread before anything that waits, and stays
 *     locked until it ends.
 *   - pthread_exit in a goroutine that is locked to its thread ends both; in another it ends the process with a
 *     message: return, or weft_exit.
 *   - Destructors of pthread keys and C++ thread-locals may call weft_ functions. In the fourth round, the last
 *     of a key that is set again each time, such a call ends the process with a message.
 *   - longjmp and C++ exceptions must not leave a goroutine's function, nor pass through a weft_ function. In
 *     catch blocks, and in destructors, weft_ functions may be called: what is caught or on its way is the
 *     goroutine's own. (Not where libstdc++ is linked statically into a library and hidden there.)
 *   - After fork the child may only exec or _exit.
 *   - No weft_ function may be called in a signal handler.
 *   - The rounding mode (mxcsr, x87 control word) is the goroutine's own.
 */
#ifndef WEFT_H
#define WEFT_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__linux__) && !defined(__GLIBC__)
#error "weft.h: libweft needs glibc, and this C library is another one (musl?)"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Where errno of the calling thread is, without the promise that it stays there. Anywhere, always. */
int *weft_errno_location(void);

#ifndef WEFT_KEEP_ERRNO
#undef errno
#define errno (*weft_errno_location())
#endif

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION "0.1.0"

/* The errors: negative values of Linux's errno. */
enum {
    WEFT_OK = 0,
    WEFT_EPERM = -1,        /* unlocked though not locked, a channel that belongs to a timer, and the like */
    WEFT_ESRCH = -3,        /* the caller is not a goroutine */
    WEFT_EINTR = -4,        /* weft_task_interrupt has ended the wait */
    WEFT_EBADF = -9,        /* not a handle, freed, or of another kind */
    WEFT_EAGAIN = -11,      /* the call would have to wait */
    WEFT_ENOMEM = -12,      /* no memory, or a limit of the system (vm.max_map_count, ulimit -v) */
    WEFT_EBUSY = -16,       /* goroutines still exist; another goroutine uses the reader */
    WEFT_EEXIST = -17,      /* another copy of libweft is loaded */
    WEFT_EINVAL = -22,      /* null or out of range */
    WEFT_EPIPE = -32,       /* the channel is closed */
    WEFT_EDEADLK = -35,     /* the caller would wait for itself */
    WEFT_ENODATA = -61,     /* weft_reader_line: the end was reached */
    WEFT_EMSGSIZE = -90,    /* too long: a line for its place, a datagram for the network */
    WEFT_ENOTSUP = -95,     /* not on this system */
    WEFT_ESHUTDOWN = -108,  /* before weft_init, or after weft_shutdown */
    WEFT_ETIMEDOUT = -110,  /* the time has passed */
    WEFT_ECANCELED = -125   /* cancelled */
};

typedef struct weft_chan weft_chan;
typedef struct weft_mutex weft_mutex;
typedef struct weft_rwlock weft_rwlock;
typedef struct weft_wg weft_wg;
typedef struct weft_cond weft_cond;
typedef struct weft_sem weft_sem;
typedef struct weft_timer weft_timer;
typedef struct weft_ctx weft_ctx;
typedef struct weft_task weft_task;
typedef struct weft_bundle weft_bundle;

/* --- beginning, end, version ------------------------------------------------------------------------- */

/* Set size to sizeof(weft_options) and the rest to 0 for the defaults. */
typedef struct weft_options {
    size_t size;
    int maxprocs;           /* how many goroutines run at once; 0: WEFT_MAXPROCS, or all processors */
    int max_threads;        /* threads that run goroutines or are blocked in them; 0: 10000. Others wait for one */
    uint32_t flags;         /* 0 */
    uint32_t reserved;      /* 0 */
} weft_options;

/* Starts Weft; options may be NULL. Anywhere but in a goroutine. May be called again: each call needs its
 * weft_shutdown; options of later calls count too. Takes over SIGURG and SIGSEGV (a handler that was there before
 * gets what is not Weft's), and makes all handlers run on the alternate signal stack: those that
 * exist by then, and what sigaction and signal install later, which libweft has of its own (SA_ONSTACK is added).
 * In a process that has loaded libweft by dlopen, later ones get the flag within 50 ms; give it yourself there.
 * Errors: WEFT_EEXIST another copy is loaded, WEFT_EINVAL, WEFT_ENOTSUP, WEFT_ENOMEM: less than 256 MB of address
 * space is left (ulimit -v). A program that was linked by -static without -Wl,--eh-frame-hdr, which
 * pkg-config --static gives, is WEFT_ENOTSUP, and a line on standard error says so. */
int weft_init(const weft_options *options);

/* Undoes one weft_init. The last one makes every later call fail with WEFT_ESHUTDOWN, until weft_init; handles
 * stay valid across that. The library stays loaded and its threads sleep. Not in a goroutine (WEFT_EPERM).
 * Waits up to 0.2 s for goroutines that are about to end. Errors: WEFT_EBUSY goroutines still exist. */
int weft_shutdown(void);

/* Calls weft_init(NULL), then main_function(argc, argv) in a goroutine with a stack of 8 MB; returns what it
 * returns. Other goroutines are not waited for: return from main, or exit, as in Go. When all goroutines
 * wait and nothing is left that could wake one, the process ends with a report. A wrong WEFT_MAXPROCS or WEFTDEBUG
 * ends it with one line and exit code 2, where weft_init says WEFT_EINVAL. Raises the limit of open descriptors
 * (ulimit -n) to the hard one. Blocks the thread.
 * Errors: those of weft_init; WEFT_ENOMEM. */
int weft_main(int (*main_function)(int argc, char **argv), int argc, char **argv);

/* Runs function(argument) in a goroutine and waits for its end. Anywhere. Errors: WEFT_ENOMEM. */
int weft_run(void (*function)(void *), void *argument);

/* The version of the library, "0.1.0". Anywhere, always. */
const char *weft_version(void);

/* The number of the binary interface, 1. Changes when programs have to be compiled anew. Anywhere, always. */
int weft_abi_version(void);

/* 1 if the library has what the name says: "movable", "preempt", "context", "timer", "net", "task"; else 0.
 * Anywhere, always. */
int weft_has(const char *feature);

/* What a result means, in English. Never NULL. Anywhere, always. */
const char *weft_strerror(int result);

/* --- goroutines -------------------------------------------------------------------------------------- */

enum {
    WEFT_STACK_FIXED = 0,   /* stack_size bytes of address space; pages become memory when touched */
    WEFT_STACK_MOVABLE = 1  /* starts at 2 KB and moves when it grows, up to 256 MB: no address of a local, nor
                               of what alloca gives, may be kept anywhere but on this stack or in
                               registers, by the goroutine's own code nor by what it calls. Code with
                               frames of more than a page, 4 KB, has to be compiled with
                               -fstack-clash-protection, and for arm64 by gcc, whose guard has 64 KB there,
                               with --param=stack-clash-protection-guard-size=12 as well */
};

/* Set size to sizeof(weft_attr) and the rest to 0 for the defaults. */
typedef struct weft_attr {
    size_t size;
    size_t stack_size;      /* 64 KB to 1 GB, rounded up to a power of two; 0: 256 KB */
    int stack_kind;         /* WEFT_STACK_FIXED or WEFT_STACK_MOVABLE */
    uint32_t flags;         /* 0 */
    const char *name;       /* for reports, up to 31 bytes are copied; may be NULL */
} weft_attr;

/* Starts function(argument) in a goroutine with a fixed stack of 256 KB. Anywhere; never waits. A full stack
 * ends the process with a message. Errors: WEFT_ENOMEM. */
int weft_go(void (*function)(void *), void *argument);

/* The same with attributes, which may be NULL. Errors: WEFT_EINVAL, WEFT_ENOMEM. */
int weft_go_with(const weft_attr *attributes, void (*function)(void *), void *argument);

/* Lets other goroutines run. On a thread: sched_yield. */
int weft_yield(void);

/* Waits for at least so many nanoseconds; 0 or less: weft_yield. Errors: WEFT_ENOMEM; those of an ended wait. */
int weft_sleep(int64_t nanoseconds);

/* Ends the calling goroutine; nothing on its stack is unwound. Goroutine. Returns only on an error. */
int weft_exit(void);

/* The calling goroutine's number, unique in the process; 0 on a thread. Anywhere, always. */
int64_t weft_self(void);

/* How many goroutines exist. Anywhere, always. */
int64_t weft_count(void);

/* How many goroutines may run at once; sets it unless count is 0. Returns the value before. 1 to 1024. Setting a
 * smaller one waits until no more than that run. */
int weft_maxprocs(int count);

/* Calls function(argument), in place, and says beforehand that it blocks the thread, so that others take over at
 * once. Anywhere. */
int weft_blocking(void (*function)(void *), void *argument);

/* The code at [start, end) may be interrupted at the end of its time slice (10 ms, if others wait), where it would
 * keep a thread else. It must not hold locks, use thread-local variables (errno is kept), or call what does. Stays
 * for good. Anywhere. Errors: WEFT_ENOMEM there are 64 already.
 *
 * WEFT_PREEMPTIBLE before a function puts it into one section, which weft_preemptible_functions() registers:
 * once in each executable or library. */
int weft_preemptible(const void *start, const void *end);

#if defined(__GNUC__)
#define WEFT_PREEMPTIBLE __attribute__((section("weft_interruptible"), noinline))
#define weft_preemptible_functions()                                                                          \
    (__extension__({                                                                                          \
        extern const char __start_weft_interruptible[] __attribute__((visibility("hidden")));                  \
        extern const char __stop_weft_interruptible[] __attribute__((visibility("hidden")));                   \
        weft_preemptible(__start_weft_interruptible, __stop_weft_interruptible);                                  \
    }))
#endif

/* Keeps the goroutine on the thread that calls, and others off it, until weft_unlock_thread was called as often;
 * its end ends the thread then. Goroutine. Errors: WEFT_ENOMEM locked 32,767 times already, WEFT_EPERM
 * it is not locked. */
int weft_lock_thread(void);
int weft_unlock_thread(void);

/* Writes what every goroutine does to a descriptor: number, state, what it waits for and how long, and its
 * name. Those that do the same are one entry, with how many they are and the numbers of some; with
 * WEFTDEBUG=dumpeach=1 in the environment each has its own. Stops all goroutines for a moment. Anywhere. Errors:
 * WEFT_EINVAL the descriptor is not open for writing, or refuses. */
int weft_dump(int fd);

/* Values that belong to the goroutine, under keys that are made once and stay: 32 of them. end, if not NULL, is
 * called with a value that is not NULL when its goroutine ends. get gives NULL where nothing is set, and on
 * threads. Keys: anywhere; values: goroutine. Errors: WEFT_ENOMEM no key is left. */
int weft_local_key(int *key, void (*end)(void *));
int weft_local_set(int key, void *value);
void *weft_local_get(int key);

/* --- tasks and bundles: goroutines that are waited for ------------------------------------------------------- */

/* Starts function(argument) in a goroutine and gives a handle for it, to weft_task_join or weft_task_free. It
 * begins with the caller's context (weft_with). The attributes may be NULL. *task is written before it starts.
 * Anywhere; never waits. Errors: WEFT_EINVAL, WEFT_ENOMEM. */
int weft_task_go(weft_task **task, const weft_attr *attributes, void *(*function)(void *), void *argument);

/* Waits until a task has ended, and gives what its function returned: NULL if it called weft_exit. The handle is
 * invalid then. result may be NULL. Of several that wait one gets it, and the others WEFT_EBADF. Anywhere.
 * Errors: WEFT_EDEADLK of itself; those of an ended wait: the handle stays. */
int weft_task_join(weft_task *task, void **result);
int weft_task_join_until(weft_task *task, void **result, int64_t deadline);

/* A channel of nothing that is closed when the task has ended: for weft_select. It belongs to the task, and is
 * gone with its handle. Anywhere; never waits. Errors: WEFT_ENOMEM. */
int weft_task_chan(weft_task *task, weft_chan **chan);

/* Cancels a task. From now on its waits end with WEFT_ECANCELED, for good; the task itself goes on, and should
 * return. May be called before the task runs, again, and after its end. Anywhere; never waits. */
int weft_task_cancel(weft_task *task);

/* Interrupts a task. The wait that it is in, or else its next one, ends with WEFT_EINTR, once. Anywhere; never
 * waits. */
int weft_task_interrupt(weft_task *task);

/* Leaves a task to itself: the handle is invalid, the task goes on, and nobody learns of its end. Anywhere; never
 * waits. */
int weft_task_free(weft_task *task);

/* Makes a bundle: goroutines that are started, waited for and cancelled together. At most limit of them run at
 * once; 0: any number. Anywhere; never waits. Errors: WEFT_EINVAL below 0, WEFT_ENOMEM. */
int weft_bundle_make(weft_bundle **bundle, int limit);

/* Starts function(argument) in a goroutine of a bundle; waits while as many as its limit run. If it returns
 * anything but 0 the rest is cancelled: their waits end with WEFT_ECANCELED. (weft_exit counts as 0.) It begins with
 * the caller's context (weft_with). The attributes may be NULL. Anywhere.
 * Errors: WEFT_ECANCELED the bundle is cancelled, WEFT_EINVAL, WEFT_ENOMEM; those of an ended wait. */
int weft_bundle_go(weft_bundle *bundle, const weft_attr *attributes, int (*function)(void *), void *argument);

/* Waits until all goroutines of a bundle have ended, and gives what the first returned that did not return 0,
 * else 0. result may be NULL. More may be started afterwards, unless it is cancelled. Anywhere.
 * Errors: WEFT_EDEADLK the caller is one of them; those of an ended wait: they go on. */
int weft_bundle_wait(weft_bundle *bundle, int *result);
int weft_bundle_wait_until(weft_bundle *bundle, int *result, int64_t deadline);

/* Cancels the goroutines of a bundle, for good. May be called again. Anywhere; never waits. */
int weft_bundle_cancel(weft_bundle *bundle);

/* Cancels the goroutines of a bundle, waits until they have ended, and makes the handle invalid: after it none of
 * them uses anything. Nothing ends this wait. Anywhere. Errors: WEFT_EDEADLK the caller is one of them. */
int weft_bundle_free(weft_bundle *bundle);

/* --- channels ---------------------------------------------------------------------------------------- */

/* Makes a channel of elements of so many bytes each (0 is allowed), which holds capacity of them without a
 * receiver; 0: each send waits for its receive. Any number of goroutines and threads may use it. Anywhere; never
 * waits. Errors: WEFT_EINVAL too large, WEFT_ENOMEM. */
int weft_chan_make(weft_chan **chan, size_t elem_size, size_t capacity);

/* Closes the channel, drops what is in it, and makes the handle invalid; who waits is told that it is closed. */
int weft_chan_free(weft_chan *chan);

/* Sends the bytes at elem; waits while the channel is full. Anywhere.
 * Errors: WEFT_EPIPE closed, also while it waited: nothing was sent; WEFT_ENOMEM on a thread; those of an ended
 * wait: nothing was sent. */
int weft_chan_send(weft_chan *chan, const void *elem);
int weft_chan_send_until(weft_chan *chan, const void *elem, int64_t deadline);

/* Receives to elem; waits while the channel is empty. elem NULL: drops the element. Anywhere.
 * Errors: WEFT_EPIPE closed and drained: elem is zeroed; WEFT_ENOMEM on a thread; those of an ended wait: elem is
 * left alone. */
int weft_chan_recv(weft_chan *chan, void *elem);
int weft_chan_recv_until(weft_chan *chan, void *elem, int64_t deadline);

/* The same without waiting: WEFT_EAGAIN instead, and elem is left alone. Anywhere. */
int weft_chan_try_send(weft_chan *chan, const void *elem);
int weft_chan_try_recv(weft_chan *chan, void *elem);

/* Receivers get what is left, then WEFT_EPIPE; senders get WEFT_EPIPE. Only a sender should close. Anywhere;
 * never waits. Errors: WEFT_EPIPE it is closed already. */
int weft_chan_close(weft_chan *chan);

/* How many elements are in it now, can be in it, and the bytes of each; or an error. Anywhere. */
int64_t weft_chan_len(weft_chan *chan);
int64_t weft_chan_cap(weft_chan *chan);
int64_t weft_chan_elem_size(weft_chan *chan);

enum { WEFT_RECV = 0, WEFT_SEND = 1 };

typedef struct weft_case {
    weft_chan *chan;        /* NULL: never ready */
    void *elem;             /* as for weft_chan_send and weft_chan_recv; not written to by a send */
    int op;                 /* WEFT_RECV or WEFT_SEND */
    int result;             /* of the chosen case: 0, or WEFT_EPIPE when the channel is closed */
} weft_case;

/* A timeout that never passes, and a deadline. */
#define WEFT_FOREVER ((int64_t)-1)
#define WEFT_NEVER INT64_MAX

/* Does one of the cases and returns its index; of several that are ready a random one. Waits for so many
 * nanoseconds at most: 0 does not wait, a negative time is for ever. Anywhere.
 * Errors: WEFT_EAGAIN none is ready (timeout 0), WEFT_ETIMEDOUT, WEFT_EINVAL, WEFT_ENOMEM; those of an ended
 * wait: no case was done. */
int weft_select(weft_case *cases, int count, int64_t timeout);

/* The same with a deadline. One that has passed: WEFT_ETIMEDOUT if none is ready. */
int weft_select_until(weft_case *cases, int count, int64_t deadline);

/* --- locks and the like: anywhere; lock, wait and acquire wait ------------------------------------------- */

/* A lock. Not recursive; anybody may unlock it. try: WEFT_EAGAIN. unlock: WEFT_EPERM it is not locked. until: the
 * errors of an ended wait, and the caller does not have it. */
int weft_mutex_make(weft_mutex **mutex);
int weft_mutex_free(weft_mutex *mutex);
int weft_mutex_lock(weft_mutex *mutex);
int weft_mutex_lock_until(weft_mutex *mutex, int64_t deadline);
int weft_mutex_try_lock(weft_mutex *mutex);
int weft_mutex_unlock(weft_mutex *mutex);

/* A lock for many readers or one writer. A writer that waits keeps new readers out. unlock: WEFT_EPERM it is not
 * locked; where others come and go at the same time it may be another's rdunlock that says so, or the next
 * wrlock: it does not have the lock. until: the errors of an ended wait, and the caller does not have it. */
int weft_rwlock_make(weft_rwlock **lock);
int weft_rwlock_free(weft_rwlock *lock);
int weft_rwlock_rdlock(weft_rwlock *lock);
int weft_rwlock_rdlock_until(weft_rwlock *lock, int64_t deadline);
int weft_rwlock_try_rdlock(weft_rwlock *lock);
int weft_rwlock_rdunlock(weft_rwlock *lock);
int weft_rwlock_wrlock(weft_rwlock *lock);
int weft_rwlock_wrlock_until(weft_rwlock *lock, int64_t deadline);
int weft_rwlock_try_wrlock(weft_rwlock *lock);
int weft_rwlock_wrunlock(weft_rwlock *lock);

/* A counter to wait for: wait returns when it is 0. WEFT_EPERM: it would be below 0, and is left alone.
 * until: the errors of an ended wait. */
int weft_wg_make(weft_wg **wg);
int weft_wg_free(weft_wg *wg);
int weft_wg_add(weft_wg *wg, int delta);
int weft_wg_done(weft_wg *wg);
int weft_wg_wait(weft_wg *wg);
int weft_wg_wait_until(weft_wg *wg, int64_t deadline);

/* A condition: wait unlocks the mutex, waits for a signal and locks it again; call it in a loop. WEFT_EPERM: the
 * mutex is not locked. until: the errors of an ended wait; the caller has taken no signal, and has the mutex. */
int weft_cond_make(weft_cond **cond, weft_mutex *mutex);
int weft_cond_free(weft_cond *cond);
int weft_cond_wait(weft_cond *cond);
int weft_cond_wait_until(weft_cond *cond, int64_t deadline);
int weft_cond_signal(weft_cond *cond);
int weft_cond_broadcast(weft_cond *cond);

/* A semaphore: units of something, of which each takes count, in order of arrival. acquire: WEFT_EINVAL more than
 * there will ever be. release: WEFT_EPERM more than was taken. until: the errors of an ended wait, and the caller
 * has taken nothing. */
int weft_sem_make(weft_sem **sem, int64_t units);
int weft_sem_free(weft_sem *sem);
int weft_sem_acquire(weft_sem *sem, int64_t count);
int weft_sem_acquire_until(weft_sem *sem, int64_t count, int64_t deadline);
int weft_sem_try_acquire(weft_sem *sem, int64_t count);
int weft_sem_release(weft_sem *sem, int64_t count);

/* Calls function(argument) once, whoever calls; returns when it is over. The function must return: one that ends its
 * goroutine leaves the others waiting. WEFT_EDEADLK: the caller is inside that function. WEFT_EBADF: the word is no
 * weft_once. */
typedef struct weft_once { int64_t state; } weft_once;
#define WEFT_ONCE_INIT { 0 }
int weft_once_do(weft_once *once, void (*function)(void *), void *argument);

/* --- time: anywhere; nothing waits ------------------------------------------------------------------------ */

/* The monotonic clock in nanoseconds. Always. */
int64_t weft_now(void);

/* The deadline that many nanoseconds from now; WEFT_NEVER stays that, and what is negative is 0. Always. */
int64_t weft_after(int64_t nanoseconds);

/* After delay, and then each period unless that is 0: runs function(argument) in a new goroutine, or, if
 * function is NULL, sends weft_now() to the timer's channel, which holds one int64_t. */
int weft_timer_make(weft_timer **timer, int64_t delay, int64_t period,
                    void (*function)(void *), void *argument);

/* The timer's channel; it belongs to the timer: to send to it, close it or free it is WEFT_EPERM. WEFT_EINVAL: the timer
 * has a function instead. */
int weft_timer_chan(weft_timer *timer, weft_chan **chan);

/* Stops the timer, or sets it anew. 1: it was set, and nobody has seen it fire; 0: it had fired, or was stopped.
 * After it nothing of an earlier setting is received. */
int weft_timer_stop(weft_timer *timer);
int weft_timer_reset(weft_timer *timer, int64_t delay, int64_t period);

/* Stops the timer, and makes the handle and its channel invalid. */
int weft_timer_free(weft_timer *timer);

/* --- contexts: anywhere; nothing waits -------------------------------------------------------------------- */

/* A context is cancelled by weft_ctx_cancel, after timeout nanoseconds unless that is negative, or with its
 * parent, which may be NULL. */
int weft_ctx_make(weft_ctx **ctx, weft_ctx *parent, int64_t timeout);

/* The same without a timeout, with a value that it and its children find under the key, any address. */
int weft_ctx_with_value(weft_ctx **ctx, weft_ctx *parent, const void *key, void *value);
void *weft_ctx_value(weft_ctx *ctx, const void *key);

/* Cancels the context and its children. When it returns their channels are closed. */
int weft_ctx_cancel(weft_ctx *ctx);

/* Why the context is cancelled: WEFT_ECANCELED or WEFT_ETIMEDOUT; 0: it is not. */
int weft_ctx_err(weft_ctx *ctx);

/* A channel of nothing that is closed when the context is cancelled: for weft_select. It belongs to the
 * context: to send to it, close it or free it is WEFT_EPERM. */
int weft_ctx_done(weft_ctx *ctx, weft_chan **chan);

/* Nanoseconds until the deadline of the context or of a parent; INT64_MAX if there is none. */
int64_t weft_ctx_remaining(weft_ctx *ctx);

/* Cancels the context, and makes the handle and its channel invalid. */
int weft_ctx_free(weft_ctx *ctx);

/* From now on waits of the calling goroutine end when the context is cancelled, or its time has passed; NULL: with
 * none. Tasks and bundles that it starts begin with it, what weft_go starts does not. The context before is
 * replaced, not added to: make one a child of the other for both. *old, unless old is NULL, is what to set again
 * afterwards. weft_ctx_free ends these waits too. Goroutine; never waits. */
int weft_with(weft_ctx *ctx, weft_ctx **old);

/* While on is not 0 nothing but deadlines ends waits of the calling goroutine: for what it has to do after it was
 * cancelled, as ending a process in order. Returns what was before, 0 or 1. What came meanwhile counts afterwards.
 * Goroutine; never waits. */
int weft_shield(int on);

/* Why waits of the calling goroutine end now: WEFT_ECANCELED it is a task or of a bundle and was cancelled, or its
 * context was; WEFT_ETIMEDOUT the context's time has passed; else 0. For code that computes; shielded it says the
 * same. Anywhere, always. */
int weft_cancelled(void);

/* --- network: anywhere; what reads, writes, accepts, dials, receives and sends waits ------------------------- */

typedef struct weft_listener weft_listener;
typedef struct weft_conn weft_conn;

enum { WEFT_READABLE = 0, WEFT_WRITABLE = 1 };

/* Waits until the descriptor, any that poll(2) can tell about, is ready, or so many nanoseconds have passed; a
 * negative time is for ever. The caller makes it non-blocking if it needs to. A regular file is always ready.
 * Errors: WEFT_ETIMEDOUT; WEFT_EBADF no open descriptor; those of an ended wait. */
int weft_fd_wait(int fd, int what, int64_t timeout);

/* Listens for connections. network is "tcp", "tcp4", "tcp6" or "unix", address "host:port", or a path. Port 0
 * takes a free one. Errors: the negative errno of the system; WEFT_EINVAL an address that is none. */
int weft_listen(weft_listener **listener, const char *network, const char *address);

/* The port of a listener; 0 of one that has none. Never waits. */
int weft_listener_port(weft_listener *listener);

/* Waits for a connection. Errors: those of the system; WEFT_ETIMEDOUT the listener's deadline has passed;
 * WEFT_EBADF also when it is closed meanwhile; those of an ended wait. */
int weft_accept(weft_listener *listener, weft_conn **conn);

/* From now on weft_accept stops waiting after so many nanoseconds, those under way too; a negative time: never.
 * Never waits. */
int weft_listener_deadline(weft_listener *listener, int64_t timeout);

/* Stops listening, and makes the handle invalid. Never waits. */
int weft_listener_close(weft_listener *listener);

/* Connects, within so many nanoseconds, the look-up of the name among them; a negative time is for ever. With "udp",
 * "udp4", "udp6" and "unixgram" too: each read and write is one datagram then.
 * Errors: WEFT_ETIMEDOUT, -ECONNREFUSED, ...; those of an ended wait. */
int weft_dial(weft_conn **conn, const char *network, const char *address, int64_t timeout);

/* Reads what there is, up to count bytes; 0 at the end. Writes all of it, and returns count. One goroutine may read
 * and another write at the same time; further ones wait in line. Errors: WEFT_ETIMEDOUT the deadline has passed;
 * WEFT_EBADF also when it is closed meanwhile; -ECONNRESET, ...; those of an ended wait: of a write a part may have
 * been sent. */
int64_t weft_read(weft_conn *conn, void *buffer, size_t count);
int64_t weft_write(weft_conn *conn, const void *buffer, size_t count);

/* A part of what weft_writev writes; it is the system's struct iovec. */
typedef struct weft_vec {
    const void *base;
    size_t size;
} weft_vec;

/* Writes all of the parts, one after the other, in as few calls of the system as possible, and returns how many
 * bytes they have. Errors: as weft_write. */
int64_t weft_writev(weft_conn *conn, const weft_vec *parts, int count);

/* From now on reads and writes, or one of the two, stop waiting after so many nanoseconds, those under way too; a
 * negative time: never. Once the time has passed they fail without a try, also where they would not wait, as in Go;
 * so do weft_accept after weft_listener_deadline, and datagrams. Never waits. */
int weft_conn_deadline(weft_conn *conn, int64_t timeout);
int weft_conn_read_deadline(weft_conn *conn, int64_t timeout);
int weft_conn_write_deadline(weft_conn *conn, int64_t timeout);

/* Ends one direction of a connection: after close_write the peer reads the rest and then the end, and reading goes
 * on; after close_read reads find the end. Never waits. Errors: -ENOTCONN the peer is gone, -ENOTSOCK it is no
 * socket. */
int weft_conn_close_write(weft_conn *conn);
int weft_conn_close_read(weft_conn *conn);

/* Closes the connection, and makes the handle invalid. Never waits. */
int weft_conn_close(weft_conn *conn);

/* Makes a connection of an open descriptor: a socket, a pipe, a terminal, or whatever poll(2) can tell about; also a
 * regular file, where reads and writes block the thread, and not the others. It is closed with the connection.
 * Whether it blocks stays as it is for others who share a socket, a pipe or a terminal; else it is in non-blocking
 * mode until the close. Never waits. Errors: WEFT_EBADF no open descriptor, WEFT_ENOMEM: it stays the caller's. */
int weft_conn_adopt(weft_conn **conn, int fd);

/* Gives a descriptor for the connection, which the caller has to close, and makes the handle invalid: who waits in it
 * gets WEFT_EBADF. The number is a new one. One that weft_dial or weft_accept made is in non-blocking mode. Never
 * waits. Errors: -EMFILE. */
int weft_conn_release(weft_conn *conn);

/* The descriptor below, for setsockopt(2), getsockopt(2) and the like: TCP_NODELAY and SO_KEEPALIVE are set already.
 * It is valid until the close; do not close it, read from it or change its mode. Never waits. */
int weft_conn_fd(weft_conn *conn);
int weft_listener_fd(weft_listener *listener);

/* An address as the system has it: raw may be used as a struct sockaddr of that length. */
typedef struct weft_addr {
    size_t length;          /* 0: none */
    unsigned char raw[128];
} weft_addr;

/* Looks a name up: finds what address, "host:port", means in the network ("tcp", "udp6", ...), in the order to try.
 * Returns how many there are, and gives at most so many. The look-up blocks in the C library, on a thread; if
 * the wait is ended, it goes on in a goroutine without its caller, as in weft_dial. Errors: -EHOSTUNREACH the name is
 * not known; WEFT_EINVAL; those of an ended wait. */
int weft_resolve(const char *network, const char *address, weft_addr *found, int most);

/* An address as text, "127.0.0.1:80", "[::1]:80" or a path, with a zero at the end. Returns its length, also where it
 * was cut to size. Never waits. */
int weft_addr_text(const weft_addr *addr, char *text, size_t size);

/* The address of this side, and of the peer. Never waits. Errors: those of the system; -ENOTCONN. */
int weft_conn_local(weft_conn *conn, weft_addr *addr);
int weft_conn_peer(weft_conn *conn, weft_addr *addr);
int weft_listener_addr(weft_listener *listener, weft_addr *addr);

/* --- datagrams: anywhere; recv and send wait ----------------------------------------------------------------- */

typedef struct weft_packets weft_packets;

/* Makes a socket that receives datagrams at an address and sends from there. network is "udp", "udp4", "udp6" or
 * "unixgram", address "host:port" or a path. Port 0 takes a free one. Errors: those of the system; WEFT_EINVAL. */
int weft_packets_open(weft_packets **packets, const char *network, const char *address);

/* Receives one datagram, and says who sent it unless from is NULL; what does not fit is lost. Sends one. Both return
 * its length. Errors: WEFT_ETIMEDOUT the deadline has passed; WEFT_EBADF also when it is closed meanwhile;
 * WEFT_EMSGSIZE it is too long; those of the system, and of an ended wait. */
int64_t weft_packets_recv(weft_packets *packets, void *buffer, size_t count, weft_addr *from);
int64_t weft_packets_send(weft_packets *packets, const void *buffer, size_t count, const weft_addr *to);

/* Address, deadline and descriptor of a socket for datagrams: as those of a connection. Never waits. */
int weft_packets_local(weft_packets *packets, weft_addr *addr);
int weft_packets_deadline(weft_packets *packets, int64_t timeout);
int weft_packets_fd(weft_packets *packets);

/* Closes a socket for datagrams, and makes the handle invalid. Never waits. */
int weft_packets_close(weft_packets *packets);

/* --- buffered reading: anywhere; it waits -------------------------------------------------------------------- */

typedef struct weft_reader weft_reader;

/* Makes a reader for a connection, with a buffer of so many bytes; 0: 4096. Who reads from the connection itself
 * afterwards misses what is in the buffer. One goroutine may use it at a time; another gets WEFT_EBUSY. Never waits.
 * Errors: WEFT_EINVAL more than 1 GB, WEFT_ENOMEM. */
int weft_reader_make(weft_reader **reader, weft_conn *conn, size_t size);

/* Reads what there is, up to count bytes; 0 at the end. Errors: as weft_read. */
int64_t weft_reader_read(weft_reader *reader, void *buffer, size_t count);

/* Reads count bytes; fewer at the end only. Errors: as weft_read; up to the size of the reader's buffer nothing is lost
 * then, and the next call finds it. */
int64_t weft_reader_full(weft_reader *reader, void *buffer, size_t count);

/* Reads a line to line, without its end ("\n" or "\r\n"), with a zero behind it; size has room for that. Returns its
 * length. What stands behind the last end of a line is a line too. Errors: WEFT_ENODATA the end; WEFT_EMSGSIZE it is
 * longer than size or the reader's buffer: line has what fits, and the rest is still to be read; as weft_read, and
 * nothing is lost then. */
int64_t weft_reader_line(weft_reader *reader, char *line, size_t size);

/* Makes the handle invalid; the connection stays. Never waits. */
int weft_reader_free(weft_reader *reader);

/* --- files: anywhere; the thread blocks, and not the others ------------------------------------------------------- */

/* Reads from an open file at an offset, or where the file stands if offset is below 0; up to count bytes, 0 at the end.
 * Writes all of it in the same way, and returns count. The thread blocks; other goroutines go on in another after
 * 20 us. Nothing ends it. Errors: the negative errno of the system; of a write a part may have been written. */
int64_t weft_file_read(int fd, void *buffer, size_t count, int64_t offset);
int64_t weft_file_write(int fd, const void *buffer, size_t count, int64_t offset);

/* Waits until what was written to a file is on the disk, as fsync(2) does. Errors: the negative errno of the system. */
int weft_file_sync(int fd);

/* --- processes and signals: anywhere; wait waits ------------------------------------------------------------------ */

typedef struct weft_process weft_process;

/* What a stream of a process is: that of this process; a pipe, which weft_process_pipe gives; /dev/null; and of the
 * error stream only, the same as its output. WEFT_FD(fd) is any open descriptor of this process, a file for example. */
enum { WEFT_INHERIT = 0, WEFT_PIPE = 1, WEFT_NULL = 2, WEFT_OUTPUT = 3 };
#define WEFT_FD(fd) (256 + (fd))

/* Set size to sizeof(weft_command) and the rest to 0 for the defaults. */
typedef struct weft_command {
    size_t size;
    const char *const *arguments;   /* the program, which is looked for in PATH, and its arguments; NULL at the end */
    const char *const *environment; /* "NAME=value", NULL at the end; NULL: that of this process */
    const char *directory;          /* where it starts; NULL: where this process is */
    int input;                      /* WEFT_INHERIT and the like */
    int output;
    int error;
    uint32_t flags;                 /* 0 */
    const int *descriptors;         /* open ones of this process, which it has as 3, 4 and so on; -1: none there */
    size_t descriptor_count;        /* how many, up to 1000 */
} weft_command;

/* Starts a process. It inherits descriptors that are not close-on-exec, and ignored signals but SIGPIPE; none is
 * blocked. It has copies of the descriptors that it is given: the caller closes its own. As long as it runs it counts
 * as a goroutine in weft_count. Errors: -ENOENT there is no such program, -EACCES and what else the system says;
 * WEFT_EBADF a descriptor is not open; WEFT_EINVAL, WEFT_ENOMEM. */
int weft_spawn(weft_process **process, const weft_command *command);

/* The number of a process. Never waits. */
int weft_process_id(weft_process *process);

/* Gives this side's end of a pipe, 0 for its input, 1 for its output, 2 for its errors: a connection, which the caller
 * has to close. Once for each. Never waits. Errors: WEFT_EBADF there is no such pipe, or it was given already. */
int weft_process_pipe(weft_process *process, int stream, weft_conn **conn);

/* Waits until a process has ended, and gives its status as waitpid(2) does: WIFEXITED and so on. Any number of times,
 * by any number of goroutines; who has ended is no zombie, waited for or not. status may be NULL.
 * Errors: -ECHILD somebody else has taken the status; those of an ended wait. */
int weft_process_wait(weft_process *process, int *status);
int weft_process_wait_until(weft_process *process, int *status, int64_t deadline);

/* Sends a signal to a process, never to another one that has its number by now; 0 only asks whether it is there. Never
 * waits. Errors: -ESRCH it has ended; WEFT_EINVAL no signal. */
int weft_process_kill(weft_process *process, int signal);

/* Makes the handle of a process invalid, and closes pipes that nobody took. The process goes on. Never waits. */
int weft_process_free(weft_process *process);

/* Makes a channel of int that gets the number of each of these signals, which do nothing else any more; 16 are kept for
 * a receiver, further ones are lost. Not SIGKILL, SIGSTOP, SIGSEGV and SIGURG. It is the library's: to send to it,
 * close it or free it is WEFT_EPERM. Never waits. Errors: WEFT_EINVAL, WEFT_ENOMEM. */
int weft_signal_chan(weft_chan **chan, const int *signals, int count);

/* Makes the channel invalid; who waits is told that it is closed, and the signals do what they did. Never waits. Errors:
 * WEFT_EPERM it is a timer's or another one. */
int weft_signal_stop(weft_chan *chan);

#ifdef __cplusplus
}
#endif
#endif
