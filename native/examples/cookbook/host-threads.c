/* A host with a main and threads of its own: it starts Weft, and its threads and the goroutines share channels.
 *
 * Prints:
 *   3 threads and 3 goroutines have done 600 jobs
 */
#include <pthread.h>
#include <stdio.h>
#include <weft.h>

#define WORKERS 3
#define JOBS 600

static weft_chan *jobs, *results;

static void work(void *argument)
{
    (void)argument;
    int job, done = 0;
    while (weft_chan_recv(jobs, &job) == 0) /* Parks the goroutine, and blocks the thread. */
        done++;
    weft_chan_send(results, &done);
}

static void *thread(void *argument)
{
    work(argument);
    return NULL;
}

int main(void)
{
    pthread_t threads[WORKERS];
    int error = weft_init(NULL), total = 0;
    if (error != 0) {
        fprintf(stderr, "weft_init: %s\n", weft_strerror(error));
        return 1;
    }
    weft_chan_make(&jobs, sizeof(int), 10);
    weft_chan_make(&results, sizeof(int), 0);
    for (int i = 0; i < WORKERS; i++) {
        pthread_create(&threads[i], NULL, thread, NULL);
        weft_go(work, NULL);
    }
    for (int i = 0; i < JOBS; i++)
        weft_chan_send(jobs, &i);
    weft_chan_close(jobs);
    for (int i = 0; i < 2 * WORKERS; i++) {
        int done;
        weft_chan_recv(results, &done);
        total += done;
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    printf("%d threads and %d goroutines have done %d jobs\n", WORKERS, WORKERS, total);
    weft_chan_free(jobs);
    weft_chan_free(results);
    return weft_shutdown();
}
