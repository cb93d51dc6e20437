/* Select: two sources, a tick and a time limit. */
#include <stdio.h>
#include <weft.h>

#define MS INT64_C(1000000)

struct source {
    weft_chan *out;
    int64_t pause;
    int count;
};

static void produce(void *argument)
{
    struct source *s = argument;
    for (int i = 0; i < s->count; i++) {
        weft_sleep(s->pause);
        weft_chan_send(s->out, &i);
    }
    weft_chan_close(s->out);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_chan *fast, *slow, *tick;
    weft_timer *ticker;
    weft_chan_make(&fast, sizeof(int), 0);
    weft_chan_make(&slow, sizeof(int), 0);
    weft_timer_make(&ticker, 10 * MS, 10 * MS, NULL, NULL);
    weft_timer_chan(ticker, &tick);
    struct source sources[] = { { fast, 2 * MS, 20 }, { slow, 7 * MS, 5 } };
    weft_go(produce, &sources[0]);
    weft_go(produce, &sources[1]);

    int value, from_fast = 0, from_slow = 0, ticks = 0;
    weft_case cases[] = {
        { fast, &value, WEFT_RECV, 0 },
        { slow, &value, WEFT_RECV, 0 },
        { tick, NULL, WEFT_RECV, 0 },
    };
    while (cases[0].chan != NULL || cases[1].chan != NULL) {
        int chosen = weft_select(cases, 3, 10000 * MS);
        if (chosen < 0) {
            printf("%s\n", weft_strerror(chosen));
            return 1;
        }
        if (cases[chosen].result == WEFT_EPIPE)
            cases[chosen].chan = NULL; /* Closed: from now on never ready. */
        else if (chosen == 0)
            from_fast++;
        else if (chosen == 1)
            from_slow++;
        else
            ticks++;
    }
    printf("%d fast, %d slow, ticks: %s\n", from_fast, from_slow, ticks > 0 ? "some" : "none");
    int timeout = weft_select(cases, 2, 5 * MS); /* Nothing can come any more. */
    printf("%s\n", weft_strerror(timeout));
    weft_timer_free(ticker);
    weft_chan_free(fast);
    return weft_chan_free(slow);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
