// Stack switching for x86-64, System V ABI (Linux). README.md in this folder is the contract.
//
// A parked stack is one pointer. The rest lies on the stack it points to:
//
//   sp -> +0 r15  +8 r14  +16 r13  +24 r12  +32 rbx  +40 rbp  +48 return address
//
// Saved besides, into the Context: the part of NativeAOT's Thread that belongs to the goroutine.
// Not saved, by contract: caller-saved registers, fs/gs, the signal mask; mxcsr and the x87 word but where
// native code waits on the stack (runtime/DECISIONS.md has the price). Hold no TLS address across this call.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"
#include "macros_x64.h"

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
weft_vector_size:                       // Bytes for PREEMPT_STATE; C# stores it.
        .zero 8

        .section .rodata
        .p2align 2
        .globl default_mxcsr
        .globl default_x87
default_mxcsr:
        .long   MXCSR_DEFAULT
default_x87:
        .long   X87_DEFAULT
        .text

// r11: this thread's two words of __cxa_get_globals; r10 is lost. In SWITCH only, for the call is not one of
// the ABI's.
.macro CXX_WORDS
        mov     weft_tls@gottpoff(%rip), %r10
        mov     %fs:TLS_MACHINE(%r10), %r10
        mov     M_CXX(%r10), %r11
        test    %r11, %r11
        jnz     13f
        call    find_cxx_words
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
.if \unlocks
        xor     %eax, %eax
.else
        mov     %rdx, %rax              // The message travels in the return register.
.endif
        mov     tls_CurrentThread@gottpoff(%rip), %r8
        cmpl    $0, CTX_NATIVE_DEPTH(%rdi)
        jg      5f
6:
        // Most goroutines have no exception in flight and no thread statics: if neither side has any, and
        // no return address is hijacked, nothing but the stack is exchanged. Two words at a time: each
        // instruction less here is a percent of the switch.
        movdqu  %fs:THREAD_HIJACK_VALUE(%r8), %xmm0     // ... and THREAD_EXINFO
        movdqu  %fs:THREAD_STATICS(%r8), %xmm1          // ... and THREAD_INLINED_LIST
        movq    %fs:THREAD_GCFRAMES(%r8), %xmm2
        por     CTX_EXINFO(%rsi), %xmm0                 // ... and CTX_STATICS
        por     CTX_INLINED(%rsi), %xmm1                // ... and CTX_GCFRAMES
        por     %xmm2, %xmm0
        por     %xmm1, %xmm0
        ptest   %xmm0, %xmm0
        jnz     3f
1:      mov     48(%rsp), %r11          // Our own caller's address, for the comparison below.
        mov     %rsp, CTX_SP(%rdi)      // The frame is complete: publish it.

        mov     CTX_SP(%rsi), %rsp      // From here on we are the other stack.
        movq    $0, CTX_SP(%rsi)        // A running stack has no saved sp: the GC walks it precisely.
        mov     weft_tls@gottpoff(%rip), %r10
        mov     %rcx, %fs:TLS_GOROUTINE(%r10)
.if \unlocks
        movl    $0, (%rdx)              // Others may resume `from` now.
        decl    %fs:TLS_CRITICAL(%r10)
.endif

        mov     48(%rsp), %rcx          // Where to go on.
        .cfi_remember_state
        POP_SAVED
        cmp     %rcx, %r11              // The return predictor holds our own caller.
        jne     2f
        ret                             // The same place: predicted, and so are its callers.
2:      add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        jmp     *%rcx                   // Another: a ret would be mispredicted.

        // Exchange all of it. The fields of a running context are zero (no stale roots): so is `to` after.
3:      .cfi_restore_state
        add     %fs:0, %r8              // The Thread's address.
        mov     tls_InlinedThreadStatics@gottpoff(%rip), %r9
        mov     THREAD_HIJACK_VALUE(%r8), %r10
        test    %r10, %r10
        jz      4f
        mov     THREAD_HIJACK_SLOT(%r8), %r11
        mov     %r10, (%r11)            // Put back the return address a suspension replaced.
        movq    $0, THREAD_HIJACK_SLOT(%r8)
        movq    $0, THREAD_HIJACK_VALUE(%r8)
4:      mov     THREAD_EXINFO(%r8), %r10
        mov     THREAD_STATICS(%r8), %r11
        mov     %r10, CTX_EXINFO(%rdi)
        mov     %r11, CTX_STATICS(%rdi)
        mov     THREAD_GCFRAMES(%r8), %r10
        mov     %fs:(%r9), %r11
        or      %r10, CTX_GCFRAMES(%rdi)        // 0, or the mark of 8 below.
        mov     %r11, CTX_INLINED(%rdi)

        xor     %r10d, %r10d
        mov     CTX_EXINFO(%rsi), %r11
        mov     %r10, CTX_EXINFO(%rsi)
        mov     %r11, THREAD_EXINFO(%r8)
        mov     CTX_STATICS(%rsi), %r11
        mov     %r10, CTX_STATICS(%rsi)
        mov     %r11, THREAD_STATICS(%r8)
        mov     CTX_GCFRAMES(%rsi), %r11
        mov     %r10, CTX_GCFRAMES(%rsi)
        btr     $0, %r11
        mov     %r11, THREAD_GCFRAMES(%r8)
        jc      11f
12:
        mov     CTX_INLINED(%rsi), %r11
        mov     %r10, CTX_INLINED(%rsi)
        mov     %r11, %fs:(%r9)
        add     %fs:0, %r9              // The list of roots is this thread's one cell, or empty:
        test    %r11, %r11              // code that finds a null base will add the cell itself.
        cmovz   %r10, %r9
        mov     %r9, THREAD_INLINED_LIST(%r8)
        jmp     1b

        // Native code waits on this stack. Where the process has C++, this thread's words of
        // __cxa_get_globals are the goroutine's: kept while it does not run. The mark in CTX_GCFRAMES, whose
        // values are even, has whoever switches back come to 11.
5:      cmpq    $0, GLOBALS_HOOK
        jne     8f
        // It may have changed mxcsr and the x87 control word: they are kept for RhpReversePInvokeReturn, and
        // all others run with the defaults.
9:      cmpw    $0, G_NATIVE_KEPT(%rdi)
        jne     6b                      // Kept already; the defaults are in force since then.
        stmxcsr G_NATIVE_FLOAT(%rdi)
        fnstcw  G_NATIVE_KEPT(%rdi)
        UNLESS_DEFAULT_FLOAT %rdi, %r9d, 7f
        jmp     6b
7:      ldmxcsr default_mxcsr(%rip)
        fldcw   default_x87(%rip)
        jmp     6b

8:      CXX_WORDS
        mov     (%r11), %r9
        mov     8(%r11), %r10d
        mov     %r9, G_CXX_CAUGHT(%rdi)
        mov     %r10d, G_CXX_UNCAUGHT(%rdi)
        or      %r10, %r9
        jz      9b
        movq    $0, (%r11)
        movl    $0, 8(%r11)
        orq     $1, CTX_GCFRAMES(%rdi)
        jmp     9b

11:     CXX_WORDS
        mov     G_CXX_CAUGHT(%rsi), %r10
        mov     %r10, (%r11)
        mov     G_CXX_UNCAUGHT(%rsi), %r10d
        mov     %r10d, 8(%r11)
        xor     %r10d, %r10d
        jmp     12b
.endm

// Asks for them, once on each thread: on the system stack, for the loader may have to make them. What SWITCH
// uses is kept, but for the callee-saved registers, which it has pushed.
FUNCTION find_cxx_words
        push    %r8
        .cfi_adjust_cfa_offset 8
        push    %r9
        .cfi_adjust_cfa_offset 8
        mov     %rdi, %rbx
        mov     %rsi, %rbp
        mov     %rdx, %r12
        mov     %rcx, %r13
        mov     %rax, %r14
        mov     %rsp, %r15
        .cfi_def_cfa_register %r15
        mov     weft_tls@gottpoff(%rip), %rax
        cmpq    $0, %fs:TLS_GOROUTINE(%rax)
        je      1f
        mov     %fs:TLS_MACHINE(%rax), %rax
        mov     CTX_SP(%rax), %rsp
1:      and     $-16, %rsp
        call    *GLOBALS_HOOK
        mov     weft_tls@gottpoff(%rip), %rcx
        mov     %fs:TLS_MACHINE(%rcx), %rcx
        mov     %rax, M_CXX(%rcx)
        mov     %rax, %r11
        mov     %r15, %rsp
        .cfi_def_cfa_register %rsp
        mov     %rbx, %rdi
        mov     %rbp, %rsi
        mov     %r12, %rdx
        mov     %r13, %rcx
        mov     %r14, %rax
        pop     %r9
        .cfi_adjust_cfa_offset -8
        pop     %r8
        .cfi_adjust_cfa_offset -8
        ret
END find_cxx_words

FUNCTION weft_switch
        mov     %rsi, %rcx
switch_stacks:                          // rcx: the current goroutine to be; 0 for a system stack.
        SWITCH  unlocks=0
END weft_switch

FUNCTION weft_switch_unlock
        mov     %rsi, %rcx
        SWITCH  unlocks=1
END weft_switch_unlock

// goroutine* weft_switch_to_system(goroutine* from, machine* to, message) and
// goroutine* weft_switch_from_system(machine* from, goroutine* to, message): the same, but the Thread's stack
// bounds change too. Between goroutines they do not.
FUNCTION weft_switch_to_system
        xor     %ecx, %ecx
        jmp     switch_bounds
END weft_switch_to_system

FUNCTION weft_switch_from_system
        mov     %rsi, %rcx
switch_bounds:
        THREAD  %r8
        mov     $GOROUTINE_BOUNDS_LOW, %r9d
        mov     $GOROUTINE_BOUNDS_HIGH, %r10d
        test    %rcx, %rcx
        jnz     7f
        mov     M_BOUNDS_LOW(%rsi), %r9
        mov     M_BOUNDS_HIGH(%rsi), %r10
7:
        mov     %r9, THREAD_BOUNDS_LOW(%r8)
        mov     %r10, THREAD_BOUNDS_HIGH(%r8)
        jmp     switch_stacks
END weft_switch_from_system

// Where a new goroutine starts: rbx its main (UnmanagedCallersOnly, never returns), r12 its argument.
// The transition frame is the runtime's top-of-stack mark: precise walks end here. So does CFI.
FUNCTION weft_entry
        .cfi_undefined %rip
        THREAD  %rcx
        movq    $-1, THREAD_FRAME(%rcx)
        mov     %r12, %rdi
        mov     %rax, %rsi              // The message of the switch that started us.
        call    *%rbx
        ud2
END weft_entry

// void weft_prepare(context* c, void* top, void* main, void* argument): builds the frame that the
// first switch to c pops. top is 16-byte aligned; two zero words above the frame stop any unwinder.
FUNCTION weft_prepare
        lea     weft_entry(%rip), %rax
        movq    $0, -8(%rsi)
        movq    $0, -16(%rsi)
        mov     %rax, -24(%rsi)
        movq    $0, -32(%rsi)           // rbp
        mov     %rdx, -40(%rsi)         // rbx
        mov     %rcx, -48(%rsi)         // r12
        movq    $0, -56(%rsi)           // r13
        movq    $0, -64(%rsi)           // r14
        movq    $0, -72(%rsi)           // r15
        lea     -72(%rsi), %rax
        mov     %rax, CTX_SP(%rdi)
        ret
END weft_prepare

// void weft_default_float(void): mxcsr and the x87 control word as a process starts.
FUNCTION weft_default_float
        ldmxcsr default_mxcsr(%rip)
        fldcw   default_x87(%rip)
        ret
END weft_default_float
