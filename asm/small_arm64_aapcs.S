// The small ones: the thread's words, calls of the system and of C, the count of critical sections. arm64,
// AAPCS64 (Linux). README.md in this folder is the contract.

#include "abi.h"
#include "context.h"
#include "runtime_arm64.h"
#include "macros_arm64.h"

// void* weft_goroutine(void), void* weft_machine(void): the thread's words.
FUNCTION weft_goroutine
        TLS     x0, x1, weft_tls
        ldr     x0, [x0, #TLS_GOROUTINE]
        ret
END weft_goroutine

FUNCTION weft_machine
        TLS     x0, x1, weft_tls
        ldr     x0, [x0, #TLS_MACHINE]
        ret
END weft_machine

FUNCTION weft_set_machine
        TLS     x1, x2, weft_tls
        str     x0, [x1, #TLS_MACHINE]
        ret
END weft_set_machine

FUNCTION weft_thread
        TLS     x0, x1, tls_CurrentThread
        ret
END weft_thread

// void* weft_thread_pointer(void): what thread-local addresses are computed from.
FUNCTION weft_thread_pointer
        mrs     x0, tpidr_el0
        ret
END weft_thread_pointer

// long weft_ticks(void): the system's counter. Not in order with what stands around it; a few ns.
FUNCTION weft_ticks
        mrs     x0, cntvct_el0
        ret
END weft_ticks

// void* weft_statics_cell(void): this thread's cell for inlined thread statics.
FUNCTION weft_statics_cell
        TLS     x0, x1, tls_InlinedThreadStatics
        ret
END weft_statics_cell

// long weft_syscall(number, a, b, c, d, e, f): the result, or -errno. Leaves errno alone.
FUNCTION weft_syscall
        mov     x8, x0
        mov     x0, x1
        mov     x1, x2
        mov     x2, x3
        mov     x3, x4
        mov     x4, x5
        mov     x5, x6
        svc     #0
        ret
END weft_syscall

// void weft_enter_critical(void), weft_leave_critical(void), int weft_critical(void). No signal preempts a
// goroutine in here, for this is not managed code: the count is that of the thread where it is changed.
FUNCTION weft_enter_critical
        TLS     x9, x10, weft_tls
        ldr     w10, [x9, #TLS_CRITICAL]
        add     w10, w10, #1
        str     w10, [x9, #TLS_CRITICAL]
        ret
END weft_enter_critical

// int weft_enter_lock(int* lock): enters a critical section, then 0 where the lock was 0, which is 1 now;
// where it was not, what it was.
FUNCTION weft_enter_lock
        TLS     x9, x10, weft_tls
        ldr     w10, [x9, #TLS_CRITICAL]
        add     w10, w10, #1
        str     w10, [x9, #TLS_CRITICAL]
        mov     x1, x0
        mov     w2, #1
1:      ldaxr   w0, [x1]
        cbnz    w0, 2f
        stxr    w3, w2, [x1]
        cbnz    w3, 1b
        ret
2:      clrex
        ret
END weft_enter_lock

FUNCTION weft_leave_critical
        TLS     x9, x10, weft_tls
        ldr     w10, [x9, #TLS_CRITICAL]
        sub     w10, w10, #1
        str     w10, [x9, #TLS_CRITICAL]
        ret
END weft_leave_critical

FUNCTION weft_critical
        TLS     x9, x10, weft_tls
        ldr     w0, [x9, #TLS_CRITICAL]
        ret
END weft_critical

// long weft_call(function, a, b, c, d): calls a C address from C#, whose own calli would look for tag bits.
FUNCTION weft_call
        mov     x9, x0
        mov     x0, x1
        mov     x1, x2
        mov     x2, x3
        mov     x3, x4
        br      x9
END weft_call
