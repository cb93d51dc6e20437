// The floor, as floor_x64_sysv.S: two stacks hand control to each other, saving nothing but the registers that
// AAPCS64 says a call keeps: x19 to x30, d8 to d15. The kept one of fpcr is for weft_bench_floor_fp.
//
//   weft_bench_floor      returns by br, which the branch predictor gets right
//   weft_bench_floor_ret  returns by ret: the return predictor holds the other stack, and misses
//   weft_bench_floor_same by ret, both stacks in the same loop: the predictor hits
//   weft_bench_floor_fp   by br, and keeps fpcr
//   weft_bench_nothing    returns at once: what a P/Invoke costs by itself
//   weft_bench_ticks      the counter, read without a P/Invoke: it ticks more slowly than the CPU
//
// One caller at a time: the stack and the saved pointers are static.

#include "../asm/abi.h"

#define STACK_SIZE      65536

        .bss
        .p2align 4
second_stack:
        .zero STACK_SIZE
first_sp:
        .zero 8
second_sp:
        .zero 8

.macro ADDRESS reg, symbol
        adrp    \reg, \symbol
        add     \reg, \reg, #:lo12:\symbol
.endm

// x0: where to save sp; x1: the sp to load.
.macro SWAP name, return, fp=0
FUNCTION \name
        sub     sp, sp, #176
        .cfi_adjust_cfa_offset 176
        stp     x19, x20, [sp]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
.if \fp
        mrs     x9, fpcr
        str     x9, [sp, #160]
.endif
        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1
.if \fp
        ldr     x9, [sp, #160]
        msr     fpcr, x9
.endif
        ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #176
        .cfi_adjust_cfa_offset -176
        \return
END \name
.endm

.macro BY_BRANCH
        br      x30
.endm
.macro BY_RETURN
        ret
.endm

SWAP weft_bench_floor_swap, BY_BRANCH
SWAP weft_bench_floor_ret_swap, BY_RETURN
SWAP weft_bench_floor_fp_swap, BY_BRANCH, 1

// What the caller of a floor wants back.
.macro ENTER
        stp     x29, x30, [sp, #-48]!
        .cfi_adjust_cfa_offset 48
        stp     x19, x20, [sp, #16]
        str     x21, [sp, #32]
.endm
.macro LEAVE
        ldr     x21, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #48
        .cfi_adjust_cfa_offset -48
        ret
.endm

// void weft_bench_floor(long switches): makes that many, rounded up to an even number.
.macro FLOOR name
FUNCTION \name
        ENTER
        mov     x19, x0
        ADDRESS x9, second_stack
        add     x9, x9, #(STACK_SIZE / 2)
        sub     x9, x9, #176
        ADDRESS x10, \name\()_second
        str     x10, [x9, #88]          // Where the first switch returns to.
        str     xzr, [x9, #160]
        ADDRESS x10, second_sp
        str     x9, [x10]
        .p2align 4
1:      ADDRESS x0, first_sp
        ADDRESS x1, second_sp
        ldr     x1, [x1]
        bl      \name\()_swap
        subs    x19, x19, #2
        b.gt    1b
        LEAVE
END \name

FUNCTION \name\()_second
        .cfi_undefined x30
        .p2align 4
1:      ADDRESS x0, second_sp
        ADDRESS x1, first_sp
        ldr     x1, [x1]
        bl      \name\()_swap
        b       1b
END \name\()_second
.endm

FLOOR weft_bench_floor
FLOOR weft_bench_floor_ret
FLOOR weft_bench_floor_fp

// The same work, but both stacks call the switch from one place: x20 is where to save, x21 where the other's
// sp is, on each stack the other way round.
FUNCTION weft_bench_floor_same
        ENTER
        mov     x19, x0
        ADDRESS x20, first_sp
        ADDRESS x21, second_sp
        ADDRESS x9, second_stack
        add     x9, x9, #(STACK_SIZE / 2)
        sub     x9, x9, #176
        add     x10, x19, #2            // One round more: it counts before it switches back.
        stp     x10, x21, [x9]
        str     x20, [x9, #16]
        adr     x10, 2f
        str     x10, [x9, #88]
        str     x9, [x21]
        .p2align 4
1:      mov     x0, x20
        ldr     x1, [x21]
        bl      weft_bench_floor_ret_swap
2:      subs    x19, x19, #2
        b.gt    1b
        LEAVE                           // Only the first gets here.
END weft_bench_floor_same

FUNCTION weft_bench_nothing
        ret
END weft_bench_nothing

FUNCTION weft_bench_ticks
        mrs     x0, cntvct_el0
        ret
END weft_bench_ticks
