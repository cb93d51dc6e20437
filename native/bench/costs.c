/* What the calls of libweft cost: ns for one operation, the median of five rounds, all on one processor of Weft's. What
 * others take for the same is asked by the other programs beside this one.
 *
 *   costs [TEXT]     those whose names contain the text
 */
#include "measure.h"
#include <weft.h>

static weft_chan *to, *back, *buffered, *left, *right;
static weft_mutex *mutex;
static weft_wg *wg;

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

static int each_sends;

static void sender(void *channel)
{
    int64_t value = 0;
    for (int i = 0; i < each_sends; i++)
        weft_chan_send(channel, &value);
}

static void select_of_senders(int n)
{
    int64_t value = 0;
    weft_case cases[] = { { left, &value, WEFT_RECV, 0 }, { right, &value, WEFT_RECV, 0 } };
    each_sends = n / 2;
    weft_go(sender, left);
    weft_go(sender, right);
    for (int i = 0; i < n; i++)
        weft_select(cases, 2, WEFT_FOREVER);
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

static void sleep_1ms(void)
{
    weft_sleep(1000000);
}

/* In a line besides: the row of weft-bench that does the same in C#, how much of it that is, and how many calls of libweft
 * an operation makes. */
static void in_goroutine(void *argument)
{
    (void)argument;
    measure_with("the number of the goroutine", self, 100000, "self_goroutine\t1\t1");
    measure_with(YIELD, yield, 50000, "switch_1p\t1\t1");
    measure("yield with nobody else", yield_alone, 250000);
    measure("the same, a timer set", yield_beside_timer, 250000);
    measure_with(BUFFERED, send_receive, 25000, "self_chan_1p\t1\t2");
    measure_with("try to receive from an empty channel", try_receive, 50000, "self_try_1p\t1\t1");
    measure_with(ROUND_TRIP, ping_pong, 10000, "chan_unbuf_1p\t2\t4");
    measure_with("send, and select of two", select_two, 10000, "self_select2_1p\t1\t2");
    measure(SELECT, select_of_senders, 10000);
    measure_with(LOCK, lock_unlock, 50000, "mutex_unc_1p\t1\t2");
    measure_with(START, spawn, 3200, "self_spawn64_1p\t1\t2");
    measure_with("mutex: lock with a deadline, and unlock", lock_until_unlock, 50000, "mutex_unc_1p\t1\t2");
    measure_with("the same buffered, with a deadline", send_receive_until, 25000, "self_token_1p\t1\t2");
    measure_with("round trip with deadlines, unbuffered", ping_pong_until, 10000, "self_pingpong_token_1p\t1\t4");
    measure_with("task: start and join, 64 at a time", join, 3200, "self_spawn64_1p\t1\t2");
    measure_with("bundle: start and wait, 64 at a time", bundle, 3200, "self_spawn64_1p\t1\t2");
    measure_late(sleep_1ms);
}

int main(int argc, char **argv)
{
    wanted = argc > 1 ? argv[1] : wanted;
    weft_options options = { sizeof options, 1, 0, 0, 0 };
    weft_init(&options);
    weft_chan_make(&to, sizeof(int64_t), 0);
    weft_chan_make(&back, sizeof(int64_t), 0);
    weft_chan_make(&buffered, sizeof(int64_t), 16);
    weft_chan_make(&left, sizeof(int64_t), 0);
    weft_chan_make(&right, sizeof(int64_t), 0);
    weft_mutex_make(&mutex);
    weft_wg_make(&wg);
    weft_go(echo, NULL);
    weft_run(in_goroutine, NULL);
    return 0;
}
