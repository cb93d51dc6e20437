/* What neco takes for what costs.c asks of libweft: all on one thread, which is all that it has. */
#include "measure.h"
#include <neco.h>

static neco_chan *to, *back, *buffered, *left, *right;
static neco_mutex mutex;

static void yielder(int count, void **arguments)
{
    (void)count;
    for (int i = 0; i < *(int *)arguments[0]; i++)
        neco_yield();
    neco_waitgroup_done(arguments[1]);
}

static void yield_two(int n)
{
    int half = n / 2;
    neco_waitgroup group;
    neco_waitgroup_init(&group);
    neco_waitgroup_add(&group, 2);
    for (int i = 0; i < 2; i++)
        neco_start(yielder, 2, &half, &group);
    neco_waitgroup_wait(&group);
}

static void echo(int count, void **arguments)
{
    (void)count;
    (void)arguments;
    for (int64_t value; neco_chan_recv(to, &value) == NECO_OK;)
        neco_chan_send(back, &value);
}

static void round_trip(int n)
{
    for (int i = 0; i < n; i++) {
        int64_t value = i;
        neco_chan_send(to, &value);
        neco_chan_recv(back, &value);
    }
}

static void send_receive(int n)
{
    for (int i = 0; i < n; i++) {
        int64_t value = i;
        neco_chan_send(buffered, &value);
        neco_chan_recv(buffered, &value);
    }
}

static void sender(int count, void **arguments)
{
    neco_chan *channel = arguments[0];
    int n = *(int *)arguments[1];
    (void)count;
    for (int64_t i = 0; i < n; i++)
        neco_chan_send(channel, &i);
}

static void select_two(int n)
{
    int half = n / 2;
    neco_chan *both[] = { left, right };
    neco_start(sender, 2, left, &half);
    neco_start(sender, 2, right, &half);
    for (int i = 0; i < n; i++) {
        int64_t value;
        int chosen = neco_chan_selectv(2, both);
        neco_chan_case(both[chosen], &value);
    }
}

static void lock_unlock(int n)
{
    for (int i = 0; i < n; i++) {
        neco_mutex_lock(&mutex);
        neco_mutex_unlock(&mutex);
    }
}

static void done(int count, void **arguments)
{
    (void)count;
    neco_waitgroup_done(arguments[0]);
}

static void start(int n)
{
    neco_waitgroup group;
    neco_waitgroup_init(&group);
    for (int i = 0; i < n; i += 64) {
        neco_waitgroup_add(&group, 64);
        for (int k = 0; k < 64; k++)
            neco_start(done, 1, &group);
        neco_waitgroup_wait(&group);
    }
}

static void sleep_1ms(void)
{
    neco_sleep(NECO_MILLISECOND);
}

int neco_main(int argc, char **argv)
{
    wanted = argc > 1 ? argv[1] : wanted;
    neco_mutex_init(&mutex);
    neco_chan_make(&to, sizeof(int64_t), 0);
    neco_chan_make(&back, sizeof(int64_t), 0);
    neco_chan_make(&buffered, sizeof(int64_t), 16);
    neco_chan_make(&left, sizeof(int64_t), 0);
    neco_chan_make(&right, sizeof(int64_t), 0);
    neco_start(echo, 0);
    measure(YIELD, yield_two, 50000);
    measure(BUFFERED, send_receive, 25000);
    measure(ROUND_TRIP, round_trip, 10000);
    measure(SELECT, select_two, 10000);
    measure(LOCK, lock_unlock, 50000);
    measure(START, start, 3200);
    measure_late(sleep_1ms);
    return 0;
}
