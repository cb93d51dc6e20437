/* A host that loads the library at run time, twice, and a second copy of it, which is refused; its handlers of
 * SIGURG and SIGSEGV get what is theirs.
 *
 *   host_test LIBRARY COPY
 */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

static volatile sig_atomic_t urgent;
static sigjmp_buf escape;

static void on_urgent(int signal)
{
    (void)signal;
    urgent++;
}

static void on_fault(int signal)
{
    (void)signal;
    siglongjmp(escape, 1);
}

static void handle(int signal, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static int (*init)(const weft_options *);
static int (*shut_down)(void);
static int (*run)(void (*)(void *), void *);
static int (*yield_now)(void);

static void count(void *number)
{
    for (int i = 0; i < 1000; i++) {
        ++*(int *)number;
        yield_now();
    }
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&init = dlsym(library, "weft_init");
    *(void **)&shut_down = dlsym(library, "weft_shutdown");
    *(void **)&run = dlsym(library, "weft_run");
    *(void **)&yield_now = dlsym(library, "weft_yield");
    return library;
}

static void *from_thread(void *argument)
{
    EQUAL(run(count, argument), 0);
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    handle(SIGURG, on_urgent);
    handle(SIGSEGV, on_fault);
    for (int round = 0; round < 2; round++) {
        int number = 0;
        pthread_t thread;
        void *library = load(argv[1]);
        EQUAL(init(NULL), 0);
        EQUAL(run(count, &number), 0);
        CHECK(pthread_create(&thread, NULL, from_thread, &number) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        EQUAL(number, 2000);
        EQUAL(shut_down(), 0);
        CHECK(dlclose(library) == 0);
    }
    kill(getpid(), SIGURG);
    EQUAL(urgent, 1);
    if (sigsetjmp(escape, 1) == 0) {
        *(volatile int *)(intptr_t)0x123456789000 = 1;
        CHECK(!"the write has faulted");
    }
    load(argv[2]);
    EQUAL(init(NULL), WEFT_EEXIST);
    puts("passed");
    return 0;
}
