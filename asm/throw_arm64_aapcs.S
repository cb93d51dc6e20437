// Exceptions: room for the runtime's dispatch, and a place to stop before it. arm64, AAPCS64 (Linux).
// README.md in this folder is the contract.

#include "abi.h"
#include "context.h"
#include "runtime_arm64.h"
#include "macros_arm64.h"

RESERVE_THEN reserve_to_throw, __real_RhpThrowEx, THROW_RESERVE
RESERVE_THEN __wrap_RhpRethrow, __real_RhpRethrow, THROW_RESERVE

// A goroutine that does nothing but throw and catch is in the runtime's dispatch nearly always, where no
// signal may stop it. Before the dispatch it may.
FUNCTION __wrap_RhpThrowEx
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 1f
        ldr     x10, [x9, #TLS_MACHINE]
        ldrb    w11, [x10, #M_STOP_ASKED]
        cbz     w11, 2f
        PUSH_LINK
        bl      stop_here               // Keeps the exception, in x0.
        POP_LINK
2:      b       reserve_to_throw
1:      b       __real_RhpThrowEx
END __wrap_RhpThrowEx

// The same for what the runtime throws where a signal told it of a fault, at x1. The stack pointer is that of
// the faulting code, and so is x30.
FUNCTION __wrap_RhpThrowHwEx
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 1f
        ldr     x10, [x9, #TLS_MACHINE]
        ldrb    w11, [x10, #M_STOP_ASKED]
        cbz     w11, 1f
        PUSH_LINK 16
        stp     x0, x1, [sp, #16]
        bl      stop_here
        ldp     x0, x1, [sp, #16]
        POP_LINK 16
1:      b       __real_RhpThrowHwEx
END __wrap_RhpThrowHwEx
