/* What ends waits, and tasks and bundles: with right and with wrong arguments.
 *
 *   ends_test PROCS
 */
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <weft.h>

#include "check.h"

#define MS INT64_C(1000000)
#define LONG (20000 * MS) /* A test that waits for so long has failed. */

/* Before weft_init, and after weft_shutdown. */
static void outside(void)
{
    void *none = (void *)8;
    EQUAL(weft_with(NULL, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_shield(1), WEFT_ESHUTDOWN);
    EQUAL(weft_cancelled(), 0);
    CHECK(weft_after(LONG) > weft_now());
    EQUAL(weft_select_until(NULL, 0, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_send_until(none, &none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_recv_until(none, &none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_mutex_lock_until(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_rwlock_rdlock_until(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_rwlock_wrlock_until(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_wg_wait_until(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_cond_wait_until(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_sem_acquire_until(none, 1, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_task_go((weft_task **)&none, NULL, (void *(*)(void *))abort, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_task_join(none, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_task_join_until(none, NULL, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_task_chan(none, (weft_chan **)&none), WEFT_ESHUTDOWN);
    EQUAL(weft_task_cancel(none), WEFT_ESHUTDOWN);
    EQUAL(weft_task_interrupt(none), WEFT_ESHUTDOWN);
    EQUAL(weft_task_free(none), WEFT_ESHUTDOWN);
    EQUAL(weft_bundle_make((weft_bundle **)&none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_bundle_go(none, NULL, (int (*)(void *))abort, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_bundle_wait(none, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_bundle_wait_until(none, NULL, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_bundle_cancel(none), WEFT_ESHUTDOWN);
    EQUAL(weft_bundle_free(none), WEFT_ESHUTDOWN);
}

/* --- every wait, in one table ------------------------------------------------------------------------------------ */

/* One of each, in a state where everybody has to wait. */
struct things {
    weft_mutex *mutex, *own;
    weft_rwlock *read, *written;
    weft_wg *wg;
    weft_cond *cond;
    weft_sem *sem;
    weft_chan *empty, *full;
    weft_task *task;
    weft_bundle *bundle, *busy;
    weft_chan *quit;
};

static void *until_closed(void *chan)
{
    return (void *)(intptr_t)weft_chan_recv(chan, NULL);
}

static int child_until_closed(void *chan)
{
    return weft_chan_recv(chan, NULL) == WEFT_EPIPE ? 0 : 1;
}

static void make(struct things *t)
{
    int64_t value = 1;
    EQUAL(weft_mutex_make(&t->mutex), 0);
    EQUAL(weft_mutex_lock(t->mutex), 0);
    EQUAL(weft_mutex_make(&t->own), 0);
    EQUAL(weft_rwlock_make(&t->read), 0);
    EQUAL(weft_rwlock_rdlock(t->read), 0);
    EQUAL(weft_rwlock_make(&t->written), 0);
    EQUAL(weft_rwlock_wrlock(t->written), 0);
    EQUAL(weft_wg_make(&t->wg), 0);
    EQUAL(weft_wg_add(t->wg, 1), 0);
    EQUAL(weft_cond_make(&t->cond, t->own), 0);
    EQUAL(weft_sem_make(&t->sem, 2), 0);
    EQUAL(weft_sem_acquire(t->sem, 1), 0);
    EQUAL(weft_chan_make(&t->empty, sizeof value, 0), 0);
    EQUAL(weft_chan_make(&t->full, sizeof value, 1), 0);
    EQUAL(weft_chan_send(t->full, &value), 0);
    EQUAL(weft_chan_make(&t->quit, 0, 0), 0);
    EQUAL(weft_task_go(&t->task, NULL, until_closed, t->quit), 0);
    EQUAL(weft_bundle_make(&t->bundle, 0), 0);
    EQUAL(weft_bundle_go(t->bundle, NULL, child_until_closed, t->quit), 0);
    EQUAL(weft_bundle_make(&t->busy, 1), 0);
    EQUAL(weft_bundle_go(t->busy, NULL, child_until_closed, t->quit), 0);
}

/* Nothing of what was ended has left a trace: all is as it was made, and can be used. */
static void use_and_free(struct things *t)
{
    int64_t value = 0;
    int result = 7;
    void *returned;
    EQUAL(weft_mutex_unlock(t->mutex), 0);
    EQUAL(weft_mutex_lock(t->mutex), 0);
    EQUAL(weft_mutex_try_lock(t->own), 0);
    EQUAL(weft_rwlock_rdlock_until(t->read, 0), 0);
    EQUAL(weft_rwlock_rdunlock(t->read), 0);
    EQUAL(weft_rwlock_rdunlock(t->read), 0);
    EQUAL(weft_rwlock_try_wrlock(t->read), 0);
    EQUAL(weft_rwlock_wrunlock(t->written), 0);
    EQUAL(weft_rwlock_try_wrlock(t->written), 0);
    EQUAL(weft_wg_done(t->wg), 0);
    EQUAL(weft_wg_wait_until(t->wg, 0), 0);
    EQUAL(weft_wg_wait(t->wg), 0);
    EQUAL(weft_sem_release(t->sem, 1), 0);
    EQUAL(weft_sem_acquire_until(t->sem, 2, 0), 0);
    EQUAL(weft_chan_try_recv(t->empty, &value), WEFT_EAGAIN);
    EQUAL(weft_chan_try_send(t->empty, &value), WEFT_EAGAIN);
    EQUAL(weft_chan_len(t->full), 1);
    EQUAL(weft_chan_recv_until(t->full, &value, 0), 0);
    EQUAL(value, 1);
    EQUAL(weft_chan_send_until(t->full, &value, 0), 0);
    EQUAL(weft_chan_close(t->quit), 0);
    EQUAL(weft_task_join(t->task, &returned), 0);
    EQUAL((intptr_t)returned, WEFT_EPIPE);
    EQUAL(weft_task_join(t->task, &returned), WEFT_EBADF);
    EQUAL(weft_bundle_wait(t->bundle, &result), 0);
    EQUAL(result, 0);
    EQUAL(weft_bundle_free(t->bundle), 0);
    EQUAL(weft_bundle_free(t->bundle), WEFT_EBADF);
    EQUAL(weft_bundle_free(t->busy), 0);
    EQUAL(weft_mutex_free(t->mutex), 0);
    EQUAL(weft_cond_free(t->cond), 0);
    EQUAL(weft_mutex_free(t->own), 0);
    EQUAL(weft_rwlock_free(t->read), 0);
    EQUAL(weft_rwlock_free(t->written), 0);
    EQUAL(weft_wg_free(t->wg), 0);
    EQUAL(weft_sem_free(t->sem), 0);
    EQUAL(weft_chan_free(t->empty), 0);
    EQUAL(weft_chan_free(t->full), 0);
    EQUAL(weft_chan_free(t->quit), 0);
}

#define WAITS 13

/* The wait of that number, which nothing but an end ends. */
static int wait_for(struct things *t, int which, int64_t deadline)
{
    int64_t value = 77;
    int result;
    void *returned;
    weft_case cases[] = { { t->empty, &value, WEFT_RECV, 9 }, { t->full, &value, WEFT_SEND, 9 } };
    switch (which) {
    case 0: return weft_mutex_lock_until(t->mutex, deadline);
    case 1: return weft_rwlock_wrlock_until(t->read, deadline);
    case 2: return weft_rwlock_rdlock_until(t->written, deadline);
    case 3: return weft_rwlock_wrlock_until(t->written, deadline);
    case 4: return weft_wg_wait_until(t->wg, deadline);
    case 5:
        EQUAL(weft_mutex_lock(t->own), 0);
        result = weft_cond_wait_until(t->cond, deadline);
        EQUAL(weft_mutex_unlock(t->own), 0); /* It has it in any case. */
        return result;
    case 6: return weft_sem_acquire_until(t->sem, 2, deadline);
    case 7:
        result = weft_chan_recv_until(t->empty, &value, deadline);
        EQUAL(value, 77);
        return result;
    case 8: return weft_chan_send_until(t->full, &value, deadline);
    case 9:
        result = weft_select_until(cases, 2, deadline);
        EQUAL(value, 77);
        EQUAL(cases[0].result, 9);
        return result;
    case 10: return weft_task_join_until(t->task, &returned, deadline);
    case 11: return weft_bundle_wait_until(t->bundle, &result, deadline);
    default: return weft_select_until(NULL, 0, deadline);
    }
}

/* Those that have no deadline, and can be ended all the same. */
#define PLAIN 6

static int wait_plain(struct things *t, int which)
{
    int64_t value = 0;
    weft_case cases[] = { { t->empty, &value, WEFT_RECV, 0 } };
    switch (which) {
    case 0: return weft_chan_recv(t->empty, &value);
    case 1: return weft_chan_send(t->full, &value);
    case 2: return weft_select(cases, 1, WEFT_FOREVER);
    case 3: return weft_sleep(LONG);
    case 4: return weft_task_join(t->task, NULL);
    default: return weft_bundle_go(t->busy, NULL, child_until_closed, t->quit);
    }
}

/* Deadlines that pass, and that had passed. */
static void deadlines(void)
{
    struct things t;
    make(&t);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < WAITS; i++) {
            int64_t start = weft_now();
            EQUAL(wait_for(&t, i, weft_after(2 * MS)), WEFT_ETIMEDOUT);
            CHECK(weft_now() - start >= 2 * MS);
            EQUAL(wait_for(&t, i, weft_now()), WEFT_ETIMEDOUT);
            EQUAL(wait_for(&t, i, 0), WEFT_ETIMEDOUT);
            EQUAL(wait_for(&t, i, -5), WEFT_ETIMEDOUT);
        }
    int64_t end = weft_after(20 * MS); /* One for several steps. */
    for (int i = 0; i < WAITS; i++)
        EQUAL(wait_for(&t, i, end), WEFT_ETIMEDOUT);
    CHECK(weft_now() >= end && weft_now() < end + LONG);
    use_and_free(&t);
    EQUAL(weft_after(WEFT_NEVER), WEFT_NEVER);
    CHECK(weft_after(INT64_MAX - 1) > weft_now());
    CHECK(weft_after(-1) <= weft_now());
}

static void wrong_arguments(void)
{
    weft_chan *chan;
    weft_task *task;
    weft_bundle *bundle;
    weft_sem *sem;
    weft_rwlock *lock;
    weft_mutex *mutex;
    weft_cond *cond;
    weft_ctx *old;
    weft_attr attr = { sizeof attr, 1024, WEFT_STACK_FIXED, 0, NULL };
    int64_t value;
    EQUAL(weft_chan_make(&chan, 8, 1), 0);
    EQUAL(weft_chan_send_until(NULL, &value, 0), WEFT_EINVAL);
    EQUAL(weft_chan_send_until(chan, NULL, 0), WEFT_EINVAL);
    EQUAL(weft_chan_recv_until(NULL, &value, 0), WEFT_EINVAL);
    EQUAL(weft_chan_recv_until((weft_chan *)9, &value, 0), WEFT_EBADF);
    EQUAL(weft_mutex_lock_until(NULL, 0), WEFT_EINVAL);
    EQUAL(weft_mutex_lock_until((weft_mutex *)chan, 0), WEFT_EBADF);
    EQUAL(weft_rwlock_rdlock_until((weft_rwlock *)chan, 0), WEFT_EBADF);
    EQUAL(weft_rwlock_wrlock_until(NULL, 0), WEFT_EINVAL);
    EQUAL(weft_wg_wait_until((weft_wg *)chan, 0), WEFT_EBADF);
    EQUAL(weft_cond_wait_until((weft_cond *)chan, 0), WEFT_EBADF);
    EQUAL(weft_sem_acquire_until((weft_sem *)chan, 1, 0), WEFT_EBADF);
    EQUAL(weft_sem_make(&sem, 2), 0);
    EQUAL(weft_sem_acquire_until(sem, 3, 0), WEFT_EINVAL);
    EQUAL(weft_sem_acquire_until(sem, -1, 0), WEFT_EINVAL);
    EQUAL(weft_sem_free(sem), 0);
    EQUAL(weft_mutex_make(&mutex), 0);
    EQUAL(weft_cond_make(&cond, mutex), 0);
    EQUAL(weft_cond_wait_until(cond, weft_after(MS)), WEFT_EPERM); /* The mutex is not locked. */
    EQUAL(weft_cond_free(cond), 0);
    EQUAL(weft_mutex_free(mutex), 0);
    EQUAL(weft_rwlock_make(&lock), 0);
    EQUAL(weft_rwlock_wrlock_until(lock, 0), 0);
    EQUAL(weft_rwlock_free(lock), 0);
    EQUAL(weft_select_until(NULL, 1, 0), WEFT_EINVAL);
    EQUAL(weft_select_until(NULL, -1, 0), WEFT_EINVAL);
    EQUAL(weft_task_go(NULL, NULL, until_closed, chan), WEFT_EINVAL);
    EQUAL(weft_task_go(&task, NULL, NULL, chan), WEFT_EINVAL);
    EQUAL(weft_task_go(&task, &attr, until_closed, chan), WEFT_EINVAL);
    CHECK(task == NULL);
    EQUAL(weft_task_join(NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_task_join((weft_task *)chan, NULL), WEFT_EBADF);
    EQUAL(weft_task_chan(NULL, &chan), WEFT_EINVAL);
    EQUAL(weft_task_cancel((weft_task *)chan), WEFT_EBADF);
    EQUAL(weft_task_interrupt((weft_task *)chan), WEFT_EBADF);
    EQUAL(weft_task_free(NULL), WEFT_EINVAL);
    EQUAL(weft_bundle_make(NULL, 0), WEFT_EINVAL);
    EQUAL(weft_bundle_make(&bundle, -1), WEFT_EINVAL);
    EQUAL(weft_bundle_make(&bundle, 0), 0);
    EQUAL(weft_bundle_go(bundle, NULL, NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_bundle_go(bundle, &attr, child_until_closed, NULL), WEFT_EINVAL);
    EQUAL(weft_bundle_go(NULL, NULL, child_until_closed, NULL), WEFT_EINVAL);
    EQUAL(weft_bundle_wait((weft_bundle *)chan, NULL), WEFT_EBADF);
    EQUAL(weft_bundle_cancel((weft_bundle *)chan), WEFT_EBADF);
    EQUAL(weft_bundle_wait(bundle, NULL), 0); /* None: nobody to wait for. */
    EQUAL(weft_bundle_free(bundle), 0);
    EQUAL(weft_with((weft_ctx *)chan, NULL), weft_self() != 0 ? WEFT_EBADF : WEFT_ESRCH);
    EQUAL(weft_with(NULL, &old), weft_self() != 0 ? 0 : WEFT_ESRCH);
    EQUAL(weft_chan_free(chan), 0);
}

/* --- who ends them from outside -------------------------------------------------------------------------------- */

struct ended {
    struct things *things;
    weft_chan *ready, *go_on;
    weft_ctx *ctx;
    int which, expected;
};

/* Waits that somebody else ends; once before they begin, once meanwhile. */
static void *is_ended(void *argument)
{
    struct ended *e = argument;
    int again = e->expected == WEFT_EINTR ? WEFT_ETIMEDOUT : e->expected;
    int64_t value = 0;
    if (e->ctx != NULL)
        EQUAL(weft_with(e->ctx, NULL), 0);
    EQUAL(weft_chan_send(e->ready, &value), 0);
    int result = e->which < WAITS ? wait_for(e->things, e->which, weft_after(LONG))
                                  : wait_plain(e->things, e->which - WAITS);
    EQUAL(result, e->expected);
    EQUAL(weft_cancelled(), e->expected == WEFT_EINTR ? 0 : e->expected);
    result = e->which < WAITS ? wait_for(e->things, e->which, weft_after(MS)) : again;
    EQUAL(result, again);
    EQUAL(weft_mutex_lock(e->things->own), 0); /* Not ended, ever. */
    EQUAL(weft_mutex_unlock(e->things->own), 0);
    return e;
}

static void end_from_outside(int how)
{
    struct things t;
    int64_t value;
    make(&t);
    for (int which = 0; which < WAITS + PLAIN; which++)
        for (int late = 0; late < 2; late++) {
            struct ended e = { &t, NULL, NULL, NULL, which, WEFT_ECANCELED };
            weft_task *task;
            void *returned = NULL;
            EQUAL(weft_chan_make(&e.ready, sizeof value, 1), 0);
            if (how == 1)
                e.expected = WEFT_EINTR;
            if (how >= 2)
                EQUAL(weft_ctx_make(&e.ctx, NULL, how == 3 ? (late ? 2 * MS : 0) : WEFT_FOREVER), 0);
            if (how == 3)
                e.expected = WEFT_ETIMEDOUT;
            if (how == 2 && !late)
                EQUAL(weft_ctx_cancel(e.ctx), 0);
            EQUAL(weft_task_go(&task, NULL, is_ended, &e), 0);
            EQUAL(weft_chan_recv(e.ready, &value), 0);
            if (late)
                EQUAL(weft_sleep(MS), 0);
            if (how == 0)
                EQUAL(weft_task_cancel(task), 0);
            else if (how == 1)
                EQUAL(weft_task_interrupt(task), 0);
            else if (how == 2)
                EQUAL(weft_ctx_cancel(e.ctx), 0);
            EQUAL(weft_task_join_until(task, &returned, weft_after(LONG)), 0);
            CHECK(returned == &e);
            if (e.ctx != NULL)
                EQUAL(weft_ctx_free(e.ctx), 0);
            EQUAL(weft_chan_free(e.ready), 0);
        }
    use_and_free(&t);
}

/* --- contexts of goroutines -------------------------------------------------------------------------------------- */

static void *inherits(void *chan)
{
    int64_t value = 5;
    EQUAL(weft_chan_recv(chan, &value), WEFT_ECANCELED);
    EQUAL(value, 5);
    EQUAL(weft_with(NULL, NULL), 0); /* Without it nothing ends this one. */
    EQUAL(weft_cancelled(), 0);
    EQUAL(weft_chan_recv(chan, &value), WEFT_EPIPE);
    return NULL;
}

static void plain_inherits_nothing(void *done)
{
    weft_ctx *old = (weft_ctx *)8;
    EQUAL(weft_sleep(MS), 0);
    EQUAL(weft_with(NULL, &old), 0);
    CHECK(old == NULL);
    EQUAL(weft_wg_done(done), 0);
}

static void contexts(void *argument)
{
    weft_ctx *first, *second, *old = NULL;
    weft_chan *chan;
    weft_task *task;
    weft_wg *wg;
    int64_t value = 3;
    (void)argument;
    EQUAL(weft_chan_make(&chan, sizeof value, 1), 0);
    EQUAL(weft_wg_make(&wg), 0);
    EQUAL(weft_ctx_make(&first, NULL, WEFT_FOREVER), 0);
    EQUAL(weft_ctx_make(&second, first, 2 * MS), 0);
    EQUAL(weft_with(first, &old), 0);
    CHECK(old == NULL);
    EQUAL(weft_with(second, &old), 0);
    CHECK(old == first);
    EQUAL(weft_chan_recv(chan, &value), WEFT_ETIMEDOUT);
    EQUAL(weft_cancelled(), WEFT_ETIMEDOUT);
    EQUAL(weft_chan_send(chan, &value), 0); /* Needs no wait. */
    EQUAL(weft_chan_recv(chan, &value), 0);
    EQUAL(weft_with(old, &old), 0);
    CHECK(old == second);
    EQUAL(weft_cancelled(), 0);
    EQUAL(weft_chan_recv_until(chan, &value, weft_after(2 * MS)), WEFT_ETIMEDOUT);

    EQUAL(weft_wg_add(wg, 1), 0);
    EQUAL(weft_task_go(&task, NULL, inherits, chan), 0);
    EQUAL(weft_sleep(2 * MS), 0);
    EQUAL(weft_ctx_cancel(first), 0);
    EQUAL(weft_go(plain_inherits_nothing, wg), 0);
    EQUAL(weft_wg_wait(wg), 0); /* Not ended. */
    EQUAL(weft_wg_wait_until(wg, WEFT_NEVER), 0);
    EQUAL(weft_sleep(LONG), WEFT_ECANCELED);
    EQUAL(weft_task_join(task, NULL), WEFT_ECANCELED); /* The handle stays. */
    EQUAL(weft_with(NULL, NULL), 0);
    EQUAL(weft_chan_close(chan), 0);
    EQUAL(weft_task_join(task, NULL), 0);
    EQUAL(weft_ctx_free(second), 0);
    EQUAL(weft_with(second, NULL), WEFT_EBADF);
    EQUAL(weft_with(first, NULL), 0);
    EQUAL(weft_ctx_free(first), 0);
    EQUAL(weft_sleep(LONG), WEFT_ECANCELED);
    EQUAL(weft_with(NULL, NULL), 0);
    EQUAL(weft_sleep(MS), 0);
    EQUAL(weft_chan_free(chan), 0);
    EQUAL(weft_wg_free(wg), 0);
}

/* --- tasks ----------------------------------------------------------------------------------------------------- */

static void *twice(void *n)
{
    weft_yield();
    return (void *)(2 * (intptr_t)n);
}

static void *exits(void *argument)
{
    weft_exit();
    return argument;
}

static void *joins_itself(void *task)
{
    return (void *)(intptr_t)weft_task_join(*(weft_task **)task, NULL);
}

static void *joins(void *task)
{
    return (void *)(intptr_t)weft_task_join(task, NULL);
}

static void tasks(void)
{
    weft_task *task, *others[8], *many[100];
    weft_chan *chan, *ended;
    void *result;
    weft_attr attr = { sizeof attr, 1 << 20, WEFT_STACK_FIXED, 0, "a task" };
    EQUAL(weft_chan_make(&chan, 0, 0), 0);
    for (intptr_t i = 0; i < 100; i++)
        EQUAL(weft_task_go(&many[i], i % 2 ? &attr : NULL, twice, (void *)i), 0);
    for (intptr_t i = 0; i < 100; i++) {
        EQUAL(weft_task_join(many[i], &result), 0);
        EQUAL((intptr_t)result, 2 * i);
    }
    attr.stack_kind = WEFT_STACK_MOVABLE;
    EQUAL(weft_task_go(&task, &attr, twice, (void *)4), 0);
    EQUAL(weft_task_join_until(task, &result, weft_after(LONG)), 0);
    EQUAL((intptr_t)result, 8);
    EQUAL(weft_task_go(&task, NULL, exits, &task), 0);
    EQUAL(weft_task_join(task, &result), 0);
    CHECK(result == NULL);
    EQUAL(weft_task_go(&task, NULL, joins_itself, &task), 0);
    EQUAL(weft_task_join(task, &result), 0);
    EQUAL((intptr_t)result, WEFT_EDEADLK);

    EQUAL(weft_task_go(&task, NULL, until_closed, chan), 0);
    EQUAL(weft_task_chan(task, NULL), WEFT_EINVAL);
    EQUAL(weft_task_chan(task, &ended), 0);
    EQUAL(weft_task_chan(task, &ended), 0);
    EQUAL(weft_chan_try_recv(ended, NULL), WEFT_EAGAIN);
    EQUAL(weft_chan_close(ended), WEFT_EPERM);
    EQUAL(weft_task_join_until(task, NULL, weft_after(MS)), WEFT_ETIMEDOUT);
    for (int i = 0; i < 8; i++)
        EQUAL(weft_task_go(&others[i], NULL, joins, task), 0);
    EQUAL(weft_sleep(MS), 0);
    EQUAL(weft_task_cancel(task), 0);
    int won = 0;
    for (int i = 0; i < 8; i++) {
        EQUAL(weft_task_join(others[i], &result), 0);
        CHECK(result == NULL || (intptr_t)result == WEFT_EBADF);
        won += result == NULL;
    }
    EQUAL(won, 1);
    EQUAL(weft_chan_recv(ended, NULL), WEFT_EBADF);

    EQUAL(weft_task_go(&task, NULL, until_closed, chan), 0);
    EQUAL(weft_task_chan(task, &ended), 0);
    EQUAL(weft_task_cancel(task), 0);
    EQUAL(weft_task_cancel(task), 0);
    EQUAL(weft_chan_recv(ended, NULL), WEFT_EPIPE);
    EQUAL(weft_task_interrupt(task), 0); /* It has ended. */
    EQUAL(weft_task_join(task, &result), 0);
    EQUAL((intptr_t)result, WEFT_ECANCELED);

    int64_t count = weft_count();
    EQUAL(weft_task_go(&task, NULL, until_closed, chan), 0);
    EQUAL(weft_task_free(task), 0);
    EQUAL(weft_task_free(task), WEFT_EBADF);
    EQUAL(weft_task_cancel(task), WEFT_EBADF);
    EQUAL(weft_chan_free(chan), 0);
    for (int i = 0; weft_count() > count && i < 5000; i++)
        weft_sleep(MS);
    CHECK(weft_count() <= count);
}

static weft_chan *is_shielded; /* Closed where it waits for a value. */

static void *shielded(void *chan)
{
    int64_t value = 0;
    EQUAL(weft_chan_recv(chan, &value), WEFT_ECANCELED);
    EQUAL(weft_chan_recv_until(chan, &value, WEFT_NEVER), WEFT_ECANCELED);
    EQUAL(weft_shield(1), 0);
    EQUAL(weft_shield(7), 1);
    EQUAL(weft_cancelled(), WEFT_ECANCELED);
    EQUAL(weft_sleep(MS), 0);
    EQUAL(weft_chan_recv_until(chan, &value, weft_after(MS)), WEFT_ETIMEDOUT);
    EQUAL(weft_with(NULL, NULL), 0); /* Does not take it back. */
    EQUAL(weft_sleep(MS), 0);
    EQUAL(weft_chan_close(is_shielded), 0);
    EQUAL(weft_chan_recv(chan, &value), 0);
    EQUAL(weft_shield(0), 1);
    EQUAL(weft_sleep(MS), WEFT_ECANCELED);
    return chan;
}

static void shields(void)
{
    weft_chan *chan;
    weft_task *task;
    int64_t value = 1;
    EQUAL(weft_chan_make(&chan, sizeof value, 0), 0);
    EQUAL(weft_chan_make(&is_shielded, 0, 0), 0);
    EQUAL(weft_task_go(&task, NULL, shielded, chan), 0);
    EQUAL(weft_task_cancel(task), 0);
    EQUAL(weft_chan_recv(is_shielded, NULL), WEFT_EPIPE);
    EQUAL(weft_chan_send(chan, &value), 0);
    EQUAL(weft_task_join(task, NULL), 0);
    EQUAL(weft_chan_free(chan), 0);
    EQUAL(weft_chan_free(is_shielded), 0);
}

/* --- bundles --------------------------------------------------------------------------------------------------- */

static int running, most;

static int counts(void *delay)
{
    int now = __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
    int seen = __atomic_load_n(&most, __ATOMIC_SEQ_CST);
    while (now > seen && !__atomic_compare_exchange_n(&most, &seen, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    weft_sleep((intptr_t)delay);
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int fails(void *result)
{
    weft_sleep(MS);
    return (int)(intptr_t)result;
}

static int sleeps(void *ended)
{
    int result = weft_sleep(LONG);
    __atomic_add_fetch((int *)ended, 1, __ATOMIC_SEQ_CST);
    return result; /* Not the first. */
}

static int frees_own(void *bundle)
{
    EQUAL(weft_bundle_wait(bundle, NULL), WEFT_EDEADLK);
    EQUAL(weft_bundle_free(bundle), WEFT_EDEADLK);
    EQUAL(weft_bundle_go(bundle, NULL, fails, (void *)0), 0); /* Another one may be started from inside. */
    return 0;
}

static void bundles(void)
{
    weft_bundle *bundle;
    int result = 5, ended = 0;
    EQUAL(weft_bundle_make(&bundle, 3), 0);
    running = most = 0;
    for (int i = 0; i < 20; i++)
        EQUAL(weft_bundle_go(bundle, NULL, counts, (void *)(intptr_t)(MS / 4)), 0);
    EQUAL(weft_bundle_wait(bundle, &result), 0);
    EQUAL(result, 0);
    CHECK(most >= 1 && most <= 3);
    EQUAL(running, 0);
    EQUAL(weft_bundle_free(bundle), 0);
    EQUAL(weft_bundle_wait(bundle, NULL), WEFT_EBADF);

    EQUAL(weft_bundle_make(&bundle, 0), 0);
    for (int i = 0; i < 10; i++)
        EQUAL(weft_bundle_go(bundle, NULL, sleeps, &ended), 0);
    EQUAL(weft_bundle_wait_until(bundle, &result, weft_after(2 * MS)), WEFT_ETIMEDOUT);
    EQUAL(ended, 0);
    EQUAL(weft_bundle_go(bundle, NULL, fails, (void *)42), 0);
    EQUAL(weft_bundle_wait(bundle, &result), 0);
    EQUAL(result, 42);
    EQUAL(ended, 10);
    EQUAL(weft_bundle_go(bundle, NULL, fails, (void *)43), WEFT_ECANCELED);
    EQUAL(weft_bundle_wait(bundle, &result), 0);
    EQUAL(result, 42);
    EQUAL(weft_bundle_free(bundle), 0);

    EQUAL(weft_bundle_make(&bundle, 0), 0);
    ended = 0;
    for (int i = 0; i < 10; i++)
        EQUAL(weft_bundle_go(bundle, NULL, sleeps, &ended), 0);
    EQUAL(weft_bundle_cancel(bundle), 0);
    EQUAL(weft_bundle_cancel(bundle), 0);
    EQUAL(weft_bundle_wait(bundle, &result), 0);
    EQUAL(result, WEFT_ECANCELED);
    EQUAL(ended, 10);
    EQUAL(weft_bundle_free(bundle), 0);

    EQUAL(weft_bundle_make(&bundle, 0), 0);
    ended = 0;
    for (int i = 0; i < 10; i++)
        EQUAL(weft_bundle_go(bundle, NULL, sleeps, &ended), 0);
    EQUAL(weft_bundle_free(bundle), 0); /* Returns when all have ended. */
    EQUAL(ended, 10);

    EQUAL(weft_bundle_make(&bundle, 0), 0);
    EQUAL(weft_bundle_go(bundle, NULL, frees_own, bundle), 0);
    EQUAL(weft_bundle_wait(bundle, &result), 0);
    EQUAL(result, 0);
    EQUAL(weft_bundle_free(bundle), 0);
}

/* --- all at once: who is ended and who gets something at the same time ---------------------------------------- */

struct storm {
    weft_mutex *mutex;
    weft_sem *sem;
    weft_chan *chan;
    weft_rwlock *lock;
    int64_t inside, sent, received, writers, readers;
};

static int storms(void *argument)
{
    struct storm *s = argument;
    unsigned seed = (unsigned)weft_self();
    int64_t value = 1;
    for (int i = 0; i < 400; i++) {
        seed = seed * 1103515245 + 12345;
        int64_t end = weft_after((seed >> 16) % 50000);
        weft_case cases[] = { { s->chan, &value, WEFT_SEND, 0 }, { s->chan, &value, WEFT_RECV, 0 } };
        switch ((seed >> 8) % 6) {
        case 0:
            if (weft_mutex_lock_until(s->mutex, end) == 0) {
                s->inside++;
                weft_yield();
                EQUAL(weft_mutex_unlock(s->mutex), 0);
            }
            break;
        case 1:
            if (weft_sem_acquire_until(s->sem, 1 + seed % 2, end) == 0) {
                weft_yield();
                EQUAL(weft_sem_release(s->sem, 1 + seed % 2), 0);
            }
            break;
        case 2:
            if (weft_chan_send_until(s->chan, &value, end) == 0)
                __atomic_add_fetch(&s->sent, 1, __ATOMIC_SEQ_CST);
            break;
        case 3:
            if (weft_chan_recv_until(s->chan, &value, end) == 0)
                __atomic_add_fetch(&s->received, 1, __ATOMIC_SEQ_CST);
            break;
        case 4:
            switch (weft_select_until(cases, 2, end)) {
            case 0: __atomic_add_fetch(&s->sent, 1, __ATOMIC_SEQ_CST); break;
            case 1: __atomic_add_fetch(&s->received, 1, __ATOMIC_SEQ_CST); break;
            }
            break;
        default:
            if (seed % 2 != 0 && weft_rwlock_wrlock_until(s->lock, end) == 0) {
                EQUAL(__atomic_add_fetch(&s->writers, 1, __ATOMIC_SEQ_CST), 1);
                EQUAL(s->readers, 0);
                weft_yield();
                __atomic_sub_fetch(&s->writers, 1, __ATOMIC_SEQ_CST);
                EQUAL(weft_rwlock_wrunlock(s->lock), 0);
            } else if (seed % 2 == 0 && weft_rwlock_rdlock_until(s->lock, end) == 0) {
                __atomic_add_fetch(&s->readers, 1, __ATOMIC_SEQ_CST);
                EQUAL(s->writers, 0);
                weft_yield();
                __atomic_sub_fetch(&s->readers, 1, __ATOMIC_SEQ_CST);
                EQUAL(weft_rwlock_rdunlock(s->lock), 0);
            }
        }
    }
    return 0;
}

static void *storm_thread(void *s)
{
    storms(s);
    return NULL;
}

static void *storm_task(void *s)
{
    storms(s);
    return NULL;
}

static void storm(void)
{
    struct storm s = { 0 };
    weft_bundle *bundle;
    weft_task *tasks[6];
    pthread_t threads[2];
    int64_t value;
    EQUAL(weft_mutex_make(&s.mutex), 0);
    EQUAL(weft_sem_make(&s.sem, 2), 0);
    EQUAL(weft_chan_make(&s.chan, sizeof value, 1), 0);
    EQUAL(weft_rwlock_make(&s.lock), 0);
    EQUAL(weft_bundle_make(&bundle, 0), 0);
    for (int i = 0; i < 12; i++)
        EQUAL(weft_bundle_go(bundle, NULL, storms, &s), 0);
    for (int i = 0; i < 6; i++)
        EQUAL(weft_task_go(&tasks[i], NULL, storm_task, &s), 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, storm_thread, &s) == 0);
    for (int i = 0; i < 300; i++) {
        EQUAL(weft_task_interrupt(tasks[i % 6]), 0);
        weft_sleep(MS / 50);
    }
    EQUAL(weft_task_cancel(tasks[0]), 0);
    for (int i = 0; i < 6; i++)
        EQUAL(weft_task_join(tasks[i], NULL), 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    EQUAL(weft_bundle_wait(bundle, NULL), 0);
    EQUAL(weft_bundle_free(bundle), 0);
    EQUAL(weft_chan_len(s.chan), s.sent - s.received);
    EQUAL(weft_mutex_try_lock(s.mutex), 0);
    EQUAL(weft_sem_try_acquire(s.sem, 2), 0);
    EQUAL(weft_rwlock_try_wrlock(s.lock), 0);
    CHECK(s.sent > 0 && s.inside > 0);
    EQUAL(weft_mutex_free(s.mutex), 0);
    EQUAL(weft_sem_free(s.sem), 0);
    EQUAL(weft_chan_free(s.chan), 0);
    EQUAL(weft_rwlock_free(s.lock), 0);
}

static void everything(void *argument)
{
    (void)argument;
    wrong_arguments();
    deadlines();
    for (int how = 0; how < 4; how++)
        end_from_outside(how);
    tasks();
    shields();
    bundles();
    storm();
}

int main(int argc, char **argv)
{
    outside();
    EQUAL(weft_init(NULL), 0);
    EQUAL(weft_has("task"), 1);
    CHECK(weft_maxprocs(argc > 1 ? atoi(argv[1]) : 2) > 0);
    EQUAL(weft_with(NULL, NULL), WEFT_ESRCH);
    EQUAL(weft_shield(1), WEFT_ESRCH);
    EQUAL(weft_cancelled(), 0);
    everything(NULL);
    EQUAL(weft_run(everything, NULL), 0);
    EQUAL(weft_run(contexts, NULL), 0);
    ALL_END();
    EQUAL(weft_shutdown(), 0);
    outside();
    puts("passed");
    return 0;
}
