/* What libdill takes for what costs.c asks of libweft: all on one thread, which is all that it has. It has no channels
 * with a buffer, and no mutexes. */
#include "measure.h"
#include <libdill.h>

static int to[2], back[2], left[2], right[2];

static coroutine void yielder(int n)
{
    for (int i = 0; i < n; i++)
        yield();
}

static void yield_two(int n)
{
    int other = go(yielder(n / 2));
    for (int i = 0; i < n / 2; i++)
        yield();
    hclose(other);
}

static coroutine void echo(void)
{
    for (int64_t value; chrecv(to[0], &value, sizeof value, -1) == 0;)
        chsend(back[0], &value, sizeof value, -1);
}

static void round_trip(int n)
{
    for (int i = 0; i < n; i++) {
        int64_t value = i;
        chsend(to[1], &value, sizeof value, -1);
        chrecv(back[1], &value, sizeof value, -1);
    }
}

static coroutine void sender(int channel, int n)
{
    for (int64_t i = 0; i < n; i++)
        chsend(channel, &i, sizeof i, -1);
}

static void select_two(int n)
{
    int64_t value;
    int senders[] = { go(sender(left[1], n / 2)), go(sender(right[1], n / 2)) };
    struct chclause cases[] = { { CHRECV, left[0], &value, sizeof value }, { CHRECV, right[0], &value, sizeof value } };
    for (int i = 0; i < n; i++)
        choose(cases, 2, -1);
    hclose(senders[0]);
    hclose(senders[1]);
}

static coroutine void nothing(void)
{
}

static void start(int n)
{
    for (int i = 0; i < n; i += 64) {
        int all = bundle();
        for (int k = 0; k < 64; k++)
            bundle_go(all, nothing());
        bundle_wait(all, -1);
        hclose(all);
    }
}

static void sleep_1ms(void)
{
    msleep(now() + 1);
}

int main(int argc, char **argv)
{
    wanted = argc > 1 ? argv[1] : wanted;
    if (chmake(to) != 0 || chmake(back) != 0 || chmake(left) != 0 || chmake(right) != 0)
        return 1;
    go(echo());
    measure(YIELD, yield_two, 50000);
    measure(ROUND_TRIP, round_trip, 10000);
    measure(SELECT, select_two, 10000);
    measure(START, start, 3200);
    measure_late(sleep_1ms);
    return 0;
}
