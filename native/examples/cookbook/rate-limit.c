/* At most so many a second, with a burst at the beginning: a channel of permits that a timer fills.
 *
 * Prints:
 *   3 at once, then 5 ms each: the limit was kept
 */
#include <stdio.h>
#include <weft.h>

#define MS INT64_C(1000000)
#define BURST 3

static weft_chan *permits;

static void give_one(void *argument)
{
    (void)argument;
    weft_chan_try_send(permits, NULL); /* Where nobody takes them, they are not saved up. */
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_timer *refill;
    int64_t times[BURST + 3];
    weft_chan_make(&permits, 0, BURST);
    for (int i = 0; i < BURST; i++)
        give_one(NULL);
    int64_t begin = weft_now();
    weft_timer_make(&refill, 5 * MS, 5 * MS, give_one, NULL);
    for (int i = 0; i < BURST + 3; i++) {
        weft_chan_recv(permits, NULL); /* Before each request. */
        times[i] = weft_now() - begin;
    }
    int kept = 1;
    for (int i = BURST; i < BURST + 3; i++)
        kept &= times[i] >= (i - BURST + 1) * 5 * MS;
    printf("%d at once, then 5 ms each: the limit was %s\n", BURST, kept ? "kept" : "broken");
    weft_timer_free(refill);
    return 0;
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
