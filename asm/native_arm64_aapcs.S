// Between managed and native code: P/Invokes and callbacks of goroutines. arm64, AAPCS64 (Linux).
// README.md in this folder is the contract.
//
// Native frames never move, and sysmon may take a processor away meanwhile. So a P/Invoke makes room first,
// and both kinds are counted on both sides; who comes back too late waits for a processor.

#include "abi.h"
#include "context.h"
#include "runtime_arm64.h"
#include "macros_arm64.h"

RESERVE_THEN __wrap_RhpPInvoke, enter_native, NATIVE_RESERVE

// A goroutine enters native code: from now on its machine's processor may be taken away
// (sched/Scheduler.Native.cs).
// One word tells, by an odd value, and by another value whether it is still the same call.
FUNCTION enter_native
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 1f
        ldr     x9, [x9, #TLS_MACHINE]
        COUNT_NATIVE x9, 10, 11
1:      b       __real_RhpPInvoke
END enter_native

// And comes back. The store of the count and the load of the request need no fence between them: who sets
// the request has all threads execute one (Scheduler.TakeFromNative) before it reads the count.
FUNCTION __wrap_RhpPInvokeReturn
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 1f
        ldr     x9, [x9, #TLS_MACHINE]
        ldr     w10, [x9, #M_NATIVE_COUNT]
        add     w10, w10, #1
        str     w10, [x9, #M_NATIVE_COUNT]
        ldr     w10, [x9, #M_RETAKE]
        cbnz    w10, 2f
1:      b       __real_RhpPInvokeReturn
2:      PUSH_LINK
        bl      __real_RhpPInvokeReturn // Managed code again, for the collector: nothing more is in x0.
        POP_LINK
        b       wait_for_processor
END __wrap_RhpPInvokeReturn

// The goroutine stops with the reason NativeReturn: it runs again when there is a processor, on whatever
// thread. The native code around may have its own rounding. Where that is below, and waits for a callback,
// the switch keeps it for RhpReversePInvokeReturn, and the managed code goes on with the default.
FUNCTION wait_for_processor
        PUSH_LINK 32
        stp     x19, x20, [sp, #16]
        .cfi_rel_offset x19, 16
        .cfi_rel_offset x20, 24
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_GOROUTINE]
        ldr     w10, [x9, #CTX_NATIVE_DEPTH]
        cmp     w10, #0
        b.le    1f
        ldrh    w10, [x9, #G_NATIVE_KEPT]
        cbnz    w10, 1f                 // Kept since another switch.
        str     xzr, [sp, #32]
        b       2f
1:      mrs     x9, fpcr
        str     x9, [sp, #32]
        msr     fpcr, xzr
2:      STOP    REASON_NATIVE
        ldr     x9, [sp, #32]
        msr     fpcr, x9
        ldp     x19, x20, [sp, #16]
        .cfi_restore x19
        .cfi_restore x20
        POP_LINK 32
        ret
END wait_for_processor

// What RhpReversePInvoke does where there is nothing to wait for; else on to \slow, or to \undo where the
// transition frame, in x11, is to be stored again in the thread, x10, before that. x0: as below.
.macro ENTER_MANAGED undo, slow
        TLS     x10, x11, tls_CurrentThread
        ldr     x11, [x10, #THREAD_FRAME]
        ldr     w12, [x10, #THREAD_FLAGS]
        mov     w13, #(THREAD_ATTACHED | THREAD_NO_GC)
        and     w12, w12, w13
        cmp     w12, #THREAD_ATTACHED
        b.ne    \slow
        cbz     x11, \slow
        str     x11, [x0]
        // Who suspends threads sets the word below, and then has all of them execute a fence.
        str     xzr, [x10, #THREAD_FRAME]
        adrp    x12, RhpTrapThreads
        ldr     w12, [x12, #:lo12:RhpTrapThreads]
        tst     w12, #TRAP_THREADS
        b.ne    \undo
.endm

// Native code enters managed code. On a goroutine the native frames below must not move: count them. The
// rest is in line: each call of the C face pays it, and each start of a goroutine.
//
// x0: the frame, two words. The first keeps the transition frame. The second would be the Thread, which we
// find anew.
FUNCTION __wrap_RhpReversePInvoke
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 6f
        ldr     w11, [x10, #CTX_NATIVE_DEPTH]
        adds    w11, w11, #1
        str     w11, [x10, #CTX_NATIVE_DEPTH]
        b.eq    7f
        ldr     x9, [x9, #TLS_MACHINE]
        ldr     w10, [x9, #M_NATIVE_COUNT]      // As in RhpPInvokeReturn.
        add     w10, w10, #1
        str     w10, [x9, #M_NATIVE_COUNT]
        ENTER_MANAGED 1f, 2f
3:      ldr     w10, [x9, #M_RETAKE]
        cbnz    w10, 4f
        ret
4:      b       wait_for_processor
1:      str     x11, [x10, #THREAD_FRAME]
2:      PUSH_LINK
        bl      weft_reverse_pinvoke
        POP_LINK
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_MACHINE]
        b       3b
6:      b       weft_thread_enters
7:      ENTER_MANAGED 8f, 9f            // weft_entry: it holds a message, and may not lose its processor.
        ret
8:      str     x11, [x10, #THREAD_FRAME]
9:      b       weft_reverse_pinvoke
END __wrap_RhpReversePInvoke

FUNCTION __wrap_RhpReversePInvokeReturn
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 4f
        ldr     w11, [x10, #CTX_NATIVE_DEPTH]
        sub     w11, w11, #1
        str     w11, [x10, #CTX_NATIVE_DEPTH]
        ldr     x9, [x9, #TLS_MACHINE]
        ldrh    w11, [x10, #G_NATIVE_KEPT]
        cbnz    w11, 1f
2:      COUNT_NATIVE x9, 10, 11
        ldr     x11, [x0]
        TLS     x9, x10, tls_CurrentThread
        add     x9, x9, #THREAD_FRAME
        stlr    x11, [x9]
        ret
1:      ldr     w11, [x10, #G_NATIVE_FLOAT]     // It has switched meanwhile.
        cbz     w11, 3f
        msr     fpcr, x11
3:      strh    wzr, [x10, #G_NATIVE_KEPT]
        b       2b
4:      b       __real_RhpReversePInvokeReturn
END __wrap_RhpReversePInvokeReturn
