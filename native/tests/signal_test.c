/* Handlers of signals that are installed after the start, without SA_ONSTACK, beside goroutines on small stacks.
 *
 *   signal_test        by sigaction and signal: they have the flag at once; by a system call: the signal comes still
 *   signal_test lost   the same with more than a number for the handler: one message, and the end
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

/* The kernel's own struct. */
struct action {
    void *handler;
    unsigned long flags;
    void *restorer;
    unsigned long mask;
};

static volatile int hits;
static weft_wg *group;
static struct action by_system_call;

static void count(int signal)
{
    char room[1000];
    memset(room, signal, sizeof room);
    hits += room[7] == signal;
}

static void count_with(int signal, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    count(signal);
}

/* On a stack of 2 KB, which has no room for what the kernel pushes. */
static void send(void *number)
{
    int signal = (int)(intptr_t)number;
    if (by_system_call.handler != NULL)
        CHECK(syscall(SYS_rt_sigaction, signal, &by_system_call, NULL, sizeof(unsigned long)) == 0);
    CHECK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal) == 0);
    weft_wg_done(group);
}

static int run(int count_of, char **arguments)
{
    (void)arguments;
    weft_attr movable = { .size = sizeof movable, .stack_kind = WEFT_STACK_MOVABLE };
    struct sigaction action = { .sa_handler = count }, old;
    struct action known;
    EQUAL(weft_wg_make(&group), 0);
    EQUAL(weft_wg_add(group, 3), 0);

    EQUAL(sigaction(SIGALRM, &action, NULL), 0);
    CHECK(signal(SIGUSR1, count) == SIG_DFL);
    CHECK(signal(SIGUSR1, count) == count);
    CHECK(signal(1000, count) == SIG_ERR);
    EQUAL(sigaction(SIGUSR1, NULL, &old), 0);
    CHECK((old.sa_flags & (SA_ONSTACK | SA_RESTART)) == (SA_ONSTACK | SA_RESTART));
    CHECK(sigismember(&old.sa_mask, SIGUSR1) == 1 && sigismember(&old.sa_mask, SIGUSR2) == 0);
    EQUAL(weft_go_with(&movable, send, (void *)(intptr_t)SIGALRM), 0);
    EQUAL(weft_go_with(&movable, send, (void *)(intptr_t)SIGUSR1), 0);
    while (hits < 2)
        weft_sleep(1000000);

    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &known, sizeof(unsigned long)) == 0);
    by_system_call = (struct action){ .handler = count, .flags = known.flags & ~(unsigned long)SA_ONSTACK,
                                      .restorer = known.restorer };
    if (count_of > 1) {
        by_system_call.handler = count_with;
        by_system_call.flags |= SA_SIGINFO;
    }
    EQUAL(weft_go_with(&movable, send, (void *)(intptr_t)SIGPROF), 0);
    EQUAL(weft_wg_wait(group), 0);
    while (hits < 3)
        weft_sleep(1000000);
    puts("passed");
    return 0;
}

int main(int count_of, char **arguments)
{
    return weft_main(run, count_of, arguments);
}
