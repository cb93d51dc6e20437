/* Any function may be the first that a process calls, before weft_init: it starts the .NET runtime on the way.
 *
 *   first_test FUNCTION    with nothing but zeros; exits 0 whatever the function says
 */
#include <dlfcn.h>
#include <weft.h>

#include "check.h"

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    void *function = dlsym(RTLD_DEFAULT, argv[1]);
    CHECK(function != NULL);
    ((long (*)(long, long, long, long, long, long))function)(0, 0, 0, 0, 0, 0);
    return weft_count() == 0 ? 0 : 1;
}
