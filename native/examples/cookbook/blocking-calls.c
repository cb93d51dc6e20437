/* Calls that block their thread, getaddrinfo here: said beforehand, so that others go on, and at most four at once.
 *
 * Prints:
 *   20 names were looked up, never more than 4 at once
 */
#define _POSIX_C_SOURCE 200809L
#include <netdb.h>
#include <stdio.h>
#include <weft.h>

#define NAMES 20

static weft_sem *places;
static weft_mutex *counting;
static weft_wg *all;
static int now, most, found;

static void look_up(void *name)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *result;
    if (getaddrinfo(name, "80", &hints, &result) == 0)
        freeaddrinfo(result);
}

static void one(void *name)
{
    weft_sem_acquire(places, 1);
    weft_mutex_lock(counting);
    if (++now > most)
        most = now;
    weft_mutex_unlock(counting);

    weft_blocking(look_up, name);

    weft_mutex_lock(counting);
    now--, found++;
    weft_mutex_unlock(counting);
    weft_sem_release(places, 1);
    weft_wg_done(all);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_sem_make(&places, 4);
    weft_mutex_make(&counting);
    weft_wg_make(&all);
    weft_wg_add(all, NAMES);
    for (int i = 0; i < NAMES; i++)
        weft_go(one, "127.0.0.1");
    weft_wg_wait(all);
    printf("%d names were looked up, never more than %s at once\n", found, most <= 4 ? "4" : "allowed");
    return 0;
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
