/* A worker pool: jobs go in by one channel, results come out by another. A job that is wrong ends all of it. */
#include <stdio.h>
#include <weft.h>

#define WORKERS 4

struct job {
    int first, last;
};

struct pool {
    weft_chan *jobs, *results;
    int from, steps;
};

static int primes_in(struct job job)
{
    int count = 0;
    for (int n = job.first; n < job.last; n++) {
        int divisor = 2;
        while (divisor * divisor <= n && n % divisor != 0)
            divisor++;
        count += n > 1 && divisor * divisor > n;
    }
    return count;
}

/* Works until there are no more jobs, 0, or until one is wrong, or another worker has found such a one. */
static int work(void *argument)
{
    struct pool *pool = argument;
    struct job job;
    int result;
    while ((result = weft_chan_recv(pool->jobs, &job)) == 0) {
        if (job.first > job.last)
            return WEFT_EINVAL;
        int count = primes_in(job);
        if ((result = weft_chan_send(pool->results, &count)) != 0)
            return result;
    }
    return result == WEFT_EPIPE ? 0 : result;
}

/* Is cancelled with the workers: so it does not wait for ever for one that takes a job. */
static int give_out(void *argument)
{
    struct pool *pool = argument;
    int result = 0;
    for (int i = 0; i < pool->steps && result == 0; i++) {
        struct job job = { pool->from + 1000 * i, pool->from + 1000 * (i + 1) };
        if (i == 50 && pool->from > 0)
            job.last = 0;
        result = weft_chan_send(pool->jobs, &job);
    }
    weft_chan_close(pool->jobs);
    return result;
}

static void *add_up(void *results)
{
    intptr_t sum = 0;
    for (int count; weft_chan_recv(results, &count) == 0;)
        sum += count;
    return (void *)sum;
}

/* How many primes there are in so many steps of 1,000 from a number; below 0: an error. */
static int count_primes(int from, int steps)
{
    struct pool pool = { NULL, NULL, from, steps };
    weft_bundle *workers;
    weft_task *sum;
    void *primes;
    int failed = 0;
    weft_chan_make(&pool.jobs, sizeof(struct job), 0);
    weft_chan_make(&pool.results, sizeof(int), 0);
    weft_bundle_make(&workers, 0);
    for (int i = 0; i < WORKERS; i++)
        weft_bundle_go(workers, NULL, work, &pool);
    weft_task_go(&sum, NULL, add_up, pool.results);
    weft_bundle_go(workers, NULL, give_out, &pool);
    weft_bundle_wait(workers, &failed);
    weft_chan_close(pool.results);
    weft_task_join(sum, &primes);
    weft_bundle_free(workers), weft_chan_free(pool.jobs), weft_chan_free(pool.results);
    return failed != 0 ? failed : (int)(intptr_t)primes;
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("there are %d primes below 100000\n", count_primes(0, 100));
    printf("a job that is wrong: %s\n", weft_strerror(count_primes(1, 100)));
    return 0;
}

int main(int argc, char **argv) { return weft_main(run, argc, argv); }
