/* How the programs of this folder measure: ns for one operation, the median of many rounds of a few
 * milliseconds, so that what else the machine does falls into some of them only. A line is the name of the operation, which
 * is the same in all of them, median, least and most. An argument picks those whose names contain it. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 51
#define SLEEPS 200

#define YIELD "yield between two"
#define BUFFERED "send and receive, buffered"
#define ROUND_TRIP "round trip, unbuffered"
#define SELECT "select of two, to which two others send"
#define LOCK "mutex: lock and unlock"
#define START "start and end, 64 at a time"
#define LATE "late after a sleep of 1 ms"

static const char *wanted = "";

static int64_t nanoseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *name, double *each, int count, const char *more)
{
    qsort(each, (size_t)count, sizeof *each, by_value);
    printf("%s\t%.1f\t%.1f\t%.1f%s%s\n", name, each[count / 2], each[0], each[count - 1], more[0] ? "\t" : "", more);
    fflush(stdout);
}

/* work does n operations. */
static void measure_with(const char *name, void (*work)(int), int n, const char *more)
{
    double each[ROUNDS];
    if (strstr(name, wanted) == NULL)
        return;
    work(n);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = nanoseconds();
        work(n);
        each[i] = (double)(nanoseconds() - start) / n;
    }
    print(name, each, ROUNDS, more);
}

static inline void measure(const char *name, void (*work)(int), int n)
{
    measure_with(name, work, n, "");
}

/* sleep_1ms waits for a millisecond; how much later it comes back. */
static inline void measure_late(void (*sleep_1ms)(void))
{
    double each[SLEEPS];
    if (strstr(LATE, wanted) == NULL)
        return;
    for (int i = 0; i < SLEEPS; i++) {
        int64_t start = nanoseconds();
        sleep_1ms();
        each[i] = (double)(nanoseconds() - start - 1000000);
    }
    print(LATE, each, SLEEPS, "");
}

#endif
