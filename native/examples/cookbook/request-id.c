/* A value that goes with the goroutine, as a thread-local goes with a thread: the number of a request, for a log.
 *
 * Prints:
 *   every line had the number of its own request
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static int request_key;
static weft_wg *all;

/* Whether it was the expected one. */
static int log_line(const char *text, int expected)
{
    const int *request = weft_local_get(request_key);
    if (getenv("VERBOSE"))
        printf("[%d] %s\n", *request, text);
    return *request == expected;
}

static void handle(void *number)
{
    int *request = malloc(sizeof *request);
    int me = *request = *(int *)number, right;
    weft_local_set(request_key, request); /* Freed at the end of the goroutine. */
    right = log_line("begins", me);
    weft_sleep(100000); /* Another thread, perhaps. */
    right &= log_line("ends", me);
    *(int *)number = right;
    weft_wg_done(all);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    static int numbers[100];
    weft_local_key(&request_key, free);
    weft_wg_make(&all);
    weft_wg_add(all, 100);
    for (int i = 0; i < 100; i++) {
        numbers[i] = i;
        weft_go(handle, &numbers[i]);
    }
    weft_wg_wait(all);
    int right = 0;
    for (int i = 0; i < 100; i++)
        right += numbers[i];
    printf("every line had the number of %s request\n", right == 100 ? "its own" : "another");
    return weft_wg_free(all);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
