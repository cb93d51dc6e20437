/* Every function of weft.h, with right and with wrong arguments.
 *
 *   api_test PROCS [LOAD]    LOAD goroutines and as many threads keep everybody busy meanwhile
 */
#include <fenv.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

#define MS INT64_C(1000000)

/* Before weft_init, and after weft_shutdown: a code, whatever is called. */
static void outside(void)
{
    weft_chan *chan = (weft_chan *)8;
    weft_case cases[1] = { { chan, NULL, WEFT_RECV, 0 } };
    int key;
    EQUAL(weft_shutdown(), WEFT_ESHUTDOWN);
    EQUAL(weft_run((void (*)(void *))abort, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_go((void (*)(void *))abort, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_go_with(NULL, (void (*)(void *))abort, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_yield(), WEFT_ESHUTDOWN);
    EQUAL(weft_sleep(1), WEFT_ESHUTDOWN);
    EQUAL(weft_exit(), WEFT_ESRCH);
    EQUAL(weft_self(), 0);
    EQUAL(weft_count(), 0);
    EQUAL(weft_maxprocs(0), WEFT_ESHUTDOWN);
    EQUAL(weft_blocking((void (*)(void *))abort, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_lock_thread(), WEFT_ESRCH);
    EQUAL(weft_unlock_thread(), WEFT_ESRCH);
    EQUAL(weft_dump(1), WEFT_ESHUTDOWN);
    EQUAL(weft_local_key(&key, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_local_set(1, NULL), WEFT_ESRCH);
    CHECK(weft_local_get(1) == NULL);
    EQUAL(weft_chan_make(&chan, 1, 1), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_send(chan, &key), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_recv(chan, &key), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_try_send(chan, &key), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_try_recv(chan, &key), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_close(chan), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_len(chan), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_cap(chan), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_elem_size(chan), WEFT_ESHUTDOWN);
    EQUAL(weft_chan_free(chan), WEFT_ESHUTDOWN);
    EQUAL(weft_select(cases, 1, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_mutex_make((weft_mutex **)&chan), WEFT_ESHUTDOWN);
    EQUAL(weft_mutex_lock((weft_mutex *)chan), WEFT_ESHUTDOWN);
    EQUAL(weft_cond_make((weft_cond **)&chan, (weft_mutex *)chan), WEFT_ESHUTDOWN);
    EQUAL(weft_sem_make((weft_sem **)&chan, 1), WEFT_ESHUTDOWN);
    EQUAL(weft_once_do((weft_once *)&chan, (void (*)(void *))abort, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_timer_make((weft_timer **)&chan, 1, 0, NULL, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_ctx_make((weft_ctx **)&chan, NULL, -1), WEFT_ESHUTDOWN);
    EQUAL(weft_fd_wait(0, WEFT_READABLE, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_listen((weft_listener **)&chan, "tcp", "127.0.0.1:0"), WEFT_ESHUTDOWN);
    EQUAL(weft_dial((weft_conn **)&chan, "tcp", "127.0.0.1:1", -1), WEFT_ESHUTDOWN);
    CHECK(weft_ctx_value((weft_ctx *)chan, &chan) == NULL);
    CHECK(weft_now() > 0);
    CHECK(strcmp(weft_version(), WEFT_VERSION) == 0);
    EQUAL(weft_abi_version(), 1);
    EQUAL(weft_has("timer"), 1);
    EQUAL(weft_has("magic"), 0);
    EQUAL(weft_has(NULL), 0);
    CHECK(strcmp(weft_strerror(0), weft_strerror(WEFT_EPIPE)) != 0);
    CHECK(strcmp(weft_strerror(-12345), "unknown error") == 0);
}

static void nothing(void *argument)
{
    (void)argument;
}

static void initialization(void)
{
    weft_options options = { sizeof options, -1, 0, 0, 0 };
    EQUAL(weft_init(&options), WEFT_EINVAL);
    options.maxprocs = 1025;
    EQUAL(weft_init(&options), WEFT_EINVAL);
    options.maxprocs = 0, options.max_threads = -1;
    EQUAL(weft_init(&options), WEFT_EINVAL);
    options.max_threads = 0, options.flags = 4;
    EQUAL(weft_init(&options), WEFT_EINVAL);
    options.flags = 0, options.size = 3;
    EQUAL(weft_init(&options), WEFT_EINVAL);
    options.size = 1 << 20;
    EQUAL(weft_init(&options), WEFT_EINVAL);
    outside();
    options.size = sizeof options, options.maxprocs = 3;
    EQUAL(weft_init(&options), 0);
    EQUAL(weft_maxprocs(0), 3);
    EQUAL(weft_init(NULL), 0);
    EQUAL(weft_shutdown(), 0);
    EQUAL(weft_yield(), 0);
    EQUAL(weft_shutdown(), 0);
    outside();
    for (int i = 0; i < 300; i++) { /* What has ended is in nobody's way. */
        EQUAL(weft_init(&options), 0);
        EQUAL(weft_run(nothing, NULL), 0);
        EQUAL(weft_shutdown(), 0);
    }
}

static void add_one(void *number)
{
    ++*(int *)number;
}

static void sleep_long(void *done)
{
    weft_chan_recv(done, NULL);
}

static void fill_stack(void *argument)
{
    volatile char room[900 * 1024]; /* More than the default stack has. */
    for (size_t i = 0; i < sizeof room; i += 512)
        room[i] = 1;
    *(int *)argument = room[512];
}

static void note_name(void *dump)
{
    int *fds = dump;
    EQUAL(weft_dump(fds[1]), 0);
}

static void leave(void *number)
{
    ++*(int *)number;
    weft_exit();
    *(int *)number = -1;
}

static void goroutines(void)
{
    int number = 0;
    EQUAL(weft_run(NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_run(add_one, &number), 0);
    EQUAL(number, 1);
    EQUAL(weft_go(NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_run(leave, &number), 0);
    EQUAL(number, 2);

    weft_attr attr = { sizeof attr, 1024, WEFT_STACK_FIXED, 0, NULL };
    EQUAL(weft_go_with(&attr, add_one, &number), WEFT_EINVAL);
    attr.stack_size = (size_t)2 << 30;
    EQUAL(weft_go_with(&attr, add_one, &number), WEFT_EINVAL);
    attr.stack_size = 0, attr.stack_kind = 7;
    EQUAL(weft_go_with(&attr, add_one, &number), WEFT_EINVAL);
    attr.stack_kind = WEFT_STACK_FIXED, attr.flags = 1;
    EQUAL(weft_go_with(&attr, add_one, &number), WEFT_EINVAL);
    attr.flags = 0, attr.size = 1;
    EQUAL(weft_go_with(&attr, add_one, &number), WEFT_EINVAL);
    attr.size = sizeof attr;
    EQUAL(weft_go_with(&attr, NULL, NULL), WEFT_EINVAL);

    number = 0;
    attr.stack_size = 1024 * 1024;
    EQUAL(weft_go_with(&attr, fill_stack, &number), 0);
    while (number == 0)
        weft_sleep(MS);
    EQUAL(number, 1);
    attr.stack_kind = WEFT_STACK_MOVABLE;
    EQUAL(weft_go_with(&attr, add_one, &number), 0);
    while (number == 1)
        weft_sleep(MS);

    EQUAL(weft_maxprocs(-1), WEFT_EINVAL);
    EQUAL(weft_maxprocs(1025), WEFT_EINVAL);
    CHECK(weft_maxprocs(0) > 0);

    /* A report has the name. */
    weft_chan *end;
    int fds[2];
    char text[65536];
    EQUAL(weft_chan_make(&end, 0, 0), 0);
    attr.stack_kind = WEFT_STACK_FIXED, attr.name = "the sleeper with a name that is too long";
    EQUAL(weft_go_with(&attr, sleep_long, end), 0);
    CHECK(pipe(fds) == 0);
    EQUAL(weft_blocking(NULL, NULL), WEFT_EINVAL);
    for (int i = 0; i < 5000; i++) {
        EQUAL(weft_blocking(note_name, fds), 0);
        ssize_t length = read(fds[0], text, sizeof text - 1);
        CHECK(length > 0);
        text[length] = 0;
        if (strstr(text, "\"the sleeper with a name that is\" [chan receive, ") != NULL)
            break;
        weft_sleep(MS); /* It has not got there yet. */
    }
    CHECK(strstr(text, "\"the sleeper with a name that is\" [chan receive, ") != NULL);
    close(fds[0]), close(fds[1]);
    EQUAL(weft_dump(fds[1]), WEFT_EINVAL);
    EQUAL(weft_chan_free(end), 0);
}

static int ends;

static void end_local(void *value)
{
    CHECK(value == &ends);
    ends++;
}

static void use_locals(void *argument)
{
    int *keys = argument;
    CHECK(weft_self() > 0);
    for (int i = 0; i < 2; i++) {
        CHECK(weft_local_get(keys[i]) == NULL);
        EQUAL(weft_local_set(keys[i], &ends), 0);
        weft_yield();
        CHECK(weft_local_get(keys[i]) == &ends);
    }
    EQUAL(weft_local_set(keys[1], NULL), 0);
    EQUAL(weft_local_set(0, &ends), WEFT_EINVAL);
    EQUAL(weft_local_set(33, &ends), WEFT_EINVAL);
    CHECK(weft_local_get(-1) == NULL);
    EQUAL(weft_lock_thread(), 0);
    long thread = syscall(SYS_gettid); /* The compiler takes pthread_self for a constant. */
    for (int i = 0; i < 100; i++)
        weft_yield();
    EQUAL(syscall(SYS_gettid), thread);
    EQUAL(weft_unlock_thread(), 0);
    EQUAL(weft_unlock_thread(), WEFT_EPERM);
}

static void locals(void)
{
    int keys[2];
    ends = 0;
    EQUAL(weft_local_key(NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_local_key(&keys[0], end_local), 0);
    EQUAL(weft_local_key(&keys[1], end_local), 0);
    EQUAL(weft_run(use_locals, keys), 0);
    EQUAL(weft_run(use_locals, keys), 0);
    EQUAL(ends, 2);
}

struct pair {
    weft_chan *in, *out;
    int size;
};

static void echo(void *argument)
{
    struct pair *pair = argument;
    unsigned char element[300];
    while (weft_chan_recv(pair->in, element) == 0)
        EQUAL(weft_chan_send(pair->out, element), 0);
    EQUAL(weft_chan_close(pair->out), 0);
}

static void channels(void)
{
    static const int sizes[] = { 0, 1, 3, 4, 8, 16, 24, 300 };
    weft_chan *chan, *other = NULL;
    unsigned char sent[300], got[300];
    int64_t value = 1;
    EQUAL(weft_chan_make(NULL, 8, 0), WEFT_EINVAL);
    EQUAL(weft_chan_make(&chan, (size_t)1 << 40, 1), WEFT_EINVAL);
    EQUAL(weft_chan_make(&chan, 1 << 20, 1 << 20), WEFT_EINVAL);
    EQUAL(weft_chan_make(&chan, SIZE_MAX / 2, 4), WEFT_EINVAL);
    EQUAL(weft_chan_send(NULL, &value), WEFT_EINVAL);
    EQUAL(weft_chan_recv(NULL, &value), WEFT_EINVAL);
    EQUAL(weft_chan_close(NULL), WEFT_EINVAL);
    EQUAL(weft_chan_free(NULL), WEFT_EINVAL);
    EQUAL(weft_chan_len(NULL), WEFT_EINVAL);
    EQUAL(weft_chan_recv((weft_chan *)&value, &value), WEFT_EBADF);
    EQUAL(weft_chan_recv((weft_chan *)~(uintptr_t)0, &value), WEFT_EBADF);
    EQUAL(weft_chan_recv((weft_chan *)(uintptr_t)1, &value), WEFT_EBADF);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int capacity = 0; capacity < 3; capacity++) {
            struct pair pair = { NULL, NULL, sizes[i] };
            EQUAL(weft_chan_make(&pair.in, sizes[i], capacity), 0);
            EQUAL(weft_chan_make(&pair.out, sizes[i], capacity), 0);
            EQUAL(weft_chan_elem_size(pair.in), sizes[i]);
            EQUAL(weft_chan_cap(pair.in), capacity);
            EQUAL(weft_go(echo, &pair), 0);
            for (int n = 0; n < 50; n++) {
                for (int k = 0; k < sizes[i]; k++)
                    sent[k] = (unsigned char)(n + k);
                memset(got, 0xee, sizeof got);
                EQUAL(weft_chan_send(pair.in, sent), 0);
                EQUAL(weft_chan_recv(pair.out, got), 0);
                CHECK(memcmp(sent, got, sizes[i]) == 0);
                CHECK(sizes[i] == 300 || got[sizes[i]] == 0xee);
            }
            EQUAL(weft_chan_close(pair.in), 0);
            EQUAL(weft_chan_recv(pair.out, got), WEFT_EPIPE);
            CHECK(sizes[i] == 0 || got[sizes[i] - 1] == 0);
            EQUAL(weft_chan_free(pair.in), 0);
            EQUAL(weft_chan_free(pair.out), 0);
        }

    EQUAL(weft_chan_make(&chan, 8, 2), 0);
    EQUAL(weft_chan_send(chan, NULL), WEFT_EINVAL);
    EQUAL(weft_chan_try_send(chan, NULL), WEFT_EINVAL);
    EQUAL(weft_chan_try_recv(chan, &value), WEFT_EAGAIN);
    EQUAL(value, 1);
    EQUAL(weft_chan_try_send(chan, &value), 0);
    EQUAL(weft_chan_try_send(chan, &value), 0);
    EQUAL(weft_chan_try_send(chan, &value), WEFT_EAGAIN);
    EQUAL(weft_chan_len(chan), 2);
    EQUAL(weft_chan_recv(chan, NULL), 0);
    EQUAL(weft_chan_close(chan), 0);
    EQUAL(weft_chan_close(chan), WEFT_EPIPE);
    EQUAL(weft_chan_send(chan, &value), WEFT_EPIPE);
    EQUAL(weft_chan_try_send(chan, &value), WEFT_EPIPE);
    EQUAL(weft_chan_try_recv(chan, &value), 0);
    EQUAL(value, 1);
    EQUAL(weft_chan_try_recv(chan, &value), WEFT_EPIPE);
    EQUAL(value, 0);
    EQUAL(weft_chan_free(chan), 0);
    EQUAL(weft_chan_free(chan), WEFT_EBADF);
    EQUAL(weft_chan_recv(chan, &value), WEFT_EBADF);
    EQUAL(weft_chan_make(&other, 8, 2), 0);
    EQUAL(weft_chan_recv(chan, &value), WEFT_EBADF); /* Its place serves again; the old handle does not. */
    EQUAL(weft_mutex_lock((weft_mutex *)other), WEFT_EBADF);
    EQUAL(weft_chan_free(other), 0);
}

static void send_later(void *chan)
{
    int64_t value = 5;
    weft_sleep(2 * MS);
    weft_chan_send(chan, &value);
}

static void selects(void)
{
    weft_chan *a, *b;
    int64_t x = 0, y = 7;
    EQUAL(weft_chan_make(&a, 8, 1), 0);
    EQUAL(weft_chan_make(&b, 8, 0), 0);
    weft_case cases[3] = { { a, &x, WEFT_RECV, 9 }, { b, &y, WEFT_SEND, 9 }, { NULL, NULL, WEFT_RECV, 9 } };
    EQUAL(weft_select(NULL, 1, 0), WEFT_EINVAL);
    EQUAL(weft_select(cases, -1, 0), WEFT_EINVAL);
    EQUAL(weft_select(cases, 1 << 20, 0), WEFT_EINVAL);
    EQUAL(weft_select(NULL, 0, 0), WEFT_EAGAIN);
    EQUAL(weft_select(NULL, 0, MS), WEFT_ETIMEDOUT);
    EQUAL(weft_select(cases, 3, 0), WEFT_EAGAIN);
    EQUAL(weft_select(cases + 2, 1, MS), WEFT_ETIMEDOUT);
    int64_t start = weft_now();
    EQUAL(weft_select(cases, 3, 5 * MS), WEFT_ETIMEDOUT);
    CHECK(weft_now() - start >= 5 * MS);
    cases[0].op = 5;
    EQUAL(weft_select(cases, 3, 0), WEFT_EINVAL);
    cases[0].op = WEFT_RECV, cases[1].elem = NULL;
    EQUAL(weft_select(cases, 3, 0), WEFT_EINVAL);
    cases[1].elem = &y, cases[0].chan = (weft_chan *)1;
    EQUAL(weft_select(cases, 3, 0), WEFT_EBADF);
    cases[0].chan = a;
    EQUAL(weft_chan_send(a, &y), 0);
    EQUAL(weft_select(cases, 3, WEFT_FOREVER), 0);
    EQUAL(cases[0].result, 0);
    EQUAL(x, 7);
    EQUAL(weft_go(send_later, a), 0);
    EQUAL(weft_select(cases, 3, WEFT_FOREVER), 0);
    EQUAL(x, 5);
    EQUAL(weft_go(send_later, a), 0);
    EQUAL(weft_select(cases, 3, 10000 * MS), 0);
    EQUAL(weft_chan_close(b), 0);
    EQUAL(weft_select(cases, 3, WEFT_FOREVER), 1);
    EQUAL(cases[1].result, WEFT_EPIPE);
    cases[1].op = WEFT_RECV;
    EQUAL(weft_select(cases, 3, WEFT_FOREVER), 1);
    EQUAL(cases[1].result, WEFT_EPIPE);
    EQUAL(y, 0);

    weft_case many[20];
    for (int i = 0; i < 20; i++)
        many[i] = (weft_case){ a, &x, WEFT_RECV, 0 };
    EQUAL(weft_go(send_later, a), 0);
    int chosen = weft_select(many, 20, WEFT_FOREVER);
    CHECK(chosen >= 0 && chosen < 20);
    EQUAL(weft_chan_free(a), 0);
    EQUAL(weft_select(many, 20, 0), WEFT_EBADF);
    EQUAL(weft_chan_free(b), 0);
}

/* Each is chosen as often, but for one without a channel; and what is wrong is told, whatever is ready. */
static void selects_of_ready(void)
{
    weft_chan *closed[3];
    weft_case cases[4] = { { NULL, NULL, WEFT_RECV, 0 } };
    int64_t x = 3;
    int counts[4] = { 0 };
    for (int i = 0; i < 3; i++) {
        EQUAL(weft_chan_make(&closed[i], 8, 1), 0);
        EQUAL(weft_chan_close(closed[i]), 0);
        cases[i == 0 ? 0 : i + 1] = (weft_case){ closed[i], &x, WEFT_RECV, 9 };
    }
    cases[1] = (weft_case){ NULL, NULL, WEFT_SEND, 9 };
    for (int i = 0; i < 3000; i++) {
        int chosen = weft_select(cases, 4, i % 2 == 0 ? WEFT_FOREVER : 0);
        CHECK(chosen >= 0 && chosen < 4);
        EQUAL(cases[chosen].result, WEFT_EPIPE);
        counts[chosen]++;
    }
    EQUAL(x, 0);
    EQUAL(counts[1], 0);
    CHECK(counts[0] > 700 && counts[2] > 700 && counts[3] > 700);
    cases[1].op = 5;
    EQUAL(weft_select(cases, 4, WEFT_FOREVER), WEFT_EINVAL);
    cases[1].op = WEFT_RECV, cases[3].op = 5;
    EQUAL(weft_select(cases, 4, WEFT_FOREVER), WEFT_EINVAL);
    cases[3].op = WEFT_SEND, cases[3].elem = NULL;
    EQUAL(weft_select(cases, 4, WEFT_FOREVER), WEFT_EINVAL);
    cases[3].op = WEFT_RECV;
    CHECK(weft_select(cases, 4, WEFT_FOREVER) >= 0);
    EQUAL(weft_chan_free(closed[2]), 0);
    EQUAL(weft_select(cases, 4, WEFT_FOREVER), WEFT_EBADF);
    EQUAL(weft_chan_free(closed[0]), 0);
    EQUAL(weft_chan_free(closed[1]), 0);
}

struct shared {
    weft_mutex *mutex;
    weft_rwlock *lock;
    weft_cond *cond;
    weft_sem *sem;
    weft_wg *wg;
    weft_once once;
    long count, turns, inside;
    int once_count;
};

static void do_once(void *argument)
{
    struct shared *s = argument;
    weft_sleep(MS);
    s->once_count++;
}

static void worker(void *argument)
{
    struct shared *s = argument;
    EQUAL(weft_once_do(&s->once, do_once, s), 0);
    EQUAL(s->once_count, 1);
    for (int i = 0; i < 200; i++) {
        EQUAL(weft_mutex_lock(s->mutex), 0);
        s->count++;
        if (i % 16 == 0)
            weft_yield();
        EQUAL(weft_mutex_unlock(s->mutex), 0);
        EQUAL(weft_rwlock_wrlock(s->lock), 0);
        s->turns++;
        EQUAL(weft_rwlock_wrunlock(s->lock), 0);
        EQUAL(weft_rwlock_rdlock(s->lock), 0);
        CHECK(s->turns > 0);
        EQUAL(weft_rwlock_rdunlock(s->lock), 0);
        EQUAL(weft_sem_acquire(s->sem, 2), 0);
        EQUAL(weft_sem_release(s->sem, 2), 0);
    }
    EQUAL(weft_mutex_lock(s->mutex), 0);
    while (s->inside == 0)
        EQUAL(weft_cond_wait(s->cond), 0);
    EQUAL(weft_mutex_unlock(s->mutex), 0);
    EQUAL(weft_wg_done(s->wg), 0);
}

static void *worker_thread(void *argument)
{
    worker(argument);
    return NULL;
}

static void locks(void)
{
    struct shared s = { 0 };
    weft_once bad = { 123456 };
    pthread_t threads[3];
    EQUAL(weft_mutex_make(NULL), WEFT_EINVAL);
    EQUAL(weft_rwlock_make(NULL), WEFT_EINVAL);
    EQUAL(weft_wg_make(NULL), WEFT_EINVAL);
    EQUAL(weft_sem_make(NULL, 1), WEFT_EINVAL);
    EQUAL(weft_sem_make(&s.sem, -1), WEFT_EINVAL);
    EQUAL(weft_cond_make(&s.cond, NULL), WEFT_EINVAL);
    EQUAL(weft_mutex_make(&s.mutex), 0);
    EQUAL(weft_rwlock_make(&s.lock), 0);
    EQUAL(weft_cond_make(NULL, s.mutex), WEFT_EINVAL);
    EQUAL(weft_cond_make(&s.cond, (weft_mutex *)s.lock), WEFT_EBADF);
    EQUAL(weft_cond_make(&s.cond, s.mutex), 0);
    EQUAL(weft_sem_make(&s.sem, 3), 0);
    EQUAL(weft_wg_make(&s.wg), 0);

    EQUAL(weft_mutex_unlock(s.mutex), WEFT_EPERM);
    EQUAL(weft_cond_wait(s.cond), WEFT_EPERM);
    EQUAL(weft_mutex_try_lock(s.mutex), 0);
    EQUAL(weft_mutex_try_lock(s.mutex), WEFT_EAGAIN);
    EQUAL(weft_mutex_unlock(s.mutex), 0);
    EQUAL(weft_rwlock_rdunlock(s.lock), WEFT_EPERM);
    EQUAL(weft_rwlock_wrunlock(s.lock), WEFT_EPERM);
    EQUAL(weft_rwlock_try_rdlock(s.lock), 0);
    EQUAL(weft_rwlock_try_wrlock(s.lock), WEFT_EAGAIN);
    EQUAL(weft_rwlock_rdunlock(s.lock), 0);
    EQUAL(weft_rwlock_try_wrlock(s.lock), 0);
    EQUAL(weft_rwlock_try_rdlock(s.lock), WEFT_EAGAIN);
    EQUAL(weft_rwlock_wrunlock(s.lock), 0);
    EQUAL(weft_sem_acquire(s.sem, 4), WEFT_EINVAL);
    EQUAL(weft_sem_acquire(s.sem, -1), WEFT_EINVAL);
    EQUAL(weft_sem_try_acquire(s.sem, -1), WEFT_EINVAL);
    EQUAL(weft_sem_try_acquire(s.sem, 3), 0);
    EQUAL(weft_sem_try_acquire(s.sem, 1), WEFT_EAGAIN);
    EQUAL(weft_sem_release(s.sem, 4), WEFT_EPERM);
    EQUAL(weft_sem_release(s.sem, 3), 0);
    EQUAL(weft_wg_done(s.wg), WEFT_EPERM);
    EQUAL(weft_wg_wait(s.wg), 0);
    EQUAL(weft_once_do(NULL, add_one, NULL), WEFT_EINVAL);
    EQUAL(weft_once_do(&s.once, NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_once_do(&bad, add_one, NULL), WEFT_EBADF);

    EQUAL(weft_wg_add(s.wg, 13), 0);
    for (int i = 0; i < 10; i++)
        EQUAL(weft_go(worker, &s), 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, worker_thread, &s) == 0);
    weft_sleep(5 * MS);
    EQUAL(weft_mutex_lock(s.mutex), 0);
    s.inside = 1;
    EQUAL(weft_cond_signal(s.cond), 0);
    EQUAL(weft_cond_broadcast(s.cond), 0);
    EQUAL(weft_mutex_unlock(s.mutex), 0);
    EQUAL(weft_wg_wait(s.wg), 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    EQUAL(s.count, 13 * 200);
    EQUAL(s.turns, 13 * 200);
    EQUAL(s.once_count, 1);

    EQUAL(weft_cond_free(s.cond), 0);
    EQUAL(weft_cond_signal(s.cond), WEFT_EBADF);
    EQUAL(weft_mutex_free(s.mutex), 0);
    EQUAL(weft_mutex_lock(s.mutex), WEFT_EBADF);
    EQUAL(weft_mutex_try_lock(s.mutex), WEFT_EBADF);
    EQUAL(weft_mutex_unlock(s.mutex), WEFT_EBADF);
    EQUAL(weft_rwlock_free(s.lock), 0);
    EQUAL(weft_rwlock_rdlock(s.lock), WEFT_EBADF);
    EQUAL(weft_rwlock_try_rdlock(s.lock), WEFT_EBADF);
    EQUAL(weft_rwlock_try_wrlock(s.lock), WEFT_EBADF);
    EQUAL(weft_sem_free(s.sem), 0);
    EQUAL(weft_sem_try_acquire(s.sem, 1), WEFT_EBADF);
    EQUAL(weft_wg_free(s.wg), 0);
    EQUAL(weft_wg_free(s.wg), WEFT_EBADF);
}

static void timers(void)
{
    weft_timer *timer;
    weft_chan *chan, *none = NULL;
    int number = 0;
    int64_t time = 0, start = weft_now();
    EQUAL(weft_timer_make(NULL, 0, 0, NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_timer_make(&timer, 0, -1, NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_timer_make(&timer, 3 * MS, 0, NULL, NULL), 0);
    EQUAL(weft_timer_chan(timer, NULL), WEFT_EINVAL);
    EQUAL(weft_timer_chan(timer, &chan), 0);
    EQUAL(weft_chan_recv(chan, &time), 0);
    CHECK(time - start >= 3 * MS);
    EQUAL(weft_timer_stop(timer), 0);
    EQUAL(weft_timer_reset(timer, 1000000 * MS, -1), WEFT_EINVAL);
    EQUAL(weft_timer_reset(timer, 1000000 * MS, 0), 0);
    EQUAL(weft_timer_reset(timer, 0, MS), 1);
    for (int i = 0; i < 3; i++)
        EQUAL(weft_chan_recv(chan, &time), 0);
    EQUAL(weft_timer_free(timer), 0);
    EQUAL(weft_timer_stop(timer), WEFT_EBADF);
    EQUAL(weft_timer_reset(timer, 0, 0), WEFT_EBADF);
    EQUAL(weft_chan_recv(chan, &time), WEFT_EBADF);

    EQUAL(weft_timer_make(&timer, MS, 0, add_one, &number), 0);
    EQUAL(weft_timer_chan(timer, &none), WEFT_EINVAL);
    while (*(volatile int *)&number == 0)
        weft_sleep(MS);
    EQUAL(weft_timer_free(timer), 0);
    EQUAL(weft_timer_free(NULL), WEFT_EINVAL);
    start = weft_now();
    EQUAL(weft_sleep(2 * MS), 0);
    CHECK(weft_now() - start >= 2 * MS);
    EQUAL(weft_sleep(0), 0);
    EQUAL(weft_sleep(-5), 0);
}

static void contexts(void)
{
    weft_ctx *parent, *child, *grandchild, *timed;
    weft_chan *done;
    int key, value;
    EQUAL(weft_ctx_make(NULL, NULL, -1), WEFT_EINVAL);
    EQUAL(weft_ctx_make(&child, (weft_ctx *)8, -1), WEFT_EBADF);
    EQUAL(weft_ctx_make(&parent, NULL, -1), 0);
    EQUAL(weft_ctx_with_value(&child, parent, NULL, &value), WEFT_EINVAL);
    EQUAL(weft_ctx_with_value(&child, parent, &key, &value), 0);
    EQUAL(weft_ctx_make(&grandchild, child, 100000 * MS), 0);
    CHECK(weft_ctx_value(grandchild, &key) == &value);
    CHECK(weft_ctx_value(grandchild, &value) == NULL);
    CHECK(weft_ctx_value(parent, &key) == NULL);
    CHECK(weft_ctx_value(parent, NULL) == NULL);
    CHECK(weft_ctx_value(NULL, &key) == NULL);
    EQUAL(weft_ctx_remaining(parent), INT64_MAX);
    CHECK(weft_ctx_remaining(grandchild) > 10000 * MS);
    CHECK(weft_ctx_remaining(grandchild) <= 100000 * MS);
    EQUAL(weft_ctx_done(grandchild, NULL), WEFT_EINVAL);
    EQUAL(weft_ctx_done(grandchild, &done), 0);
    EQUAL(weft_chan_try_recv(done, NULL), WEFT_EAGAIN);
    EQUAL(weft_ctx_err(grandchild), 0);
    EQUAL(weft_ctx_cancel(parent), 0);
    EQUAL(weft_ctx_cancel(parent), 0);
    EQUAL(weft_ctx_err(grandchild), WEFT_ECANCELED);
    EQUAL(weft_chan_recv(done, NULL), WEFT_EPIPE);
    EQUAL(weft_ctx_make(&timed, NULL, 3 * MS), 0);
    EQUAL(weft_ctx_done(timed, &done), 0);
    EQUAL(weft_chan_recv(done, NULL), WEFT_EPIPE);
    EQUAL(weft_ctx_err(timed), WEFT_ETIMEDOUT);
    EQUAL(weft_ctx_remaining(timed), 0);
    EQUAL(weft_ctx_free(timed), 0);
    EQUAL(weft_ctx_free(grandchild), 0);
    EQUAL(weft_ctx_free(child), 0);
    EQUAL(weft_ctx_free(parent), 0);
    EQUAL(weft_ctx_free(parent), WEFT_EBADF);
    EQUAL(weft_ctx_err(parent), WEFT_EBADF);
    EQUAL(weft_ctx_cancel(parent), WEFT_EBADF);
    EQUAL(weft_ctx_remaining(parent), WEFT_EBADF);
    EQUAL(weft_ctx_done(parent, &done), WEFT_EBADF);
}

static void round_up(void *mode)
{
    fesetround((int)(intptr_t)mode);
    for (int i = 0; i < 1000; i++) {
        weft_yield();
        EQUAL(fegetround(), (intptr_t)mode);
    }
}

static int64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* Who computes for so long loses the processor, and waits for it on the way into the library. */
static void compute_and_round(void *mode)
{
    fesetround((int)(intptr_t)mode);
    for (int i = 0; i < 20; i++) {
        int64_t start = now();
        while (now() - start < 2 * MS) {
        }
        weft_yield();
        EQUAL(fegetround(), (intptr_t)mode);
        weft_yield();
        EQUAL(fegetround(), (intptr_t)mode);
    }
}

static void round_and_exit(void *mode)
{
    fesetround((int)(intptr_t)mode);
    weft_exit();
}

static void rounding(void)
{
    for (int i = 0; i < 100; i++) /* Whoever takes their place must know nothing of it. */
        EQUAL(weft_run(round_and_exit, (void *)(intptr_t)FE_TOWARDZERO), 0);
    weft_go(round_up, (void *)(intptr_t)FE_UPWARD);
    weft_go(round_up, (void *)(intptr_t)FE_DOWNWARD);
    weft_run(round_up, (void *)(intptr_t)FE_TONEAREST);
    weft_go(compute_and_round, (void *)(intptr_t)FE_UPWARD);
    weft_go(compute_and_round, (void *)(intptr_t)FE_DOWNWARD);
    weft_run(compute_and_round, (void *)(intptr_t)FE_TONEAREST);
    EQUAL(fegetround(), FE_TONEAREST);
}

static void keep_conn(void *listener)
{
    weft_conn *conn;
    char byte;
    EQUAL(weft_accept(listener, &conn), 0);
    EQUAL(weft_read(conn, &byte, 1), 1);
    EQUAL(byte, 'a');
    EQUAL(weft_write(conn, "bc", 2), 2);
    EQUAL(weft_read(conn, &byte, 1), 0); /* The end. */
    EQUAL(weft_conn_close(conn), 0);
}

static void net(void)
{
    weft_listener *listener;
    weft_conn *conn;
    char address[32], text[4];
    int fds[2];
    EQUAL(weft_listen(NULL, "tcp", "127.0.0.1:0"), WEFT_EINVAL);
    EQUAL(weft_listen(&listener, NULL, "127.0.0.1:0"), WEFT_EINVAL);
    EQUAL(weft_listen(&listener, "tcp", NULL), WEFT_EINVAL);
    EQUAL(weft_listen(&listener, "carrier pigeon", "127.0.0.1:0"), WEFT_EINVAL);
    EQUAL(weft_listen(&listener, "tcp", "no port"), WEFT_EINVAL);
    EQUAL(weft_listen(&listener, "tcp", "127.0.0.1:0"), 0);
    int port = weft_listener_port(listener);
    CHECK(port > 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    EQUAL(weft_accept(listener, NULL), WEFT_EINVAL);
    EQUAL(weft_accept(NULL, &conn), WEFT_EINVAL);
    EQUAL(weft_accept((weft_listener *)8, &conn), WEFT_EBADF);
    EQUAL(weft_dial(NULL, "tcp", address, -1), WEFT_EINVAL);
    EQUAL(weft_dial(&conn, "tcp", NULL, -1), WEFT_EINVAL);
    EQUAL(weft_go(keep_conn, listener), 0);
    EQUAL(weft_dial(&conn, "tcp", address, 10000 * MS), 0);
    EQUAL(weft_read(conn, NULL, 1), WEFT_EINVAL);
    EQUAL(weft_write(conn, NULL, 1), WEFT_EINVAL);
    EQUAL(weft_read(conn, NULL, 0), 0);
    EQUAL(weft_conn_deadline(conn, 2 * MS), 0);
    EQUAL(weft_read(conn, text, 1), WEFT_ETIMEDOUT);
    EQUAL(weft_conn_deadline(conn, -1), 0);
    EQUAL(weft_write(conn, "a", 1), 1);
    EQUAL(weft_read(conn, text, 1), 1);
    EQUAL(weft_read(conn, text + 1, 3), 1);
    CHECK(memcmp(text, "bc", 2) == 0);
    EQUAL(weft_conn_close(conn), 0);
    EQUAL(weft_conn_close(conn), WEFT_EBADF);
    EQUAL(weft_read(conn, text, 1), WEFT_EBADF);
    EQUAL(weft_write(conn, text, 1), WEFT_EBADF);
    EQUAL(weft_conn_deadline(conn, 1), WEFT_EBADF);
    EQUAL(weft_listener_close(listener), 0);
    EQUAL(weft_listener_close(listener), WEFT_EBADF);
    EQUAL(weft_listener_port(listener), WEFT_EBADF);

    EQUAL(weft_fd_wait(-1, WEFT_READABLE, 0), WEFT_EBADF);
    EQUAL(weft_fd_wait(0, 7, 0), WEFT_EINVAL);
    CHECK(pipe(fds) == 0);
    EQUAL(weft_fd_wait(fds[0], WEFT_READABLE, 2 * MS), WEFT_ETIMEDOUT);
    EQUAL(weft_fd_wait(fds[1], WEFT_WRITABLE, WEFT_FOREVER), 0);
    EQUAL(write(fds[1], "x", 1), 1);
    EQUAL(weft_fd_wait(fds[0], WEFT_READABLE, WEFT_FOREVER), 0);
    close(fds[0]), close(fds[1]);
}

static void everything(void)
{
    goroutines();
    locals();
    channels();
    selects();
    selects_of_ready();
    locks();
    timers();
    contexts();
    net();
    rounding();
}

static volatile int busy_end;

static void be_busy(void *argument)
{
    weft_chan *chan;
    int64_t value = 0;
    (void)argument;
    EQUAL(weft_chan_make(&chan, 8, 4), 0);
    for (unsigned i = 0; !busy_end; i++) {
        if (weft_chan_try_send(chan, &value) != 0)
            weft_chan_recv(chan, &value);
        if (i % 64 == 0)
            weft_yield();
    }
    EQUAL(weft_chan_free(chan), 0);
}

static void *busy_thread(void *argument)
{
    be_busy(argument);
    return NULL;
}

static void everything_in_goroutine(void *argument)
{
    (void)argument;
    EQUAL(weft_init(NULL), 0);
    EQUAL(weft_shutdown(), 0);
    EQUAL(weft_shutdown(), WEFT_EPERM);
    everything();
}

int main(int argc, char **argv)
{
    int procs = argc > 1 ? atoi(argv[1]) : 2, load = argc > 2 ? atoi(argv[2]) : 0;
    pthread_t threads[64];
    outside();
    initialization();
    EQUAL(weft_main(NULL, argc, argv), WEFT_EINVAL);
    EQUAL(weft_init(NULL), 0);
    EQUAL(weft_maxprocs(procs), 3);
    for (int i = 0; i < load; i++) {
        EQUAL(weft_go(be_busy, NULL), 0);
        CHECK(pthread_create(&threads[i], NULL, busy_thread, NULL) == 0);
    }
    everything();
    EQUAL(weft_run(everything_in_goroutine, NULL), 0);
    CHECK(load == 0 || weft_count() > 0);
    EQUAL(load != 0 ? weft_shutdown() : WEFT_EBUSY, WEFT_EBUSY);
    busy_end = 1;
    for (int i = 0; i < load; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    ALL_END();
    EQUAL(weft_shutdown(), 0);
    outside();
    puts("passed");
    return 0;
}
