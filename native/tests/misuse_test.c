/* What a program must not do, and what it is told: a code, or the end with one message.
 *
 *   misuse_test codes | threads | movable
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

#define MS INT64_C(1000000)

/* --- channels of a timer's and a context's ------------------------------------------------------------------ */

/* size bytes, the owner's: it may be looked at and received from. */
static void is_owned(weft_chan *chan, int size)
{
    int64_t value = 7;
    weft_case send = { chan, &value, WEFT_SEND, 0 };
    EQUAL(weft_chan_send(chan, &value), WEFT_EPERM);
    EQUAL(weft_chan_send(chan, NULL), WEFT_EPERM);
    EQUAL(weft_chan_try_send(chan, &value), WEFT_EPERM);
    EQUAL(weft_select(&send, 1, 0), WEFT_EPERM);
    EQUAL(weft_select(&send, 1, MS), WEFT_EPERM);
    EQUAL(weft_select(&send, 1, WEFT_FOREVER), WEFT_EPERM);
    EQUAL(weft_chan_close(chan), WEFT_EPERM);
    EQUAL(weft_chan_free(chan), WEFT_EPERM);
    EQUAL(weft_mutex_free((weft_mutex *)chan), WEFT_EBADF);
    EQUAL(weft_chan_elem_size(chan), size);
    EQUAL(weft_chan_cap(chan), size == 0 ? 0 : 1);
    EQUAL(weft_chan_len(chan), 0);
    EQUAL(weft_chan_try_recv(chan, &value), WEFT_EAGAIN);
}

static void owned_channels(void)
{
    weft_timer *timer;
    weft_ctx *parent, *child;
    weft_chan *chan;
    weft_case receive = { NULL, NULL, WEFT_RECV, 0 };
    int64_t time = 0;
    EQUAL(weft_timer_make(&timer, 1000000 * MS, 0, NULL, NULL), 0);
    EQUAL(weft_timer_chan(timer, &chan), 0);
    is_owned(chan, 8);
    EQUAL(weft_timer_reset(timer, 0, MS), 1);
    receive.chan = chan, receive.elem = &time;
    EQUAL(weft_select(&receive, 1, WEFT_FOREVER), 0);
    CHECK(time > 0);
    EQUAL(weft_chan_recv(chan, &time), 0);
    EQUAL(weft_chan_free(chan), WEFT_EPERM);
    EQUAL(weft_timer_free(timer), 0);
    EQUAL(weft_chan_send(chan, &time), WEFT_EBADF);
    EQUAL(weft_chan_recv(chan, &time), WEFT_EBADF);

    EQUAL(weft_ctx_make(&parent, NULL, -1), 0);
    EQUAL(weft_ctx_make(&child, parent, 1000000 * MS), 0);
    EQUAL(weft_ctx_done(child, &chan), 0);
    is_owned(chan, 0);
    EQUAL(weft_ctx_cancel(parent), 0);
    EQUAL(weft_chan_recv(chan, NULL), WEFT_EPIPE);
    EQUAL(weft_ctx_err(child), WEFT_ECANCELED);
    EQUAL(weft_chan_close(chan), WEFT_EPERM);
    EQUAL(weft_ctx_free(child), 0);
    EQUAL(weft_ctx_free(parent), 0);
    EQUAL(weft_chan_close(chan), WEFT_EBADF);
}

/* --- once in itself ------------------------------------------------------------------------------------------ */

static weft_once once;

static void again(void *result)
{
    *(int *)result = weft_once_do(&once, again, result);
    weft_sleep(MS);
    EQUAL(weft_once_do(&once, again, result), WEFT_EDEADLK);
}

static void *once_on_thread(void *result)
{
    EQUAL(weft_once_do(&once, again, result), 0);
    return NULL;
}

static void once_in_goroutine(void *result)
{
    once_on_thread(result);
}

static void once_in_itself(void)
{
    static const weft_once new_once = WEFT_ONCE_INIT;
    pthread_t threads[3];
    int result = 0;
    EQUAL(weft_run(once_in_goroutine, &result), 0);
    EQUAL(result, WEFT_EDEADLK);
    once = new_once, result = 0;
    for (int i = 0; i < 3; i++) /* The others wait. */
        EQUAL(pthread_create(&threads[i], NULL, once_on_thread, &result), 0);
    EQUAL(weft_run(once_in_goroutine, &result), 0);
    for (int i = 0; i < 3; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
    EQUAL(result, WEFT_EDEADLK);
    EQUAL(weft_once_do(&once, again, NULL), 0);
}

/* --- descriptors ---------------------------------------------------------------------------------------------- */

static void descriptors(void)
{
    int fds[2], path = open("/", O_PATH), full = open("/dev/full", O_WRONLY);
    CHECK(pipe(fds) == 0);
    EQUAL(weft_dump(-1), WEFT_EINVAL);
    EQUAL(weft_dump(INT32_MIN), WEFT_EINVAL);
    EQUAL(weft_dump(INT32_MAX), WEFT_EINVAL);
    EQUAL(weft_dump(fds[0]), WEFT_EINVAL);
    EQUAL(weft_dump(path), WEFT_EINVAL);
    EQUAL(weft_dump(fds[1]), 0);
    if (weft_self() != 0) /* There is something to write. */
        EQUAL(weft_dump(full), WEFT_EINVAL);
    close(fds[0]), close(fds[1]), close(path), close(full);
    EQUAL(weft_dump(fds[1]), WEFT_EINVAL);
    EQUAL(weft_fd_wait(fds[1], WEFT_READABLE, 0), WEFT_EBADF);
    EQUAL(weft_fd_wait(INT32_MIN, WEFT_READABLE, WEFT_FOREVER), WEFT_EBADF);
}

/* --- the largest and smallest numbers -------------------------------------------------------------------------- */

static void numbers(void)
{
    static const int64_t far[] = { INT64_MAX, INT64_MAX - 1, INT64_MAX / 2, INT64_C(1) << 53 };
    weft_timer *timer;
    weft_ctx *ctx;
    weft_chan *chan;
    weft_sem *sem;
    weft_wg *wg;
    weft_case receive = { NULL, NULL, WEFT_RECV, 0 };
    int64_t value = 0;
    int fds[2];
    EQUAL(weft_chan_make(&chan, 8, 1), 0);
    receive.chan = chan, receive.elem = &value;
    CHECK(pipe(fds) == 0);
    for (int i = 0; i < 4; i++) {
        EQUAL(weft_timer_make(&timer, far[i], 0, NULL, NULL), 0);
        EQUAL(weft_timer_reset(timer, far[i], far[i]), 1);
        EQUAL(weft_timer_stop(timer), 1);
        EQUAL(weft_timer_free(timer), 0);
        EQUAL(weft_ctx_make(&ctx, NULL, far[i]), 0);
        EQUAL(weft_ctx_err(ctx), 0);
        CHECK(weft_ctx_remaining(ctx) > far[i] / 2);
        EQUAL(weft_ctx_free(ctx), 0);
        EQUAL(weft_chan_send(chan, &value), 0);
        EQUAL(weft_select(&receive, 1, far[i]), 0);
        EQUAL(weft_fd_wait(fds[1], WEFT_WRITABLE, far[i]), 0);
    }
    EQUAL(weft_timer_make(&timer, INT64_MIN, 0, NULL, NULL), 0);
    EQUAL(weft_timer_free(timer), 0);
    EQUAL(weft_timer_make(&timer, 0, INT64_MIN, NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_ctx_make(&ctx, NULL, INT64_MIN), 0); /* As any negative time: never. */
    EQUAL(weft_ctx_err(ctx), 0);
    EQUAL(weft_ctx_free(ctx), 0);
    EQUAL(weft_chan_send(chan, &value), 0);
    EQUAL(weft_select(&receive, 1, INT64_MIN), 0);
    EQUAL(weft_sleep(INT64_MIN), 0);
    EQUAL(weft_select(&receive, -1, 0), WEFT_EINVAL);
    EQUAL(weft_select(&receive, INT32_MAX, 0), WEFT_EINVAL);
    EQUAL(weft_select(NULL, 1, 0), WEFT_EINVAL);
    EQUAL(weft_select(NULL, 0, 0), WEFT_EAGAIN);
    EQUAL(weft_fd_wait(fds[0], WEFT_READABLE, 0), WEFT_ETIMEDOUT);
    EQUAL(weft_chan_free(chan), 0);
    close(fds[0]), close(fds[1]);

    EQUAL(weft_wg_make(&wg), 0);
    EQUAL(weft_wg_add(wg, INT32_MAX), 0);
    EQUAL(weft_wg_add(wg, INT32_MIN), WEFT_EPERM);
    EQUAL(weft_wg_add(wg, -INT32_MAX), 0);
    EQUAL(weft_wg_done(wg), WEFT_EPERM);
    EQUAL(weft_wg_wait(wg), 0);
    EQUAL(weft_wg_free(wg), 0);
    EQUAL(weft_sem_make(&sem, -1), WEFT_EINVAL);
    EQUAL(weft_sem_make(NULL, 1), WEFT_EINVAL);
    EQUAL(weft_sem_make(&sem, INT64_MAX), 0);
    EQUAL(weft_sem_acquire(sem, -1), WEFT_EINVAL);
    EQUAL(weft_sem_try_acquire(sem, -1), WEFT_EINVAL);
    EQUAL(weft_sem_release(sem, -1), WEFT_EINVAL);
    EQUAL(weft_sem_release(sem, INT64_MIN), WEFT_EINVAL);
    EQUAL(weft_sem_release(sem, 1), WEFT_EPERM);
    EQUAL(weft_sem_acquire(sem, INT64_MAX), 0);
    EQUAL(weft_sem_try_acquire(sem, 1), WEFT_EAGAIN);
    EQUAL(weft_sem_release(sem, INT64_MAX), 0);
    EQUAL(weft_sem_free(sem), 0);
}

/* --- every function, with null, with what is freed, and with what is of another kind ---------------------------- */

static void wrong_handles(void)
{
    static weft_mutex *freed;
    weft_mutex *live;
    EQUAL(weft_mutex_make(&freed), 0);
    EQUAL(weft_mutex_make(&live), 0);
    EQUAL(weft_mutex_free(freed), 0);
    struct { void *handle; int code; } const wrong[] = {
        { NULL, WEFT_EINVAL }, { freed, WEFT_EBADF }, { live, WEFT_EBADF }, { &live, WEFT_EBADF },
        { (void *)-1, WEFT_EBADF }, { (void *)1, WEFT_EBADF },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        void *h = wrong[i].handle, *made = NULL;
        int code = wrong[i].code;
        int64_t value = 0;
        weft_case one = { h, &value, WEFT_SEND, 0 };
        EQUAL(weft_chan_send(h, &value), code);
        EQUAL(weft_chan_recv(h, &value), code);
        EQUAL(weft_chan_try_send(h, &value), code);
        EQUAL(weft_chan_try_recv(h, &value), code);
        EQUAL(weft_chan_close(h), code);
        EQUAL(weft_chan_free(h), code);
        EQUAL(weft_chan_len(h), code);
        EQUAL(weft_chan_cap(h), code);
        EQUAL(weft_chan_elem_size(h), code);
        EQUAL(weft_select(&one, 1, 0), h == NULL ? WEFT_EAGAIN : code);
        EQUAL(weft_rwlock_rdlock(h), code);
        EQUAL(weft_rwlock_try_rdlock(h), code);
        EQUAL(weft_rwlock_rdunlock(h), code);
        EQUAL(weft_rwlock_wrlock(h), code);
        EQUAL(weft_rwlock_try_wrlock(h), code);
        EQUAL(weft_rwlock_wrunlock(h), code);
        EQUAL(weft_rwlock_free(h), code);
        EQUAL(weft_wg_add(h, 1), code);
        EQUAL(weft_wg_done(h), code);
        EQUAL(weft_wg_wait(h), code);
        EQUAL(weft_wg_free(h), code);
        EQUAL(weft_cond_wait(h), code);
        EQUAL(weft_cond_signal(h), code);
        EQUAL(weft_cond_broadcast(h), code);
        EQUAL(weft_cond_free(h), code);
        if (h != live) {
            EQUAL(weft_mutex_lock(h), code);
            EQUAL(weft_mutex_try_lock(h), code);
            EQUAL(weft_mutex_unlock(h), code);
            EQUAL(weft_mutex_free(h), code);
            EQUAL(weft_cond_make((weft_cond **)&made, h), code);
        }
        EQUAL(weft_sem_acquire(h, 1), code);
        EQUAL(weft_sem_try_acquire(h, 1), code);
        EQUAL(weft_sem_release(h, 1), code);
        EQUAL(weft_sem_free(h), code);
        EQUAL(weft_timer_chan(h, (weft_chan **)&made), code);
        EQUAL(weft_timer_stop(h), code);
        EQUAL(weft_timer_reset(h, 1, 0), code);
        EQUAL(weft_timer_free(h), code);
        if (h != NULL) {
            EQUAL(weft_ctx_make((weft_ctx **)&made, h, -1), code);
            EQUAL(weft_ctx_with_value((weft_ctx **)&made, h, &made, NULL), code);
        }
        CHECK(weft_ctx_value(h, &made) == NULL);
        EQUAL(weft_ctx_cancel(h), code);
        EQUAL(weft_ctx_err(h), code);
        EQUAL(weft_ctx_free(h), code);
        EQUAL(weft_ctx_done(h, (weft_chan **)&made), code);
        EQUAL(weft_ctx_remaining(h), code);
        EQUAL(weft_accept(h, (weft_conn **)&made), code);
        EQUAL(weft_listener_port(h), code);
        EQUAL(weft_listener_close(h), code);
        EQUAL(weft_read(h, &value, 1), code);
        EQUAL(weft_write(h, &value, 1), code);
        EQUAL(weft_conn_deadline(h, 1), code);
        EQUAL(weft_conn_close(h), code);
        CHECK(made == NULL);
    }
    EQUAL(weft_mutex_make(NULL), WEFT_EINVAL);
    EQUAL(weft_rwlock_make(NULL), WEFT_EINVAL);
    EQUAL(weft_wg_make(NULL), WEFT_EINVAL);
    EQUAL(weft_cond_make(NULL, live), WEFT_EINVAL);
    EQUAL(weft_once_do(NULL, again, NULL), WEFT_EINVAL);
    EQUAL(weft_once_do(&once, NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_ctx_with_value(NULL, NULL, &live, NULL), WEFT_EINVAL);
    EQUAL(weft_preemptible(NULL, &live), WEFT_EINVAL);
    EQUAL(weft_preemptible(&live, &live), WEFT_EINVAL);
    EQUAL(weft_preemptible(&live, NULL), WEFT_EINVAL);
    EQUAL(weft_mutex_free(live), 0);
}

static void codes(void *argument)
{
    (void)argument;
    once = (weft_once)WEFT_ONCE_INIT;
    owned_channels();
    once_in_itself();
    descriptors();
    numbers();
    wrong_handles();
}

/* --- the end, with a message ------------------------------------------------------------------------------------ */

static void block(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

static int said[2]; /* What is written to standard error. */
static int ended;

static void wait_for_the_line(void *argument)
{
    struct pollfd line = { said[0], POLLIN, 0 };
    (void)argument;
    while (poll(&line, 1, 10000) < 0) /* EINTR: the end of a time slice. */
        ;
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

/* More that block than there may be threads: they wait for each other, and a line says so. They block until it
 * does: the end of a time slice ends a wait with EINTR, where sysmon is late. */
static void threads(void)
{
    weft_options options = { sizeof options, 0, 3, 0, 0 };
    char line[1000];
    ssize_t size;
    int errors = dup(STDERR_FILENO);
    CHECK(pipe2(said, O_NONBLOCK | O_CLOEXEC) == 0);
    CHECK(dup2(said[1], STDERR_FILENO) >= 0);
    EQUAL(weft_init(&options), 0);
    for (int i = 0; i < 12; i++)
        EQUAL(weft_go(wait_for_the_line, NULL), 0);
    for (int i = 0; i < 6000 && __atomic_load_n(&ended, __ATOMIC_SEQ_CST) < 12; i++)
        usleep(10000);
    CHECK(dup2(errors, STDERR_FILENO) >= 0);
    size = read(said[0], line, sizeof line);
    CHECK(size > 0 && write(STDERR_FILENO, line, (size_t)size) == size);
    close(errors), close(said[0]), close(said[1]);
    EQUAL(ended, 12);
    puts("passed");
}

static volatile int deepest = INT32_MAX; /* The compiler does not know that it stays. */

static __attribute__((noinline)) int recurse(int depth)
{
    volatile char room[3000]; /* Less than a guard page. */
    room[depth % 3000] = (char)depth;
    return depth == deepest ? 0 : recurse(depth + 1) + room[depth % 3000];
}

static void recurse_for_ever(void *argument)
{
    *(int *)argument = recurse(0);
}

/* 256 MB on a movable stack. */
static void movable(void)
{
    static int sum;
    weft_attr attr = { sizeof attr, 0, WEFT_STACK_MOVABLE, 0, NULL };
    EQUAL(weft_init(NULL), 0);
    EQUAL(weft_go_with(&attr, recurse_for_ever, &sum), 0);
    block(NULL);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "threads") == 0)
        threads();
    else if (strcmp(name, "movable") == 0)
        movable();
    EQUAL(weft_init(NULL), 0);
    codes(NULL);
    EQUAL(weft_run(codes, NULL), 0);
    EQUAL(weft_shutdown(), 0);
    puts("passed");
    return 0;
}
