/* errno in goroutines that change threads: always that of the thread where the call before was. Compiled with -O2,
 * where the compiler would keep its address. */
#include <errno.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

static weft_wg *wg;

static void body(void *argument)
{
    (void)argument;
    for (int i = 0; i < 100; i++) {
        errno = 0;
        weft_sleep(i % 7 * 1000);
        errno = 0;
        CHECK(close(-1) == -1);
        EQUAL(errno, EBADF);
        CHECK(&errno == weft_errno_location());
    }
    EQUAL(weft_wg_done(wg), 0);
}

int main(void)
{
    EQUAL(weft_init(NULL), 0);
    EQUAL(weft_wg_make(&wg), 0);
    EQUAL(weft_wg_add(wg, 200), 0);
    for (int i = 0; i < 200; i++)
        EQUAL(weft_go(body, NULL), 0);
    EQUAL(weft_wg_wait(wg), 0);
    puts("passed");
    return 0;
}
