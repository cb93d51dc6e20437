// C++ exceptions of goroutines that wait while one is caught, or on its way: each goroutine's are its own.
//
//   cxx_test PROCS
//
// Or a library, which late_cxx_test.c loads.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <weft.h>

static const int goroutines = 200, rounds = 20;
static std::atomic<int> wrong{0};
static weft_wg *group;

struct Yields {
    ~Yields() { weft_yield(); }
};

struct Sleeps {
    int before = std::uncaught_exceptions();
    ~Sleeps()
    {
        weft_sleep(100000);
        wrong += std::uncaught_exceptions() != before + 1;
    }
};

// A wait in a catch block, then the exception again.
static void rethrow(long me)
{
    try {
        try {
            throw me;
        } catch (long) {
            weft_yield();
            wrong += std::uncaught_exceptions() != 0;
            throw;
        }
    } catch (long got) {
        wrong += got != me;
    }
}

// One in a destructor on the way, and one beside a second exception.
static void unwind(long me)
{
    try {
        Yields here;
        throw me;
    } catch (long got) {
        wrong += got != me;
        try {
            Sleeps there;
            throw -me;
        } catch (long second) {
            wrong += second != -me;
            weft_yield();
        }
        std::exception_ptr current = std::current_exception();
        try {
            std::rethrow_exception(current);
        } catch (long again) {
            wrong += again != me;
        }
    }
}

// None.
static void look()
{
    weft_yield();
    wrong += std::uncaught_exceptions() != 0;
    wrong += std::current_exception() != nullptr;
}

static void body(void *number)
{
    long me = reinterpret_cast<long>(number);
    for (int i = 0; i < rounds; i++) {
        switch (me % 3) {
        case 0: rethrow(me); break;
        case 1: unwind(me); break;
        default: look(); break;
        }
    }
    weft_wg_done(group);
    if (me % 7 == 0) { // One that ends inside a catch block leaves its thread clean.
        try {
            throw me;
        } catch (long) {
            weft_exit();
        }
    }
}

extern "C" int run(int, char **)
{
    weft_wg_make(&group);
    weft_wg_add(group, goroutines);
    for (long i = 1; i <= goroutines; i++)
        weft_go(body, reinterpret_cast<void *>(i));
    weft_wg_wait(group);
    if (wrong != 0)
        std::printf("wrong: %d\n", wrong.load());
    else
        std::puts("passed");
    return wrong != 0;
}

int main(int, char **arguments)
{
    weft_options options = {};
    options.size = sizeof options;
    options.maxprocs = std::atoi(arguments[1]);
    weft_init(&options);
    return weft_main(run, 0, arguments);
}
