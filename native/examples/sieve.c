/* Primes by a chain of goroutines, each of which drops the multiples of one prime. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

struct filter {
    weft_chan *in, *out;
    int prime;
};

static void generate(void *out)
{
    for (int n = 2; weft_chan_send(out, &n) == 0; n++)
        ;
}

static void filter(void *argument)
{
    struct filter f = *(struct filter *)argument;
    free(argument);
    for (int n; weft_chan_recv(f.in, &n) == 0;)
        if (n % f.prime != 0 && weft_chan_send(f.out, &n) != 0)
            break;
}

static int run(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 25;
    weft_chan *numbers;
    weft_chan_make(&numbers, sizeof(int), 0);
    weft_go(generate, numbers);
    for (int i = 0; i < count; i++) {
        struct filter *next = malloc(sizeof *next);
        next->in = numbers;
        weft_chan_recv(numbers, &next->prime);
        printf("%d%c", next->prime, i + 1 < count ? ' ' : '\n');
        weft_chan_make(&numbers, sizeof(int), 0);
        next->out = numbers;
        weft_go(filter, next);
    }
    return 0; /* The other goroutines end with the process. */
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
