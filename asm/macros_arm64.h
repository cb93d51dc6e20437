// What the arm64 files share besides offsets: macros, the hooks' names.
//
// Which registers they use: x9 to x15 for themselves, never x18, which is the platform's, nor x16 and x17
// across a branch, where the linker's veneers may use them.

#ifndef WEFT_MACROS_ARM64_H
#define WEFT_MACROS_ARM64_H

        .hidden weft_tls
        .type weft_tls, @tls_object
        .hidden weft_hooks
        .hidden weft_vector_size
        .hidden host_urgent_action
#define GROW_HOOK       0
#define ROOTS_HOOK      8
#define MARKED_HOOK     16
#define YIELD_HOOK      24
#define END_HOOK        32
#define LOOP_HOOK       40
#define EXIT_HOOK       48
#define GLOBALS_HOOK    56
#define LOADED_HOOK     64

// A parked stack: x19 to x28, x29, x30, d8 to d15.
#define SAVED           160
#define SAVED_FP        80
#define SAVED_RETURN    88

// \reg: the address of a thread-local word. Fresh each time: the thread may have changed. \tmp is lost.
.macro TLS reg, tmp, symbol
        adrp    \reg, :gottprel:\symbol
        ldr     \reg, [\reg, #:gottprel_lo12:\symbol]
        mrs     \tmp, tpidr_el0
        add     \reg, \reg, \tmp
.endm

.macro ADDRESS reg, symbol
        adrp    \reg, \symbol
        add     \reg, \reg, #:lo12:\symbol
.endm

// \reg: what C# has stored for the assembly to call; 0 if nothing.
.macro HOOK reg, which
        adrp    \reg, weft_hooks
        add     \reg, \reg, #:lo12:weft_hooks
        ldr     \reg, [\reg, #\which]
.endm

// Frame pointer and return address, as every frame has them at its lowest address, and \room bytes more.
.macro PUSH_LINK room=0
        stp     x29, x30, [sp, #-(16 + \room)]!
        .cfi_adjust_cfa_offset 16 + \room
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
.endm
.macro POP_LINK room=0
        ldp     x29, x30, [sp], #(16 + \room)
        .cfi_adjust_cfa_offset -(16 + \room)
        .cfi_restore x29
        .cfi_restore x30
.endm

// All registers that a function has to keep, as a parked stack has them from its saved sp up.
.macro PUSH_SAVED
        sub     sp, sp, #SAVED
        .cfi_adjust_cfa_offset SAVED
        stp     x19, x20, [sp]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #SAVED_FP]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x20, 8
        .cfi_rel_offset x21, 16
        .cfi_rel_offset x22, 24
        .cfi_rel_offset x23, 32
        .cfi_rel_offset x24, 40
        .cfi_rel_offset x25, 48
        .cfi_rel_offset x26, 56
        .cfi_rel_offset x27, 64
        .cfi_rel_offset x28, 72
        .cfi_rel_offset x29, SAVED_FP
        .cfi_rel_offset x30, SAVED_RETURN
.endm
.macro POP_SAVED
        ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #SAVED_FP]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #SAVED
        .cfi_adjust_cfa_offset -SAVED
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
.endm

// Sets a bit of the thread's flags, or clears it: others change them too. x13 to x15 are lost.
.macro CHANGE_FLAGS thread, instruction, bits
        add     x13, \thread, #THREAD_FLAGS
16:     ldaxr   w14, [x13]
        \instruction w14, w14, #\bits
        stlxr   w15, w14, [x13]
        cbnz    w15, 16b
.endm

// Calls with collections shut out: nothing moves. \thread and \flags: numbers of registers that the callee
// keeps, lost; \function may be none of x13 to x15.
.macro CALL_UNCOLLECTED function, thread, flags
        TLS     x\thread, x13, tls_CurrentThread
        ldr     w\flags, [x\thread, #THREAD_FLAGS]
        CHANGE_FLAGS x\thread, orr, THREAD_NO_GC
        blr     \function
        tst     w\flags, #THREAD_NO_GC // The runtime's own dispatch may have set it before.
        b.ne    14f
        CHANGE_FLAGS x\thread, and, 0xffffffef
14:
.endm

// Adds 1 to the machine's count of native calls; w\tmp and x\place are lost. Released: who sees that it is
// odd sees what came before.
.macro COUNT_NATIVE machine, tmp, place
        ldr     w\tmp, [\machine, #M_NATIVE_COUNT]
        add     x\place, \machine, #M_NATIVE_COUNT
        add     w\tmp, w\tmp, #1
        stlr    w\tmp, [x\place]
.endm

// Goes to \no if the goroutine \g, in managed code before this, may not stop: it or its thread is in a
// critical section of Weft's, an exception dispatch, native code, or has a collection shut out. \tls: the
// thread-local words; x10: the machine. x12 and x13 are lost.
.macro UNLESS_MAY_STOP g, tls, no
        ldrb    w12, [\g, #G_NO_PREEMPT]
        cbnz    w12, \no
        ldr     w12, [\tls, #TLS_CRITICAL]
        cbnz    w12, \no
        ldr     w12, [x10, #M_NATIVE_COUNT]
        tbnz    w12, #0, \no
        TLS     x12, x13, tls_CurrentThread
        ldr     x13, [x12, #THREAD_FRAME]
        cbnz    x13, \no
        ldr     x13, [x12, #THREAD_EXINFO]
        cbnz    x13, \no
        ldr     w13, [x12, #THREAD_FLAGS]
        tst     w13, #THREAD_NO_GC
        b.ne    \no
.endm

// Makes sure that \reserve bytes lie free below sp before \real runs, by moving the goroutine to a
// larger stack while all its frames are still managed.
.macro RESERVE_THEN name, real, reserve
FUNCTION \name
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_GOROUTINE]
        cbz     x9, 1f
        sub     x10, sp, #\reserve
        ldr     x11, [x9, #CTX_RESERVE_LOW]
        cmp     x10, x11
        b.lo    2f
1:      b       \real
2:      ADDRESS x11, \real
        mov     x12, #\reserve
        b       weft_grow_then
END \name
.endm

// Stops the running goroutine for the loop to resume, on whatever thread; x19 and x20 are lost. What the
// thread keeps for the code around it goes along: errno, which the stub of a P/Invoke may still read; and the
// context of the runtime's thunk, by which a delegate that native code calls finds out, after its entry into
// managed code, which one it is. Only the loop: there is no C# here that could take a message.
.macro STOP reason
        bl      __errno_location
        ldr     w19, [x0]
        TLS     x9, x10, tls_thunkData
        ldr     x20, [x9]
        TLS     x9, x10, weft_tls
        ldr     x0, [x9, #TLS_GOROUTINE]
        ldr     x1, [x9, #TLS_MACHINE]
        mov     x2, x0
        mov     w10, #\reason
        strb    w10, [x0, #G_REASON]
        bl      weft_switch_to_system
        cbz     x0, 9f
        brk     #1
9:      TLS     x9, x10, tls_thunkData
        str     x20, [x9]
        bl      __errno_location
        str     w19, [x0]
.endm

// STOP, where x0 is a result of the runtime's, perhaps a reference.
.macro STOP_WITH_RESULT reason
        PUSH_LINK 32
        stp     x19, x20, [sp, #16]
        .cfi_rel_offset x19, 16
        .cfi_rel_offset x20, 24
        str     x0, [sp, #32]
        STOP    \reason
        ldr     x0, [sp, #32]
        ldp     x19, x20, [sp, #16]
        .cfi_restore x19
        .cfi_restore x20
        POP_LINK 32
.endm

#endif
