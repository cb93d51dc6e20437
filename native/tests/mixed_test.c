/* A threaded host: pthreads and goroutines send and receive on the same channels. Nothing is lost, nothing comes
 * twice: what was sent and what was received agree in number and in sum, and locks keep what they guard.
 *
 *   mixed_test SECONDS [PROCS]
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

#define CHANNELS 4
#define EACH 6 /* Senders of each kind, and as many receivers. */

struct tally {
    int64_t number, sum;
};

static weft_chan *channels[CHANNELS];
static weft_mutex *lock;
static struct tally sent, received; /* Guarded by the lock. */
static weft_wg *senders, *receivers;
static volatile int end;
static volatile sig_atomic_t signals;

static void add(struct tally *total, struct tally mine)
{
    EQUAL(weft_mutex_lock(lock), 0);
    total->number += mine.number;
    total->sum += mine.sum;
    EQUAL(weft_mutex_unlock(lock), 0);
}

static void sender(void *argument)
{
    uint32_t random = (uint32_t)(uintptr_t)argument * 2654435761u + 1;
    struct tally mine = { 0, 0 };
    while (!end) {
        random = random * 1664525u + 1013904223u;
        int64_t value = random >> 8;
        int result = 0;
        if (random % 5 == 0) {
            weft_case cases[CHANNELS];
            for (int i = 0; i < CHANNELS; i++)
                cases[i] = (weft_case){ channels[i], &value, WEFT_SEND, 0 };
            int chosen = weft_select(cases, CHANNELS, 1000000);
            CHECK(chosen >= 0 || chosen == WEFT_ETIMEDOUT);
            result = chosen < 0 ? WEFT_EAGAIN : 0;
        } else if (random % 5 == 1) {
            result = weft_chan_try_send(channels[random / 64 % CHANNELS], &value);
            CHECK(result == 0 || result == WEFT_EAGAIN);
        } else {
            result = weft_chan_send(channels[random / 64 % CHANNELS], &value);
            EQUAL(result, 0);
        }
        if (result == 0) {
            mine.number++;
            mine.sum += value;
        }
        if (random % 97 == 0)
            weft_yield();
        if (random % 4001 == 0)
            weft_sleep(50000);
    }
    add(&sent, mine);
    EQUAL(weft_wg_done(senders), 0);
}

static void receiver(void *argument)
{
    struct tally mine = { 0, 0 };
    weft_case cases[CHANNELS];
    int64_t value;
    int open = CHANNELS;
    int own = (int)((uintptr_t)argument % CHANNELS);
    for (int i = 0; i < CHANNELS; i++)
        cases[i] = (weft_case){ channels[i], &value, WEFT_RECV, 0 };
    while (open > 0) {
        if (mine.number % 3 == 0 && cases[own].chan != NULL) {
            int result = weft_chan_recv(channels[own], &value);
            CHECK(result == 0 || result == WEFT_EPIPE);
            if (result == WEFT_EPIPE) {
                cases[own].chan = NULL;
                open--;
                continue;
            }
        } else {
            int chosen = weft_select(cases, CHANNELS, WEFT_FOREVER);
            CHECK(chosen >= 0);
            if (cases[chosen].result == WEFT_EPIPE) {
                cases[chosen].chan = NULL;
                open--;
                continue;
            }
        }
        mine.number++;
        mine.sum += value;
    }
    add(&received, mine);
    EQUAL(weft_wg_done(receivers), 0);
}

static void *sender_thread(void *argument)
{
    sender(argument);
    return NULL;
}

static void *receiver_thread(void *argument)
{
    receiver(argument);
    return NULL;
}

/* Comes and goes: the runtime has to take threads in and let them go. */
static void *short_thread(void *argument)
{
    (void)argument;
    int64_t value;
    if (weft_chan_try_recv(channels[0], &value) == 0) {
        struct tally one = { 1, value };
        add(&received, one);
    }
    return NULL;
}

static void on_signal(int signal)
{
    (void)signal;
    signals++;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    weft_options options = { .size = sizeof options, .maxprocs = argc > 2 ? atoi(argv[2]) : 0 };
    pthread_t threads[2 * EACH];
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL); /* Before Weft: it is made to run on the alternate stack. */
    EQUAL(weft_init(&options), 0);
    for (int i = 0; i < CHANNELS; i++)
        EQUAL(weft_chan_make(&channels[i], sizeof(int64_t), i == 0 ? 0 : 1 << (2 * i)), 0);
    EQUAL(weft_mutex_make(&lock), 0);
    EQUAL(weft_wg_make(&senders), 0);
    EQUAL(weft_wg_make(&receivers), 0);
    EQUAL(weft_wg_add(senders, 2 * EACH), 0);
    EQUAL(weft_wg_add(receivers, 2 * EACH), 0);
    for (uintptr_t i = 0; i < EACH; i++) {
        EQUAL(weft_go(sender, (void *)i), 0);
        EQUAL(weft_go(receiver, (void *)i), 0);
        CHECK(pthread_create(&threads[2 * i], NULL, sender_thread, (void *)(i + 100)) == 0);
        CHECK(pthread_create(&threads[2 * i + 1], NULL, receiver_thread, (void *)(i + 100)) == 0);
    }
    int64_t until = weft_now() + (int64_t)(seconds * 1e9);
    int children = 0, shorts = 0;
    while (weft_now() < until) {
        usleep(5000);
        kill(getpid(), SIGUSR1);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        shorts++;
        if (shorts % 20 == 0) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                execl("/bin/true", "true", (char *)NULL);
                _exit(127);
            }
            int status;
            CHECK(waitpid(child, &status, 0) == child);
            EQUAL(status, 0);
            children++;
        }
    }
    end = 1;
    EQUAL(weft_wg_wait(senders), 0);
    for (int i = 0; i < CHANNELS; i++)
        EQUAL(weft_chan_close(channels[i]), 0);
    EQUAL(weft_wg_wait(receivers), 0);
    for (int i = 0; i < 2 * EACH; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    EQUAL(received.number, sent.number);
    EQUAL(received.sum, sent.sum);
    CHECK(sent.number > 1000);
    CHECK(signals > 0);
    ALL_END();
    EQUAL(weft_shutdown(), 0);
    printf("%" PRId64 " elements, %d short threads, %d children, %d signals: nothing lost\n", sent.number, shorts,
           children, (int)signals);
    return 0;
}
