/* How much a parked goroutine takes, and what a start and a wake-up cost when there are many.
 *
 *   million [COUNT]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

static weft_chan *gate;
static weft_wg *waiting;

static void wait_at_gate(void *argument)
{
    (void)argument;
    weft_chan_recv(gate, NULL);
    weft_wg_done(waiting);
}

static double resident(const char *what)
{
    char line[256];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, what, strlen(what)) == 0)
            kilobytes = atof(line + strlen(what));
    if (status != NULL)
        fclose(status);
    return kilobytes * 1024;
}

static int run(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1000000;
    weft_chan_make(&gate, 0, 0);
    weft_wg_make(&waiting);
    weft_wg_add(waiting, count);
    double before = resident("VmRSS:"), tables = resident("VmPTE:");
    int64_t start = weft_now();
    for (int i = 0; i < count; i++) {
        int error = weft_go(wait_at_gate, NULL);
        if (error != 0) {
            fprintf(stderr, "goroutine %d: %s\n", i, weft_strerror(error));
            return 1;
        }
    }
    while (weft_count() <= count)
        weft_yield();
    for (int i = 0; i < 4; i++)
        weft_yield();
    int64_t parked = weft_now();
    double after = resident("VmRSS:"), tables_after = resident("VmPTE:");
    weft_chan_close(gate);
    weft_wg_wait(waiting);
    int64_t end = weft_now();
    printf("parked    %d at once\n", count);
    printf("start     %.0f ns each\n", (double)(parked - start) / count);
    printf("end       %.0f ns each\n", (double)(end - parked) / count);
    printf("resident  %.0f bytes each, and %.0f of page tables\n", (after - before) / count,
           (tables_after - tables) / count);
    return 0;
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
