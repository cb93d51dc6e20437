/* What threads take for what costs.c asks of libweft. There are no channels: a round trip is by two semaphores. */
#include "measure.h"
#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t there, here;

static void lock_unlock(int n)
{
    for (int i = 0; i < n; i++) {
        pthread_mutex_lock(&mutex);
        pthread_mutex_unlock(&mutex);
    }
}

static void *nothing(void *argument)
{
    return argument;
}

static void start(int n)
{
    pthread_t threads[64];
    for (int i = 0; i < n; i += 64) {
        int count = 0;
        while (count < 64 && pthread_create(&threads[count], NULL, nothing, NULL) == 0)
            count++;
        while (count > 0)
            pthread_join(threads[--count], NULL);
    }
}

static void *echo(void *argument)
{
    for (;;) {
        sem_wait(&there);
        sem_post(&here);
    }
    return argument;
}

static void round_trip(int n)
{
    for (int i = 0; i < n; i++) {
        sem_post(&there);
        sem_wait(&here);
    }
}

static void sleep_1ms(void)
{
    struct timespec time = { 0, 1000000 };
    nanosleep(&time, NULL);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    wanted = argc > 1 ? argv[1] : wanted;
    sem_init(&there, 0, 0);
    sem_init(&here, 0, 0);
    if (pthread_create(&thread, NULL, echo, NULL) == 0)
        measure(ROUND_TRIP, round_trip, 1000);
    measure(LOCK, lock_unlock, 50000);
    measure(START, start, 64);
    measure_late(sleep_1ms);
    return 0;
}
