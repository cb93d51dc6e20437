/* The first answer of several: whoever is fastest wins, the others are told to stop.
 *
 * Prints:
 *   the answer of server 2
 *   2 servers were told to stop
 */
#include <stdio.h>
#include <weft.h>

#define MS INT64_C(1000000)

typedef struct asked {
    int server;
    int64_t takes;
    weft_ctx *until;
    weft_chan *answers, *stopped;
} asked;

static void ask(void *argument)
{
    asked *me = argument;
    weft_chan *done;
    weft_ctx_done(me->until, &done);
    weft_case cases[] = { { done, NULL, WEFT_RECV, 0 } };
    if (weft_select(cases, 1, me->takes) == WEFT_ETIMEDOUT) /* Where a real one would wait for the network. */
        weft_chan_send(me->answers, &me->server);           /* There is room for all: nobody waits here. */
    else
        weft_chan_send(me->stopped, NULL);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_ctx *until;
    weft_chan *answers, *stopped;
    int first;
    weft_ctx_make(&until, NULL, -1);
    weft_chan_make(&answers, sizeof(int), 3);
    weft_chan_make(&stopped, 0, 3);
    asked all[] = { { 1, 60000 * MS, until, answers, stopped },
                    { 2, 1 * MS, until, answers, stopped },
                    { 3, 60000 * MS, until, answers, stopped } };
    for (int i = 0; i < 3; i++)
        weft_go(ask, &all[i]);
    weft_chan_recv(answers, &first);
    printf("the answer of server %d\n", first);
    weft_ctx_cancel(until);
    for (int i = 0; i < 2; i++)
        weft_chan_recv(stopped, NULL);
    printf("2 servers were told to stop\n");
    weft_chan_free(answers);
    weft_chan_free(stopped);
    return weft_ctx_free(until);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
