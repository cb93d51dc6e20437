/* What the calls of libweft cost, beside threads: ns for one operation, the median of five rounds.
 *
 *   costs [TEXT]     those whose names contain the text; all on one processor of Weft's, threads as the system
 *                    runs them
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

#define ROUNDS 5

static weft_chan *to, *back, *buffered;
static weft_mutex *mutex;
static weft_wg *wg;
static volatile int end;
static const char *wanted = "";

static void yielder(void *n)
{
    for (int i = 0; i < (int)(intptr_t)n; i++)
        weft_yield();
    weft_wg_done(wg);
}

static void echo(void *argument)
{
    (void)argument;
    for (int64_t value; weft_chan_recv(to, &value) == 0;)
        weft_chan_send(back, &value);
}

static void nothing(void *argument)
{
    (void)argument;
}

static void done(void *argument)
{
    (void)argument;
    weft_wg_done(wg);
}

static void self(int n)
{
    for (int i = 0; i < n; i++)
        weft_self();
}

static void yield(int n)
{
    weft_wg_add(wg, 2);
    for (int i = 0; i < 2; i++)
        weft_go(yielder, (void *)(intptr_t)(n / 2));
    weft_wg_wait(wg);
}

static void yield_alone(int n)
{
    for (int i = 0; i < n; i++)
        weft_yield();
}

static void yield_beside_timer(int n)
{
    weft_timer *timer;
    weft_timer_make(&timer, INT64_C(60000000000), 0, NULL, NULL);
    yield_alone(n);
    weft_timer_free(timer);
}

static void ping_pong(int n)
{
    int64_t value = 0;
    for (int i = 0; i < n; i++) {
        weft_chan_send(to, &value);
        weft_chan_recv(back, &value);
    }
}

static void send_receive(int n)
{
    int64_t value = 0;
    for (int i = 0; i < n; i++) {
        weft_chan_send(buffered, &value);
        weft_chan_recv(buffered, &value);
    }
}

static void try_receive(int n)
{
    int64_t value = 0;
    for (int i = 0; i < n; i++)
        weft_chan_try_recv(buffered, &value);
}

static void select_two(int n)
{
    int64_t value = 0;
    weft_case cases[] = { { buffered, &value, WEFT_RECV, 0 }, { back, &value, WEFT_RECV, 0 } };
    for (int i = 0; i < n; i++) {
        weft_chan_send(buffered, &value);
        weft_select(cases, 2, WEFT_FOREVER);
    }
}

static void lock_unlock(int n)
{
    for (int i = 0; i < n; i++) {
        weft_mutex_lock(mutex);
        weft_mutex_unlock(mutex);
    }
}

static void lock_until_unlock(int n)
{
    int64_t end = weft_after(INT64_C(1000000000));
    for (int i = 0; i < n; i++) {
        weft_mutex_lock_until(mutex, end);
        weft_mutex_unlock(mutex);
    }
}

static void send_receive_until(int n)
{
    int64_t value = 0, end = weft_after(INT64_C(1000000000));
    for (int i = 0; i < n; i++) {
        weft_chan_send_until(buffered, &value, end);
        weft_chan_recv_until(buffered, &value, end);
    }
}

/* Each of the receives waits. */
static void ping_pong_until(int n)
{
    int64_t value = 0, end = 0;
    for (int i = 0; i < n; i++) {
        end = i % 1000 == 0 ? weft_after(INT64_C(1000000000)) : end;
        weft_chan_send_until(to, &value, end);
        weft_chan_recv_until(back, &value, end);
    }
}

static void *task(void *argument)
{
    return argument;
}

static void join(int n)
{
    for (int i = 0; i < n; i += 64) {
        weft_task *tasks[64];
        for (int k = 0; k < 64; k++)
            weft_task_go(&tasks[k], NULL, task, NULL);
        for (int k = 0; k < 64; k++)
            weft_task_join(tasks[k], NULL);
    }
}

static int child(void *argument)
{
    return argument != NULL;
}

static void bundle(int n)
{
    weft_bundle *bundle;
    weft_bundle_make(&bundle, 0);
    for (int i = 0; i < n; i += 64) {
        for (int k = 0; k < 64; k++)
            weft_bundle_go(bundle, NULL, child, NULL);
        weft_bundle_wait(bundle, NULL);
    }
    weft_bundle_free(bundle);
}

static void spawn(int n)
{
    for (int i = 0; i < n; i += 64) {
        weft_wg_add(wg, 64);
        for (int k = 0; k < 64; k++)
            weft_go(done, NULL);
        weft_wg_wait(wg);
    }
}

static pthread_mutex_t thread_mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t there, here;

static void thread_lock_unlock(int n)
{
    for (int i = 0; i < n; i++) {
        pthread_mutex_lock(&thread_mutex);
        pthread_mutex_unlock(&thread_mutex);
    }
}

static void *thread_nothing(void *argument)
{
    nothing(argument);
    return NULL;
}

static void thread_spawn(int n)
{
    for (int i = 0; i < n; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, thread_nothing, NULL) == 0)
            pthread_join(thread, NULL);
    }
}

static void *thread_echo(void *argument)
{
    while (!end) {
        sem_wait(&there);
        sem_post(&here);
    }
    return argument;
}

static void thread_ping_pong(int n)
{
    for (int i = 0; i < n; i++) {
        sem_post(&there);
        sem_wait(&here);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* In a line: the name, median, least and most; the row of weft-bench that does the same in C#, how much of it that
 * is, and how many calls of libweft an operation makes. */
static void measure(const char *name, void (*work)(int), int n, const char *pair)
{
    double each[ROUNDS];
    if (strstr(name, wanted) == NULL)
        return;
    work(n / 10);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = weft_now();
        work(n);
        each[i] = (double)(weft_now() - start) / n;
    }
    qsort(each, ROUNDS, sizeof *each, by_value);
    printf("%s\t%.1f\t%.1f\t%.1f\t%s\n", name, each[ROUNDS / 2], each[0], each[ROUNDS - 1], pair);
}

static void in_goroutine(void *argument)
{
    (void)argument;
    measure("the number of the goroutine", self, 2000000, "self_goroutine\t1\t1");
    measure("yield between two", yield, 1000000, "switch_1p\t1\t1");
    measure("yield with nobody else", yield_alone, 5000000, "");
    measure("the same, a timer set", yield_beside_timer, 5000000, "");
    measure("send and receive, buffered", send_receive, 500000, "self_chan_1p\t1\t2");
    measure("try to receive from an empty channel", try_receive, 1000000, "self_try_1p\t1\t1");
    measure("round trip, unbuffered", ping_pong, 200000, "chan_unbuf_1p\t2\t4");
    measure("send, and select of two", select_two, 200000, "self_select2_1p\t1\t2");
    measure("mutex: lock and unlock", lock_unlock, 1000000, "mutex_unc_1p\t1\t2");
    measure("start and end, 64 at a time", spawn, 64000, "self_spawn64_1p\t1\t2");
    measure("mutex: lock with a deadline, and unlock", lock_until_unlock, 1000000, "mutex_unc_1p\t1\t2");
    measure("the same buffered, with a deadline", send_receive_until, 500000, "self_chan_1p\t1\t2");
    measure("round trip with deadlines, unbuffered", ping_pong_until, 200000, "chan_unbuf_1p\t2\t4");
    measure("task: start and join, 64 at a time", join, 64000, "self_spawn64_1p\t1\t2");
    measure("bundle: start and wait, 64 at a time", bundle, 64000, "self_spawn64_1p\t1\t2");
}

int main(int argc, char **argv)
{
    wanted = argc > 1 ? argv[1] : wanted;
    weft_options options = { sizeof options, 1, 0, 0, 0 };
    pthread_t thread;
    weft_init(&options);
    weft_chan_make(&to, sizeof(int64_t), 0);
    weft_chan_make(&back, sizeof(int64_t), 0);
    weft_chan_make(&buffered, sizeof(int64_t), 16);
    weft_mutex_make(&mutex);
    weft_wg_make(&wg);
    weft_go(echo, NULL);
    weft_run(in_goroutine, NULL);
    sem_init(&there, 0, 0);
    sem_init(&here, 0, 0);
    pthread_create(&thread, NULL, thread_echo, NULL);
    measure("pthreads: mutex", thread_lock_unlock, 1000000, "");
    measure("pthreads: round trip by semaphores", thread_ping_pong, 20000, "");
    measure("pthreads: start and end", thread_spawn, 2000, "");
    return 0;
}
