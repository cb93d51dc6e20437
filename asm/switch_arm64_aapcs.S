// Stack switching for arm64, AAPCS64 (Linux). README.md in this folder is the contract.
//
// A parked stack is one pointer. The rest lies on the stack it points to:
//
//   sp -> +0 x19 ... +72 x28  +80 x29  +88 x30, the return address  +96 d8 ... +152 d15
//
// Saved besides, into the Context: the part of NativeAOT's Thread that belongs to the goroutine.
// Not saved, by contract: caller-saved registers, SVE's among them; tpidr_el0, the signal mask; fpcr but
// where native code waits on the stack. Hold no TLS address across this call.

#include "abi.h"
#include "context.h"
#include "runtime_arm64.h"
#include "macros_arm64.h"

// What the runtime takes for the stack's bounds on a goroutine. Low, so that EnsureSufficientExecutionStack
// passes; and holding no address at all, because the collector ignores interior pointers between them.
#define GOROUTINE_BOUNDS_LOW    0
#define GOROUTINE_BOUNDS_HIGH   1

        .section .tbss, "awT", @nobits
        .p2align 4
        .globl weft_tls
        .hidden weft_tls
        .type weft_tls, @object
        .size weft_tls, 24
weft_tls:
        .zero 24

        .bss
        .p2align 3
        .globl weft_hooks
        .hidden weft_hooks
weft_hooks:                             // C# stores function addresses here (core/Switch.cs).
        .zero 72
        .globl weft_vector_size
weft_vector_size:                       // Not used here: what is saved has one size (preempt_arm64_aapcs.S).
        .zero 8
        .text

// x13: this thread's two words of __cxa_get_globals; x9 to x15 are lost. In SWITCH only, for the call is not
// one of the ABI's.
.macro CXX_WORDS
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_MACHINE]
        ldr     x13, [x9, #M_CXX]
        cbnz    x13, 13f
        bl      find_cxx_words
13:
.endm

// goroutine* weft_switch(context* from, goroutine* to, goroutine* message)
//
// Saves the caller into `from`, resumes `to`, which becomes the thread's current goroutine. Returns, when
// something switches back to `from`, the message of that switch.
//
// goroutine* weft_switch_unlock(context* from, goroutine* to, int* lock): the same without a message, but it
// makes the lock 0 and leaves the critical section once nothing of `from` is in use any more.
.macro SWITCH unlocks
        PUSH_SAVED
        TLS     x8, x9, tls_CurrentThread
        ldr     w9, [x0, #CTX_NATIVE_DEPTH]
        cmp     w9, #0
        b.gt    5f
6:
        // Most goroutines have no exception in flight and no thread statics: if neither side has any, and
        // no return address is hijacked, nothing but the stack is exchanged.
        ldr     x9, [x8, #THREAD_HIJACK_VALUE]
        ldr     x10, [x8, #THREAD_EXINFO]
        ldp     x11, x12, [x8, #THREAD_STATICS]         // ... and THREAD_INLINED_LIST
        ldr     x13, [x8, #THREAD_GCFRAMES]
        ldp     x14, x15, [x1, #CTX_EXINFO]             // ... and CTX_STATICS
        ldp     x16, x17, [x1, #CTX_INLINED]            // ... and CTX_GCFRAMES
        orr     x9, x9, x10
        orr     x11, x11, x12
        orr     x14, x14, x15
        orr     x16, x16, x17
        orr     x9, x9, x13
        orr     x11, x11, x14
        orr     x9, x9, x16
        orr     x9, x9, x11
        cbnz    x9, 3f
1:      ldr     x12, [sp, #SAVED_RETURN] // Our own caller's address, for the comparison below.
        mov     x9, sp
        stlr    x9, [x0]                // CTX_SP, which is 0. The frame is complete: publish it.

        ldr     x9, [x1]
        mov     sp, x9                  // From here on we are the other stack.
        str     xzr, [x1]               // A running stack has no saved sp: the GC walks it precisely.
        TLS     x10, x11, weft_tls
        str     x3, [x10, #TLS_GOROUTINE]
.if \unlocks
        stlr    wzr, [x2]               // Others may resume `from` now.
        ldr     w11, [x10, #TLS_CRITICAL]
        sub     w11, w11, #1
        str     w11, [x10, #TLS_CRITICAL]
        mov     x0, #0
.else
        mov     x0, x2                  // The message travels in the return register.
.endif
        .cfi_remember_state
        POP_SAVED
        cmp     x12, x30                // The return predictor holds our own caller.
        b.ne    2f
        ret                             // The same place: predicted, and so are its callers.
2:      br      x30                     // Another: a ret would be mispredicted.

        // Exchange all of it. The fields of a running context are zero (no stale roots): so is `to` after.
3:      .cfi_restore_state
        ldr     x10, [x8, #THREAD_HIJACK_VALUE]
        cbz     x10, 4f
        ldr     x11, [x8, #THREAD_HIJACK_SLOT]
        str     x10, [x11]              // Put back the return address a suspension replaced.
        stp     xzr, xzr, [x8, #THREAD_HIJACK_SLOT]     // ... and THREAD_HIJACK_VALUE
4:      TLS     x9, x10, tls_InlinedThreadStatics
        ldr     x10, [x8, #THREAD_EXINFO]
        ldr     x11, [x8, #THREAD_STATICS]
        stp     x10, x11, [x0, #CTX_EXINFO]
        ldr     x10, [x9]
        ldr     x11, [x8, #THREAD_GCFRAMES]
        ldr     x12, [x0, #CTX_GCFRAMES]        // 0, or the mark of 8 below.
        orr     x11, x11, x12
        stp     x10, x11, [x0, #CTX_INLINED]

        ldp     x10, x11, [x1, #CTX_EXINFO]
        str     x10, [x8, #THREAD_EXINFO]
        str     x11, [x8, #THREAD_STATICS]
        ldp     x10, x11, [x1, #CTX_INLINED]
        stp     xzr, xzr, [x1, #CTX_EXINFO]
        stp     xzr, xzr, [x1, #CTX_INLINED]
        and     x12, x11, #~1
        str     x12, [x8, #THREAD_GCFRAMES]
        str     x10, [x9]
        cmp     x10, #0                 // The list of roots is this thread's one cell, or empty:
        csel    x9, xzr, x9, eq         // code that finds a null base will add the cell itself.
        str     x9, [x8, #THREAD_INLINED_LIST]
        tbz     x11, #0, 1b
        CXX_WORDS
        ldr     x9, [x1, #G_CXX_CAUGHT]
        ldr     w10, [x1, #G_CXX_UNCAUGHT]
        str     x9, [x13]
        str     w10, [x13, #8]
        b       1b

        // Native code waits on this stack. Where the process has C++, this thread's words of
        // __cxa_get_globals are the goroutine's: kept while it does not run. The mark in CTX_GCFRAMES, whose
        // values are even, has whoever switches back store them.
5:      HOOK    x9, GLOBALS_HOOK
        cbnz    x9, 8f
        // It may have changed fpcr: that is kept for RhpReversePInvokeReturn, and all others run with the
        // default.
9:      ldrh    w9, [x0, #G_NATIVE_KEPT]
        cbnz    w9, 6b                  // Kept already; the default is in force since then.
        mrs     x9, fpcr
        mov     w10, #1
        str     w9, [x0, #G_NATIVE_FLOAT]
        strh    w10, [x0, #G_NATIVE_KEPT]
        cbz     w9, 6b
        msr     fpcr, xzr
        b       6b

8:      CXX_WORDS
        ldr     x9, [x13]
        ldr     w10, [x13, #8]
        str     x9, [x0, #G_CXX_CAUGHT]
        str     w10, [x0, #G_CXX_UNCAUGHT]
        orr     x9, x9, x10
        cbz     x9, 9b
        str     xzr, [x13]
        str     wzr, [x13, #8]
        ldr     x9, [x0, #CTX_GCFRAMES]
        orr     x9, x9, #1
        str     x9, [x0, #CTX_GCFRAMES]
        b       9b
.endm

// Asks for them, once on each thread: on the system stack, for the loader may have to make them. x0 to x3 and
// x8 are kept; the callee-saved registers, which SWITCH has pushed, are not.
FUNCTION find_cxx_words
        mov     x19, x0
        mov     x20, x1
        mov     x21, x2
        mov     x22, x3
        mov     x23, x8
        mov     x24, x30
        .cfi_register x30, x24
        mov     x25, sp
        .cfi_def_cfa_register x25
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 1f
        ldr     x9, [x9, #TLS_MACHINE]
        ldr     x9, [x9, #CTX_SP]
        mov     sp, x9
1:      HOOK    x9, GLOBALS_HOOK
        blr     x9
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_MACHINE]
        str     x0, [x9, #M_CXX]
        mov     x13, x0
        mov     sp, x25
        .cfi_def_cfa_register sp
        mov     x0, x19
        mov     x1, x20
        mov     x2, x21
        mov     x3, x22
        mov     x8, x23
        mov     x30, x24
        .cfi_restore x30
        ret
END find_cxx_words

FUNCTION weft_switch
        mov     x3, x1
switch_stacks:                          // x3: the current goroutine to be; 0 for a system stack.
        SWITCH  unlocks=0
END weft_switch

FUNCTION weft_switch_unlock
        mov     x3, x1
        SWITCH  unlocks=1
END weft_switch_unlock

// goroutine* weft_switch_to_system(goroutine* from, machine* to, message) and
// goroutine* weft_switch_from_system(machine* from, goroutine* to, message): the same, but the Thread's stack
// bounds change too. Between goroutines they do not.
FUNCTION weft_switch_to_system
        mov     x3, #0
        ldp     x9, x10, [x1, #M_BOUNDS_LOW]    // ... and M_BOUNDS_HIGH
        b       switch_bounds
END weft_switch_to_system

FUNCTION weft_switch_from_system
        mov     x3, x1
        mov     x9, #GOROUTINE_BOUNDS_LOW
        mov     x10, #GOROUTINE_BOUNDS_HIGH
switch_bounds:
        TLS     x11, x12, tls_CurrentThread
        str     x9, [x11, #THREAD_BOUNDS_LOW]
        str     x10, [x11, #THREAD_BOUNDS_HIGH]
        b       switch_stacks
END weft_switch_from_system

// Where a new goroutine starts: x19 its main (UnmanagedCallersOnly, never returns), x20 its argument.
// The transition frame is the runtime's top-of-stack mark: precise walks end here. So does CFI.
FUNCTION weft_entry
        .cfi_undefined x30
        TLS     x9, x10, tls_CurrentThread
        mov     x10, #-1
        str     x10, [x9, #THREAD_FRAME]
        mov     x1, x0                  // The message of the switch that started us.
        mov     x0, x20
        mov     x29, #0
        mov     x30, #0
        blr     x19
        brk     #1
END weft_entry

// void weft_prepare(context* c, void* top, void* main, void* argument): builds the frame that the
// first switch to c pops. top is 16-byte aligned; two zero words above the frame stop any unwinder.
FUNCTION weft_prepare
        ADDRESS x9, weft_entry
        sub     x10, x1, #(16 + SAVED)
        stp     xzr, xzr, [x1, #-16]
        stp     x2, x3, [x10]           // x19, x20
        stp     xzr, xzr, [x10, #16]
        stp     xzr, xzr, [x10, #32]
        stp     xzr, xzr, [x10, #48]
        stp     xzr, xzr, [x10, #64]
        stp     xzr, x9, [x10, #SAVED_FP]
        stp     xzr, xzr, [x10, #96]
        stp     xzr, xzr, [x10, #112]
        stp     xzr, xzr, [x10, #128]
        stp     xzr, xzr, [x10, #144]
        stlr    x10, [x0]
        ret
END weft_prepare

// void weft_default_float(void): fpcr as a process starts.
FUNCTION weft_default_float
        msr     fpcr, xzr
        ret
END weft_default_float
