/* A pipeline with a pool in the middle: numbers -> squares by four workers -> their sum. The context ends the
 * source, and with it everything behind. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

struct stage {
    weft_chan *in, *out;
    weft_ctx *ctx;
    weft_wg *workers;
};

/* 1, 2, 3, ... until the context is cancelled. */
static void count(void *argument)
{
    struct stage *s = argument;
    weft_chan *cancelled;
    int64_t n = 1;
    weft_ctx_done(s->ctx, &cancelled);
    for (;;) {
        weft_case cases[] = {
            { s->out, &n, WEFT_SEND, 0 },
            { cancelled, NULL, WEFT_RECV, 0 },
        };
        if (weft_select(cases, 2, WEFT_FOREVER) != 0)
            break;
        n++;
    }
    weft_chan_close(s->out);
}

static void square(void *argument)
{
    struct stage *s = argument;
    for (int64_t n; weft_chan_recv(s->in, &n) == 0;) {
        n *= n;
        if (weft_chan_send(s->out, &n) != 0)
            break;
    }
    weft_wg_done(s->workers);
}

static void close_behind(void *argument)
{
    struct stage *s = argument;
    weft_wg_wait(s->workers);
    weft_chan_close(s->out);
}

static int run(int argc, char **argv)
{
    int64_t wanted = argc > 1 ? atoll(argv[1]) : 1000, sum = 0, seen = 0;
    weft_chan *numbers, *squares;
    weft_wg *workers;
    weft_ctx *ctx;
    weft_chan_make(&numbers, sizeof(int64_t), 0);
    weft_chan_make(&squares, sizeof(int64_t), 16);
    weft_wg_make(&workers);
    weft_ctx_make(&ctx, NULL, WEFT_FOREVER);

    struct stage source = { NULL, numbers, ctx, NULL };
    struct stage middle = { numbers, squares, ctx, workers };
    weft_go(count, &source);
    weft_wg_add(workers, 4);
    for (int i = 0; i < 4; i++)
        weft_go(square, &middle);
    weft_go(close_behind, &middle);

    for (int64_t n; weft_chan_recv(squares, &n) == 0;) {
        if (n <= wanted * wanted)
            sum += n, seen++;
        if (seen == wanted)
            weft_ctx_cancel(ctx);
    }
    printf("the squares of 1 to %" PRId64 " add up to %" PRId64 "\n", wanted, sum);
    weft_ctx_free(ctx);
    weft_wg_free(workers);
    weft_chan_free(numbers);
    return weft_chan_free(squares);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
