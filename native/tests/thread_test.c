/* Threads under goroutines: weft_lock_thread, and weft_ functions in the destructors with which threads end.
 *
 *   thread_test lock | ends | main_ends | too_late | exits
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

#define MS INT64_C(1000000)

/* --- weft_lock_thread itself never changes threads ------------------------------------------------------- */

static long moved, unlocked_on_another;

/* The compiler takes pthread_self for a constant of the function. */
static long thread_id(void)
{
    return syscall(SYS_gettid);
}

static void lock_often(void *wg)
{
    long seed = weft_self();
    for (int i = 0; i < 13; i++) {
        usleep(1000 * (1 + (i + seed) % 13)); /* After 10 ms it has no processor; shorter ones hold all. */
        long before = thread_id();
        EQUAL(weft_lock_thread(), 0);
        if (before != thread_id())
            __atomic_add_fetch(&moved, 1, __ATOMIC_RELAXED);
        EQUAL(weft_lock_thread(), 0);
        EQUAL(weft_sleep(10000), 0);
        usleep(200);
        EQUAL(weft_unlock_thread(), 0);
        weft_yield();
        if (before != thread_id())
            __atomic_add_fetch(&moved, 1, __ATOMIC_RELAXED);
        EQUAL(weft_unlock_thread(), 0);
        if (before != thread_id())
            __atomic_add_fetch(&unlocked_on_another, 1, __ATOMIC_RELAXED);
        EQUAL(weft_unlock_thread(), WEFT_EPERM);
    }
    EQUAL(weft_wg_done(wg), 0);
}

static void lock(void)
{
    weft_wg *wg;
    EQUAL(weft_init(NULL), 0);
    EQUAL(weft_wg_make(&wg), 0);
    EQUAL(weft_wg_add(wg, 40), 0);
    for (int i = 0; i < 40; i++)
        EQUAL(weft_go(lock_often, wg), 0);
    EQUAL(weft_wg_wait(wg), 0);
    EQUAL(moved, 0);
    EQUAL(unlocked_on_another, 0);
    puts("passed");
}

/* --- a thread's end ---------------------------------------------------------------------------------------- */

enum { ROUNDS = 3 };            /* In which a destructor may call; of the four that there are. */

static pthread_key_t early, late;
static weft_chan *chan;
static long calls;
static int most = ROUNDS;

static void nothing(void *argument)
{
    (void)argument;
}

/* All that a destructor may want: what waits, what starts goroutines, what makes garbage. */
static void call_all(void)
{
    weft_mutex *mutex;
    weft_timer *timer;
    int value = 0;
    EQUAL(weft_self(), 0);
    EQUAL(weft_chan_try_send(chan, &value), 0);
    EQUAL(weft_chan_recv(chan, &value), 0);
    EQUAL(weft_go(nothing, NULL), 0);
    EQUAL(weft_run(nothing, NULL), 0);
    EQUAL(weft_mutex_make(&mutex), 0);
    EQUAL(weft_mutex_lock(mutex), 0);
    EQUAL(weft_mutex_free(mutex), 0);
    EQUAL(weft_timer_make(&timer, 1000000 * MS, 0, NULL, NULL), 0);
    EQUAL(weft_timer_free(timer), 0);
    EQUAL(weft_sleep(1000), 0);
    EQUAL(weft_dump(-1), WEFT_EINVAL);
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

/* The value counts the rounds from 1. */
static void destroy(pthread_key_t key, void *value)
{
    long round = (long)value;
    call_all();
    if (round < most)
        pthread_setspecific(key, (void *)(round + 1));
}

static void destroy_early(void *value)
{
    destroy(early, value);
}

static void destroy_late(void *value)
{
    destroy(late, value);
}

static void set_keys(void *argument)
{
    long used = (long)argument;
    if (used)
        EQUAL(weft_chan_cap(chan), 100);
    EQUAL(pthread_setspecific(early, (void *)1), 0);
    EQUAL(pthread_setspecific(late, (void *)1), 0);
}

static void *thread(void *argument)
{
    set_keys(argument);
    return NULL;
}

/* Ends with its thread, and that of a machine. */
static void locked(void *argument)
{
    EQUAL(weft_lock_thread(), 0);
    set_keys(argument);
}

/* The same from the inside of calls. Every second one of them lost its processor before. */
static void exit_locked(void *argument)
{
    if ((long)argument % 2)
        usleep(20000);
    locked((void *)1);
    pthread_exit(NULL);
}

static void locked_and_exits(void *argument)
{
    static __thread volatile int own;
    own = 1;
    EQUAL(weft_blocking(exit_locked, argument), 0);
    CHECK(own == 2); /* Never. */
}

static void start(void)
{
    EQUAL(pthread_key_create(&early, destroy_early), 0);
    EQUAL(weft_init(NULL), 0);
    EQUAL(pthread_key_create(&late, destroy_late), 0);
    EQUAL(weft_chan_make(&chan, sizeof(int), 100), 0);
}

static void ends(void)
{
    pthread_t threads[8];
    start();
    for (int round = 0; round < 10; round++) {
        for (long i = 0; i < 8; i++)
            EQUAL(pthread_create(&threads[i], NULL, thread, (void *)(i % 4)), 0); /* Some meet Weft only there. */
        for (int i = 0; i < 2; i++)
            EQUAL(weft_go(locked, (void *)1), 0);
        EQUAL(weft_go(locked_and_exits, (void *)0), 0);
        EQUAL(weft_run(locked_and_exits, (void *)1), 0);
        for (int i = 0; i < 8; i++)
            EQUAL(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < 5000 && __atomic_load_n(&calls, __ATOMIC_RELAXED) < 10 * 12 * 2 * ROUNDS; i++)
        weft_sleep(MS);
    EQUAL(__atomic_load_n(&calls, __ATOMIC_RELAXED), 10 * 12 * 2 * ROUNDS);
    EQUAL(weft_run(nothing, NULL), 0);
    EQUAL(weft_shutdown(), 0); /* They have all ended. */
    puts("passed");
}

static void *wait_for_main(void *main_thread)
{
    EQUAL(pthread_join(*(pthread_t *)main_thread, NULL), 0);
    EQUAL(calls, 2 * ROUNDS);
    EQUAL(weft_run(nothing, NULL), 0);
    puts("passed");
    exit(0);
}

/* The first thread ends before the process. */
static void main_ends(void)
{
    static pthread_t main_thread;
    pthread_t other;
    start();
    main_thread = pthread_self();
    EQUAL(pthread_create(&other, NULL, wait_for_main, &main_thread), 0);
    set_keys((void *)1);
    pthread_exit(NULL);
}

/* In the last round: a message. */
static void too_late(void)
{
    pthread_t other;
    start();
    most = ROUNDS + 1;
    EQUAL(pthread_create(&other, NULL, thread, (void *)1), 0);
    EQUAL(pthread_join(other, NULL), 0);
}

/* pthread_exit without a thread of its own: a message. With one, see locked_and_exits. */
static void exit_thread(void *argument)
{
    pthread_exit(argument);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "lock") == 0)
        lock();
    else if (strcmp(name, "ends") == 0)
        ends();
    else if (strcmp(name, "main_ends") == 0)
        main_ends();
    else if (strcmp(name, "too_late") == 0)
        too_late();
    else if (strcmp(name, "exits") == 0)
        EQUAL(weft_init(NULL) + weft_run(exit_thread, NULL), 0);
    return 0;
}
