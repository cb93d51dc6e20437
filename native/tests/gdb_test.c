/* Something for gdb to look at: three parked goroutines and a running one, which stops in look_here, or in abort if
 * there is an argument. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_chan *never;

__attribute__((noinline)) void look_here(void)
{
    __asm__ volatile("");
}

__attribute__((noinline)) static int deep_inside(int depth)
{
    volatile int here = depth;
    if (depth > 0)
        return deep_inside(depth - 1) + here;
    return weft_chan_recv(never, NULL) + here;
}

static void parked(void *depth)
{
    deep_inside((int)(intptr_t)depth);
}

static int run(int argc, char **argv)
{
    (void)argv;
    weft_chan_make(&never, 0, 0);
    for (intptr_t i = 1; i <= 3; i++) {
        weft_attr attributes = { .size = sizeof attributes, .name = i == 2 ? "second" : NULL };
        weft_go_with(&attributes, parked, (void *)i);
    }
    weft_sleep(20000000);
    look_here();
    if (argc > 1)
        abort();
    puts("went on");
    return 0;
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
