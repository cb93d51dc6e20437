// The floor: what no switch between two stacks on this CPU can beat. Two stacks hand control to
// each other, saving nothing but the registers that the System V ABI says a call keeps: rbx rbp
// r12-r15. No scheduler, no queue, no thread state. The loop is here too, so nothing else is
// measured.
//
//   weft_bench_floor      returns by pop and jmp, which the branch predictor gets right
//   weft_bench_floor_ret  returns by ret: the return predictor holds the other stack, and misses
//   weft_bench_floor_same by ret, both stacks in the same loop: the predictor holds the other
//                         stack, whose return address is the same, and hits
//   weft_bench_floor_fp   by jmp, and keeps mxcsr and the x87 control word, as the ABI has it and
//                         as Weft chose not to
//   weft_bench_nothing    returns at once: what a P/Invoke costs by itself
//   weft_bench_ticks      the CPU's clock, read without a P/Invoke: on a goroutine that would grow
//                         the stack, which some questions must not
//
// Called through DllImport: the thread is in native code meanwhile, so the collector never looks at
// the second stack. One caller at a time: the stack and the saved pointers are static.

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

.macro SAVE
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
.endm

.macro RESTORE
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
.endm

.macro RETURN_BY_JMP
        pop     %rcx
        jmp     *%rcx
.endm

.macro RETURN_BY_RET
        ret
.endm

.macro NO_FP
.endm

.macro SAVE_FP
        sub     $8, %rsp
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
.endm

.macro RESTORE_FP
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        add     $8, %rsp
.endm

// void weft_bench_floor(long switches): makes that many, rounded up to an even number.
// \name\()_swap(rdi: where to save sp, rsi: the sp to load) is the switch; the rest only calls it.
.macro FLOOR name, return, save_fp=NO_FP, restore_fp=NO_FP
FUNCTION \name
        SAVE
        .cfi_adjust_cfa_offset 48
        mov     %rdi, %rbx
        lea     second_stack + STACK_SIZE(%rip), %rax
        lea     \name\()_second(%rip), %rcx
        mov     %rcx, -16(%rax)         // Where the first switch returns to.
        sub     $64, %rax               // Below it: the six registers,
        .ifc \save_fp, SAVE_FP
        sub     $8, %rax                // and the two control words.
        stmxcsr (%rax)
        fnstcw  4(%rax)
        .endif
        mov     %rax, second_sp(%rip)
        .p2align 4
1:      lea     first_sp(%rip), %rdi
        mov     second_sp(%rip), %rsi
        call    \name\()_swap
        sub     $2, %rbx
        jg      1b
        RESTORE
        .cfi_adjust_cfa_offset -48
        ret
END \name

FUNCTION \name\()_second
        .cfi_undefined %rip
        .p2align 4
1:      lea     second_sp(%rip), %rdi
        mov     first_sp(%rip), %rsi
        call    \name\()_swap
        jmp     1b
END \name\()_second

FUNCTION \name\()_swap
        SAVE
        \save_fp
        mov     %rsp, (%rdi)
        mov     %rsi, %rsp
        \restore_fp
        RESTORE
        \return
END \name\()_swap
.endm

FLOOR weft_bench_floor, RETURN_BY_JMP
FLOOR weft_bench_floor_ret, RETURN_BY_RET
FLOOR weft_bench_floor_fp, RETURN_BY_JMP, SAVE_FP, RESTORE_FP

// The same work, but both stacks call the switch from one place: r12 is where to save, r13 where
// the other's sp is, on each stack the other way round.
FUNCTION weft_bench_floor_same
        SAVE
        .cfi_adjust_cfa_offset 48
        mov     %rdi, %rbx
        lea     first_sp(%rip), %r12
        lea     second_sp(%rip), %r13
        lea     second_stack + STACK_SIZE(%rip), %rax
        lea     2f(%rip), %rcx
        mov     %rcx, -16(%rax)         // The frame that the first switch restores, as above.
        lea     2(%rbx), %rdx           // One round more: it counts before it switches back.
        mov     %rdx, -32(%rax)
        mov     %r13, -40(%rax)         // As r12 and r13, exchanged.
        mov     %r12, -48(%rax)
        sub     $64, %rax
        mov     %rax, second_sp(%rip)
        .p2align 4
1:      mov     %r12, %rdi
        mov     (%r13), %rsi
        call    weft_bench_floor_ret_swap
2:      sub     $2, %rbx
        jg      1b
        RESTORE                         // Only the first gets here.
        .cfi_adjust_cfa_offset -48
        ret
END weft_bench_floor_same

FUNCTION weft_bench_nothing
        ret
END weft_bench_nothing

FUNCTION weft_bench_ticks
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        ret
END weft_bench_ticks
