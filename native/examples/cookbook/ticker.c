/* Something each period, until somebody says stop.
 *
 * Prints:
 *   tick
 *   tick
 *   tick
 *   stopped
 */
#include <stdio.h>
#include <weft.h>

#define MS INT64_C(1000000)

static weft_chan *ticks, *stop, *ended;

static void each_period(void *argument)
{
    (void)argument;
    weft_timer *timer;
    weft_chan *fires;
    weft_timer_make(&timer, 2 * MS, 2 * MS, NULL, NULL);
    weft_timer_chan(timer, &fires);
    for (;;) {
        int64_t now;
        weft_case cases[] = { { fires, &now, WEFT_RECV, 0 }, { stop, NULL, WEFT_RECV, 0 } };
        if (weft_select(cases, 2, WEFT_FOREVER) == 1)
            break; /* Closed: everybody who looks sees it. */
        weft_chan_send(ticks, NULL);
    }
    weft_timer_free(timer);
    weft_chan_close(ended);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_chan_make(&ticks, 0, 1000);
    weft_chan_make(&stop, 0, 0);
    weft_chan_make(&ended, 0, 0);
    weft_go(each_period, NULL);
    for (int i = 0; i < 3; i++) {
        weft_chan_recv(ticks, NULL);
        printf("tick\n");
    }
    weft_chan_close(stop);
    weft_chan_recv(ended, NULL);
    printf("stopped\n");
    weft_chan_free(ticks);
    weft_chan_free(stop);
    return weft_chan_free(ended);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
