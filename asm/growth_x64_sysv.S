// A larger stack, before code runs that needs one: x86-64, System V ABI (Linux). README.md in this folder is
// the contract.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"
#include "macros_x64.h"

// Moves the running goroutine to a stack with rsi bytes free, then continues at r11 with rdi kept.
// All that may hold stack addresses is on the stack while C# copies it: callee-saved registers and rdi.
// The collector must not stop this thread meanwhile: it cannot walk through this frame.
FUNCTION weft_grow_then
        push    %r11
        push    %rdi
        .cfi_adjust_cfa_offset 16
        PUSH_SAVED
        mov     %rsp, %rdi
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_MACHINE(%rax), %rcx
        mov     CTX_SP(%rcx), %rsp
        sub     $8, %rsp
        CALL_UNCOLLECTED *GROW_HOOK, %r12, %r13d // (sp, reserve) -> distance to the new stack, 0 if not moved
        mov     %rbp, %rsp
        .cfi_def_cfa_register %rsp
        add     %rax, %rsp
        POP_SAVED
        pop     %rdi
        pop     %r11
        .cfi_adjust_cfa_offset -16
        jmp     *%r11
END weft_grow_then

// void weft_reserve(bytes): the same check for C# that is about to hand out addresses on its stack.
FUNCTION weft_reserve
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rax
        test    %rax, %rax
        jz      1f
        mov     %rsp, %r10
        sub     %rdi, %r10
        cmp     CTX_RESERVE_LOW(%rax), %r10
        jae     1f
        mov     %rdi, %rsi
        lea     1f(%rip), %r11
        jmp     weft_grow_then
1:      ret
END weft_reserve
