// A larger stack, before code runs that needs one: arm64, AAPCS64 (Linux). README.md in this folder is the
// contract.

#include "abi.h"
#include "context.h"
#include "runtime_arm64.h"
#include "macros_arm64.h"

// Moves the running goroutine to a stack with x12 bytes free, then continues at x11 with x0 and x30 kept.
// All that may hold stack addresses is on the stack while C# copies it: callee-saved registers and x0.
// The collector must not stop this thread meanwhile: it cannot walk through this frame.
FUNCTION weft_grow_then
        stp     x0, x11, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        PUSH_SAVED
        mov     x0, sp
        mov     x1, x12
        mov     x29, sp
        .cfi_def_cfa_register x29
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_MACHINE]
        ldr     x9, [x9, #CTX_SP]
        mov     sp, x9
        HOOK    x9, GROW_HOOK           // (sp, reserve) -> distance to the new stack, 0 if not moved
        CALL_UNCOLLECTED x9, 20, 21
        add     x9, x29, x0
        mov     sp, x9
        .cfi_def_cfa_register sp
        POP_SAVED
        ldp     x0, x11, [sp], #16
        .cfi_adjust_cfa_offset -16
        br      x11
END weft_grow_then

// void weft_reserve(bytes): the same check for C# that is about to hand out addresses on its stack.
FUNCTION weft_reserve
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_GOROUTINE]
        cbz     x9, 1f
        mov     x10, sp
        sub     x10, x10, x0
        ldr     x11, [x9, #CTX_RESERVE_LOW]
        cmp     x10, x11
        b.hs    1f
        mov     x12, x0
        adr     x11, 1f
        b       weft_grow_then
1:      ret
END weft_reserve
