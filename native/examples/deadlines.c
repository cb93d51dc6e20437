/* A pipeline with deadlines: each request has its time for all of the stages, and each wait of a stage ends with it. */
#include <stdio.h>
#include <weft.h>

#define MS INT64_C(1000000)
#define REQUESTS 8

struct request {
    int number, result;
    weft_ctx *ctx; /* Ends with its time. */
};

static weft_chan *asked, *looked_up, *answered;

/* What a slow part of the world takes; nothing of it knows of deadlines. */
static int look_up(int number)
{
    return weft_sleep(number % 4 == 3 ? 60000 * MS : MS);
}

/* One stage: what comes in goes out, done or late. */
static int stage(weft_chan *in, weft_chan *out, int (*work)(int))
{
    struct request request;
    int error;
    while ((error = weft_chan_recv(in, &request)) == 0) {
        if (request.ctx == NULL)
            weft_ctx_make(&request.ctx, NULL, 400 * MS);
        weft_with(request.ctx, NULL); /* From here on waits end with the request's time. */
        if (request.result == 0)
            request.result = work(request.number);
        weft_with(NULL, NULL);
        if ((error = weft_chan_send(out, &request)) != 0)
            break;
    }
    weft_chan_close(out);
    return error == WEFT_EPIPE ? 0 : error;
}

static int first(void *argument)
{
    (void)argument;
    return stage(asked, looked_up, look_up);
}

static int check(int number)
{
    (void)number;
    return weft_cancelled(); /* It computes, and asks. */
}

static int second(void *argument)
{
    (void)argument;
    return stage(looked_up, answered, check);
}

static int ask(void *argument)
{
    (void)argument;
    for (int i = 0; i < REQUESTS; i++) {
        struct request request = { i, 0, NULL };
        int error = weft_chan_send_until(asked, &request, weft_after(30000 * MS));
        if (error != 0)
            return error;
    }
    return weft_chan_close(asked);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_bundle *stages;
    struct request request;
    int in_time = 0, late = 0, failed = 0;
    weft_chan_make(&asked, sizeof request, 0);
    weft_chan_make(&looked_up, sizeof request, 2);
    weft_chan_make(&answered, sizeof request, 2);
    weft_bundle_make(&stages, 0);
    weft_bundle_go(stages, NULL, ask, NULL);
    weft_bundle_go(stages, NULL, first, NULL);
    weft_bundle_go(stages, NULL, second, NULL);
    while (weft_chan_recv_until(answered, &request, weft_after(30000 * MS)) == 0) {
        in_time += request.result == 0;
        late += request.result == WEFT_ETIMEDOUT;
        weft_ctx_free(request.ctx);
    }
    weft_bundle_wait(stages, &failed);
    weft_bundle_free(stages);
    printf("%d in time, %d too late, %d stages failed\n", in_time, late, failed != 0);
    return 0;
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
