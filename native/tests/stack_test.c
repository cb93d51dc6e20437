/* Movable stacks: C code on 2 KB that grow, with addresses of locals on the stack itself, in registers and in
 * channels' hands, beside collections; frames of many pages, probed page by page. And C code that computes without calling Weft, in a section that may be
 * interrupted: on one processor, on one thread, others get their turn.
 *
 *   stack_test
 */
#include <alloca.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

#define GOROUTINES 200

static weft_chan *in, *out;
static volatile int end;

struct frame {
    struct frame *above;
    int depth;
    char room[200];
};

/* Each frame points to the one above it; the deepest one follows the chain. */
__attribute__((noinline)) static int64_t descend(struct frame *above, int depth)
{
    struct frame here = { above, depth, { 0 } };
    memset(here.room, depth & 127, sizeof here.room);
    int64_t sum = 0;
    if (depth == 0) {
        int64_t value = 1, got;
        EQUAL(weft_chan_send(in, &value), 0);
        EQUAL(weft_chan_recv(out, &got), 0);
        int expected = 0;
        for (struct frame *f = &here; f != NULL; f = f->above) {
            EQUAL(f->depth, expected++);
            for (size_t i = 0; i < sizeof f->room; i++)
                EQUAL(f->room[i], f->depth & 127);
            sum += got;
        }
        return sum;
    }
    sum = descend(&here, depth - 1);
    EQUAL(here.depth, depth);
    CHECK(here.above == above);
    weft_yield();
    return sum;
}

static void grow(void *depth)
{
    int64_t sum = descend(NULL, (int)(intptr_t)depth);
    EQUAL(sum, (intptr_t)depth + 1);
}

/* More than the stack has, from a depth of its own each time: built with -fstack-clash-protection. */
__attribute__((noinline)) static int large(volatile char *above, intptr_t depth, size_t more)
{
    volatile char here[48];
    here[0] = above[0];
    if (depth > 0)
        return large(here, depth - 1, more) + here[0] - above[0];
    volatile char *room = alloca(more);
    volatile char frame[20000];
    room[0] = room[more - 1] = frame[0] = frame[sizeof frame - 1] = 1;
    weft_yield();
    return room[0] + room[more - 1] + frame[0] + frame[sizeof frame - 1] + here[0];
}

static void enlarge(void *depth)
{
    volatile char top = 1;
    for (size_t more = 1; more < 400000; more = more * 5 + 1000)
        EQUAL(large(&top, (intptr_t)depth, more), 5);
}

static void echo(void *argument)
{
    (void)argument;
    for (int64_t value; weft_chan_recv(in, &value) == 0;)
        EQUAL(weft_chan_send(out, &value), 0);
}

/* A dump stops the world by a collection. */
static void *collect(void *argument)
{
    int fds[2];
    char text[4096];
    (void)argument;
    CHECK(pipe(fds) == 0);
    while (!end) {
        weft_chan *chan;
        for (int i = 0; i < 2000; i++) {
            EQUAL(weft_chan_make(&chan, 64, 8), 0);
            EQUAL(weft_chan_free(chan), 0);
        }
        usleep(1000);
    }
    (void)text;
    return NULL;
}

static volatile uint64_t spun[2];

WEFT_PREEMPTIBLE static void compute(void *which)
{
    volatile uint64_t *number = &spun[(intptr_t)which];
    double sum = 1;
    while (!end) {
        ++*number;
        sum = sum * 1.0000001 + (double)*number;
    }
    *number = sum > 0 ? *number : 0;
}

static int threads(void)
{
    char line[256];
    int count = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        (void)sscanf(line, "Threads: %d", &count);
    if (status != NULL)
        fclose(status);
    return count;
}

int main(void)
{
    weft_options options = { .size = sizeof options, .maxprocs = 2 };
    weft_attr movable = { .size = sizeof movable, .stack_kind = WEFT_STACK_MOVABLE };
    pthread_t collector;
    EQUAL(weft_init(&options), 0);
    EQUAL(weft_chan_make(&in, sizeof(int64_t), 0), 0);
    EQUAL(weft_chan_make(&out, sizeof(int64_t), 0), 0);
    CHECK(pthread_create(&collector, NULL, collect, NULL) == 0);
    for (int i = 0; i < 4; i++)
        EQUAL(weft_go(echo, NULL), 0);
    for (intptr_t i = 0; i < GOROUTINES; i++)
        EQUAL(weft_go_with(&movable, grow, (void *)(i % 10 == 0 ? i * 20 : i % 7)), 0);
    for (intptr_t depth = 0; depth < 40; depth++)
        EQUAL(weft_go_with(&movable, enlarge, (void *)depth), 0);
    while (weft_count() > 4)
        weft_sleep(1000000);
    end = 1;
    CHECK(pthread_join(collector, NULL) == 0);
    EQUAL(weft_chan_close(in), 0);
    while (weft_count() > 0)
        weft_sleep(1000000);

    end = 0;
    EQUAL(weft_maxprocs(1), 2);
    EQUAL(weft_preemptible(NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_preemptible_functions(), 0);
    int before = threads();
    for (intptr_t i = 0; i < 2; i++)
        EQUAL(weft_go(compute, (void *)i), 0);
    int64_t until = weft_now() + INT64_C(10000000000);
    while ((spun[0] == 0 || spun[1] == 0) && weft_now() < until)
        usleep(1000);
    uint64_t seen[2] = { spun[0], spun[1] };
    while ((spun[0] == seen[0] || spun[1] == seen[1]) && weft_now() < until)
        usleep(1000);
    CHECK(spun[0] > seen[0]);
    CHECK(spun[1] > seen[1]);
    CHECK(threads() <= before + 2);
    end = 1;
    while (weft_count() > 0)
        weft_sleep(1000000);
    EQUAL(weft_shutdown(), 0);
    puts("passed");
    return 0;
}
