/* How much a parked goroutine takes, and what a start and a wake-up cost when there are many.
 *
 *   million [COUNT]           all of it, memory that a virtual machine's host has to find included
 *   million COUNT at_hand     the system has the memory at hand: this program had it before, and gives it back bit
 *                             by bit, as it is needed. What is left is Weft's and the kernel's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <weft.h>

#define AT_ONCE 1024
#define PAGE 4096

static weft_chan *gate;
static weft_wg *waiting;
static int begun;
static char *held;
static size_t left;

static void wait_at_gate(void *argument)
{
    (void)argument;
    __atomic_add_fetch(&begun, 1, __ATOMIC_RELAXED);
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

static int mappings(void)
{
    int lines = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    for (int c; maps != NULL && (c = getc(maps)) != EOF;)
        lines += c == '\n';
    if (maps != NULL)
        fclose(maps);
    return lines;
}

static void take_memory(size_t bytes)
{
    held = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (held == MAP_FAILED)
        return;
    madvise(held, bytes, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < bytes; at += PAGE)
        held[at] = 1;
    left = bytes;
}

static void give_memory(size_t bytes)
{
    bytes = bytes < left ? bytes : left;
    left -= bytes;
    if (bytes > 0)
        munmap(held + left, bytes);
}

static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int run(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1000000;
    size_t each = argc > 2 ? 3 * PAGE : 0;
    weft_chan_make(&gate, 0, 0);
    weft_wg_make(&waiting);
    weft_wg_add(waiting, count);
    take_memory(each * (size_t)count);
    double before = resident("VmRSS:") - (double)left, tables = resident("VmPTE:");
    double start = now(CLOCK_MONOTONIC), processors = now(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < count; i++) {
        if (i % AT_ONCE == 0 && left > 0) {
            double time = now(CLOCK_MONOTONIC), spent = now(CLOCK_PROCESS_CPUTIME_ID);
            give_memory(AT_ONCE * each);
            start += now(CLOCK_MONOTONIC) - time;
            processors += now(CLOCK_PROCESS_CPUTIME_ID) - spent;
        }
        int error = weft_go(wait_at_gate, NULL);
        if (error != 0) {
            fprintf(stderr, "goroutine %d: %s\n", i, weft_strerror(error));
            return 1;
        }
    }
    while (__atomic_load_n(&begun, __ATOMIC_RELAXED) < count)
        weft_yield();
    for (int i = 0; i < 4; i++)
        weft_yield();
    double parked = now(CLOCK_MONOTONIC);
    processors = now(CLOCK_PROCESS_CPUTIME_ID) - processors;
    double after = resident("VmRSS:") - (double)left, tables_after = resident("VmPTE:");
    int maps = mappings();
    double woken = now(CLOCK_MONOTONIC);
    weft_chan_close(gate);
    weft_wg_wait(waiting);
    double end = now(CLOCK_MONOTONIC);
    printf("parked    %d at once\n", count);
    printf("start     %.0f ns each\n", (parked - start) / count);
    printf("cpu       %.0f ns each, of all threads, to start them\n", processors / count);
    printf("end       %.0f ns each\n", (end - woken) / count);
    printf("resident  %.0f bytes each, and %.0f of page tables\n", (after - before) / count,
           (tables_after - tables) / count);
    printf("mappings  %d\n", maps);
    return 0;
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
