/* Again, after longer and longer pauses, but not for longer than a deadline.
 *
 * Prints:
 *   connected at attempt 3
 *   given up: the time has passed
 */
#include <errno.h>
#include <stdio.h>
#include <weft.h>

#define MS INT64_C(1000000)

/* Calls attempt until it succeeds or the context is over; a code, or the number of attempts. */
static int with_retries(weft_ctx *until, int (*attempt)(int number))
{
    weft_chan *over;
    weft_ctx_done(until, &over);
    int64_t pause = 1 * MS;
    for (int number = 1;; number++) {
        if (attempt(number) == 0)
            return number;
        weft_case cases[] = { { over, NULL, WEFT_RECV, 0 } };
        if (weft_select(cases, 1, pause) == 0)
            return weft_ctx_err(until);
        pause = pause * 2 < 1000 * MS ? pause * 2 : 1000 * MS;
    }
}

static int third_time(int number)
{
    return number == 3 ? 0 : -ECONNREFUSED;
}

static int never(int number)
{
    (void)number;
    return -ECONNREFUSED;
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_ctx *long_enough, *too_short;
    weft_ctx_make(&long_enough, NULL, 60000 * MS);
    printf("connected at attempt %d\n", with_retries(long_enough, third_time));
    weft_ctx_make(&too_short, NULL, 20 * MS);
    printf("given up: %s\n", weft_strerror(with_retries(too_short, never)));
    weft_ctx_free(long_enough);
    return weft_ctx_free(too_short);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
