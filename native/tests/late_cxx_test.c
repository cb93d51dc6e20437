/* A program of C that loads a library of C++ after the start, which then waits in catch blocks.
 *
 *   late_cxx_test LIBRARY
 */
#include <dlfcn.h>
#include <stdio.h>
#include <weft.h>

#include "check.h"

static int load(int count, char **arguments)
{
    (void)count;
    CHECK(dlsym(RTLD_DEFAULT, "__cxa_get_globals") == NULL);
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    int (*run)(int, char **) = (int (*)(int, char **))dlsym(library, "run");
    CHECK(run != NULL);
    for (int i = 0; i < 200; i++) /* Weft looks 20 times a second. */
        weft_sleep(5000000);
    return run(0, arguments);
}

int main(int count, char **arguments)
{
    return weft_main(load, count, arguments);
}
