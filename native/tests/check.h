/* CHECK(condition) and EQUAL(value, expected): on failure, where and what, and exit code 1. ALL_END(): waits until no
 * goroutine is left, and checks that. UNDER_QEMU: its user mode lacks some of the kernel (./build.sh arm64-lib). */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

#define EQUAL(value, expected)                                                          \
    do {                                                                                \
        long long value_ = (long long)(value), expected_ = (long long)(expected);       \
        if (value_ != expected_) {                                                      \
            fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__,   \
                    #value, value_, expected_);                                         \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

#define UNDER_QEMU (getenv("QEMU_LD_PREFIX") != NULL)

#define ALL_END()                                                                       \
    do {                                                                                \
        for (int i_ = 0; weft_count() != 0 && i_ < 5000; i_++)                          \
            weft_sleep(1000000);                                                        \
        EQUAL(weft_count(), 0);                                                         \
    } while (0)

#endif
