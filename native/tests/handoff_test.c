/* On one processor: goroutines that compute, and that block their thread, without calling Weft; the others go
 * on all the same. Then a stack that is too small for its goroutine, if asked for: the end, with a message.
 *
 *   handoff_test [overflow]
 */
#include <stdint.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

static volatile int end;

static void compute(void *argument)
{
    volatile uint64_t *number = argument;
    while (!end)
        ++*number;
}

static void block(void *argument)
{
    char byte;
    EQUAL(read(*(int *)argument, &byte, 1), 1);
}

static void block_announced(void *argument)
{
    EQUAL(weft_blocking(block, argument), 0);
}

static int overflow(int depth)
{
    volatile char room[4096];
    room[depth % 4096] = (char)depth;
    if (end) /* Never, but the compiler does not know that. */
        return 0;
    return overflow(depth + 1) + room[depth % 4096];
}

static void overflow_stack(void *argument)
{
    *(int *)argument = overflow(0);
}

static void tick(void *argument)
{
    for (int i = 0; i < 10; i++) {
        weft_sleep(1000000);
        ++*(volatile int *)argument;
    }
}

static void run(void *argument)
{
    uint64_t numbers[3] = { 0 };
    int fds[2], ticks = 0;
    (void)argument;
    CHECK(pipe(fds) == 0);
    for (int i = 0; i < 3; i++)
        EQUAL(weft_go(compute, &numbers[i]), 0);
    EQUAL(weft_go(block, &fds[0]), 0);
    EQUAL(weft_go(block_announced, &fds[0]), 0);
    EQUAL(weft_go(tick, &ticks), 0);
    int64_t start = weft_now();
    while (*(volatile int *)&ticks < 10)
        weft_yield();
    for (int i = 0; i < 3; i++)
        CHECK(*(volatile uint64_t *)&numbers[i] > 0);
    CHECK(weft_now() - start < INT64_C(8000000000));
    end = 1;
    EQUAL(write(fds[1], "xx", 2), 2);
    while (weft_count() > 1)
        weft_sleep(1000000);
}

int main(int argc, char **argv)
{
    weft_options options = { .size = sizeof options, .maxprocs = 1 };
    int result;
    (void)argv;
    EQUAL(weft_init(&options), 0);
    EQUAL(weft_run(argc > 1 ? overflow_stack : run, &result), 0);
    puts("passed");
    return 0;
}
