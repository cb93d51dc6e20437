/* weft_init where address space is limited: it works, or says WEFT_ENOMEM. It never ends its host. Each try is a
 * process of its own, with so many megabytes more than it has. */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

static void limit_to(long more)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    CHECK(statm != NULL && fscanf(statm, "%ld", &pages) == 1);
    fclose(statm);
    rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)more << 20);
    struct rlimit limit = { bytes, bytes };
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void set(void *flag) { *(int *)flag = 1; }

static int try_with(long more)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        limit_to(more);
        int result = weft_init(NULL);
        if (result == WEFT_OK) {
            int ran = 0;
            CHECK(weft_run(set, &ran) == WEFT_OK && ran == 1);
        }
        _exit(result == WEFT_OK ? 0 : result == WEFT_ENOMEM ? 1 : 2);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
        fprintf(stderr, "with %ld MB more: status 0x%x\n", more, status);
        exit(1);
    }
    return WEXITSTATUS(status);
}

int main(void)
{
    int worked = 0;
    for (long more = 0; more <= 640; more += more < 160 ? 8 : 80) {
        worked = try_with(more) == 0;
    }
    EQUAL(worked, 1);
    return 0;
}
