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
#include "context_x64.h"
#include "runtime_x64.h"

#define MXCSR_DEFAULT   0x1f80
#define MXCSR_STATUS    0x3f
#define X87_DEFAULT     0x037f

// What the runtime takes for the stack's bounds on a goroutine. Low, so that EnsureSufficientExecutionStack
// passes; and holding no address at all, because the collector ignores interior pointers between them.
#define GOROUTINE_BOUNDS_LOW    0
#define GOROUTINE_BOUNDS_HIGH   1

// Goes to \others unless what is kept of mxcsr and the x87 control word in the goroutine are the defaults;
// \low is lost.
.macro UNLESS_DEFAULT_FLOAT g, low, others
        mov     G_NATIVE_MXCSR(\g), \low
        and     $~MXCSR_STATUS, \low
        cmp     $MXCSR_DEFAULT, \low
        jne     \others
        cmpw    $X87_DEFAULT, G_NATIVE_X87(\g)
        jne     \others
.endm

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
        .hidden weft_vector_size
weft_vector_size:                       // Bytes for PREEMPT_STATE; C# stores it.
        .zero 8
#define GROW_HOOK       weft_hooks(%rip)
#define ROOTS_HOOK      weft_hooks + 8(%rip)
#define MARKED_HOOK     weft_hooks + 16(%rip)
#define YIELD_HOOK      weft_hooks + 24(%rip)
#define GLOBALS_HOOK    weft_hooks + 56(%rip)
#define LOADED_HOOK     weft_hooks + 64(%rip)

// Loads the address of the current NativeAOT Thread. Fresh each time: the thread may have changed.
.macro THREAD reg
        mov     tls_CurrentThread@gottpoff(%rip), \reg
        add     %fs:0, \reg
.endm

// A register that a function has to keep, and its return.
.macro KEEP reg
        push    \reg
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset \reg, 0
.endm
.macro RESTORE reg
        pop     \reg
        .cfi_adjust_cfa_offset -8
        .cfi_restore \reg
.endm

// All of them, as a parked stack has them above its saved sp.
.macro PUSH_SAVED
        KEEP    %rbp
        KEEP    %rbx
        KEEP    %r12
        KEEP    %r13
        KEEP    %r14
        KEEP    %r15
.endm
.macro POP_SAVED
        RESTORE %r15
        RESTORE %r14
        RESTORE %r13
        RESTORE %r12
        RESTORE %rbx
        RESTORE %rbp
.endm

// Calls with collections shut out: nothing moves. \thread and \flags: registers that the callee keeps, lost.
.macro CALL_UNCOLLECTED function, thread, flags
        THREAD  \thread
        mov     THREAD_FLAGS(\thread), \flags
        lock orl $THREAD_NO_GC, THREAD_FLAGS(\thread)
        call    \function
        test    $THREAD_NO_GC, \flags    // The runtime's own dispatch may have set it before.
        jnz     14f
        lock andl $~THREAD_NO_GC, THREAD_FLAGS(\thread)
14:
.endm

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
9:      cmpw    $0, G_NATIVE_X87(%rdi)
        jne     6b                      // Kept already; the defaults are in force since then.
        stmxcsr G_NATIVE_MXCSR(%rdi)
        fnstcw  G_NATIVE_X87(%rdi)
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

// void* weft_goroutine(void), void* weft_machine(void): the thread's words.
FUNCTION weft_goroutine
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rax
        ret
END weft_goroutine

FUNCTION weft_machine
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_MACHINE(%rax), %rax
        ret
END weft_machine

FUNCTION weft_set_machine
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %rdi, %fs:TLS_MACHINE(%rax)
        ret
END weft_set_machine

FUNCTION weft_thread
        THREAD  %rax
        ret
END weft_thread

// void* weft_thread_pointer(void): what thread-local addresses are computed from.
FUNCTION weft_thread_pointer
        mov     %fs:0, %rax
        ret
END weft_thread_pointer

// void* weft_statics_cell(void): this thread's cell for inlined thread statics.
FUNCTION weft_statics_cell
        mov     tls_InlinedThreadStatics@gottpoff(%rip), %rax
        add     %fs:0, %rax
        ret
END weft_statics_cell

// long weft_syscall(number, a, b, c, d, e, f): the result, or -errno. Leaves errno alone.
FUNCTION weft_syscall
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        mov     %rcx, %rdx
        mov     %r8, %r10
        mov     %r9, %r8
        mov     8(%rsp), %r9
        syscall
        ret
END weft_syscall

// Runs \real on this machine's system stack when called on a goroutine, else in place. For parts of
// the runtime that need more stack than a goroutine may have and are told their caller's frame.
// allocates=1: it may wait there for a collection, and be without a processor when it comes back.
.macro ON_SYSTEM_STACK name, real, stops=0, allocates=0
FUNCTION \name
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %r10
        test    %r10, %r10
        jz      \real
        KEEP    %rbp
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        mov     %fs:TLS_MACHINE(%rax), %r11
        mov     CTX_SP(%r11), %rsp      // Below the parked system stack: nobody else runs there.
        movq    $0, %fs:TLS_GOROUTINE(%rax)
        push    %r10                    // The saved sp is 8 mod 16: aligned for the call now.
.if \allocates
        movb    $ALLOCATES, M_ALLOCATES(%r11)
.endif
        call    \real
        pop     %r10
        mov     weft_tls@gottpoff(%rip), %rcx
        mov     %r10, %fs:TLS_GOROUTINE(%rcx)
        mov     %rbp, %rsp
        pop     %rbp
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
.if \stops
        mov     %fs:TLS_MACHINE(%rcx), %rdx
.if \allocates
        cmpb    $ALLOCATES_WAITED, M_ALLOCATES(%rdx)
        movb    $0, M_ALLOCATES(%rdx)
        je      allocation_waited
.endif
        cmpb    $0, M_STOP_ASKED(%rdx)
        jne     stop_here
.endif
        ret
END \name
.endm

// After RhpWaitForGC2 nobody stops: its caller reads the Thread's deferred frame once more.
ON_SYSTEM_STACK __wrap_RhpGcAlloc, __real_RhpGcAlloc, stops=1, allocates=1
ON_SYSTEM_STACK __wrap_RhpWaitForGC2, __real_RhpWaitForGC2
ON_SYSTEM_STACK __wrap_RhpGcPoll2, __real_RhpGcPoll2, stops=1
ON_SYSTEM_STACK weft_reverse_pinvoke, __real_RhpReversePInvoke

// Goes to \no if the goroutine \g, in managed code before this, may not stop: it or its thread is in a
// critical section of Weft's, an exception dispatch, native code, or has a collection shut out. \tls: the
// thread-local words; rdx: the machine. rcx is lost.
.macro UNLESS_MAY_STOP g, tls, no
        cmpb    $0, G_NO_PREEMPT(\g)
        jne     \no
        cmpl    $0, %fs:TLS_CRITICAL(\tls)
        jne     \no
        testl   $1, M_NATIVE_COUNT(%rdx)
        jnz     \no
        mov     tls_CurrentThread@gottpoff(%rip), %rcx
        cmpq    $0, %fs:THREAD_FRAME(%rcx)
        jne     \no
        cmpq    $0, %fs:THREAD_EXINFO(%rcx)
        jne     \no
        testl   $THREAD_NO_GC, %fs:THREAD_FLAGS(%rcx)
        jnz     \no
.endm

// Where the collector lets a thread wait, for the background collection for example, it calls the first of
// these before and the second after. For a goroutine that allocates it is a native call: sysmon may take the
// processor away. Only if it may stop at the end of the allocation, as stop_here asks; none of that changes
// in between. On the system stack, where the goroutine lies below the saved sp.
FUNCTION __wrap__ZN15GCToEEInterface18EnablePreemptiveGCEv
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_MACHINE(%rax), %rdx
        test    %rdx, %rdx
        jz      __real__ZN15GCToEEInterface18EnablePreemptiveGCEv
        cmpb    $0, M_ALLOCATES(%rdx)
        je      __real__ZN15GCToEEInterface18EnablePreemptiveGCEv
        mov     CTX_SP(%rdx), %rcx
        mov     -8(%rcx), %rcx
        UNLESS_MAY_STOP %rcx, %rax, __real__ZN15GCToEEInterface18EnablePreemptiveGCEv
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    __real__ZN15GCToEEInterface18EnablePreemptiveGCEv
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        test    %al, %al
        jz      1f
        mov     weft_tls@gottpoff(%rip), %rcx
        mov     %fs:TLS_MACHINE(%rcx), %rcx
        movb    $ALLOCATES_WAITS, M_ALLOCATES(%rcx)
        incl    M_NATIVE_COUNT(%rcx)
1:      ret
END __wrap__ZN15GCToEEInterface18EnablePreemptiveGCEv

FUNCTION __wrap__ZN15GCToEEInterface19DisablePreemptiveGCEv
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_MACHINE(%rax), %rdx
        test    %rdx, %rdx
        jz      __real__ZN15GCToEEInterface19DisablePreemptiveGCEv
        cmpb    $ALLOCATES_WAITS, M_ALLOCATES(%rdx)
        jne     __real__ZN15GCToEEInterface19DisablePreemptiveGCEv
        movb    $ALLOCATES_WAITED, M_ALLOCATES(%rdx)
        incl    M_NATIVE_COUNT(%rdx)    // Pairs with the fence in TakeFromNative, as that of a P/Invoke.
        jmp     __real__ZN15GCToEEInterface19DisablePreemptiveGCEv
END __wrap__ZN15GCToEEInterface19DisablePreemptiveGCEv

// Makes sure that \reserve bytes lie free below sp before \real runs, by moving the goroutine to a
// larger stack while all its frames are still managed.
.macro RESERVE_THEN name, real, reserve
FUNCTION \name
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rax
        test    %rax, %rax
        jz      \real
        lea     -\reserve(%rsp), %r11
        cmp     CTX_RESERVE_LOW(%rax), %r11
        jae     \real
        lea     \real(%rip), %r11
        mov     $\reserve, %esi
        jmp     weft_grow_then
END \name
.endm

RESERVE_THEN __wrap_RhpPInvoke, enter_native, NATIVE_RESERVE
RESERVE_THEN reserve_to_throw, __real_RhpThrowEx, THROW_RESERVE
RESERVE_THEN __wrap_RhpRethrow, __real_RhpRethrow, THROW_RESERVE

// A goroutine that does nothing but throw and catch is in the runtime's dispatch nearly always, where no
// signal may stop it. Before the dispatch it may.
FUNCTION __wrap_RhpThrowEx
        mov     weft_tls@gottpoff(%rip), %rcx
        cmpq    $0, %fs:TLS_GOROUTINE(%rcx)
        je      __real_RhpThrowEx
        mov     %fs:TLS_MACHINE(%rcx), %rdx
        cmpb    $0, M_STOP_ASKED(%rdx)
        je      reserve_to_throw
        mov     %rdi, %rax              // The exception.
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    stop_here
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        mov     %rax, %rdi
        jmp     reserve_to_throw
END __wrap_RhpThrowEx

// The same for what the runtime throws where a signal told it of a fault, at rsi. No return address: the
// stack pointer is that of the faulting code.
FUNCTION __wrap_RhpThrowHwEx
        .cfi_def_cfa_offset 0
        mov     weft_tls@gottpoff(%rip), %rcx
        cmpq    $0, %fs:TLS_GOROUTINE(%rcx)
        je      __real_RhpThrowHwEx
        mov     %fs:TLS_MACHINE(%rcx), %rdx
        cmpb    $0, M_STOP_ASKED(%rdx)
        je      __real_RhpThrowHwEx
        KEEP    %rbp
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        push    %rdi
        push    %rsi
        and     $-16, %rsp
        call    stop_here
        lea     -16(%rbp), %rsp
        pop     %rsi
        pop     %rdi
        pop     %rbp
        .cfi_def_cfa %rsp, 0
        .cfi_restore %rbp
        jmp     __real_RhpThrowHwEx
END __wrap_RhpThrowHwEx

// What managed code calls as it is, without a transition, and may take long: no signal stops a goroutine in
// there, and it may be there nearly always. So it stops at the end. \size: the register that has the length,
// which is not worth the question below \least.
.macro STOPS_AFTER name, size=none, least=0
FUNCTION __wrap_\name
.ifnc \size, none
        cmp     $\least, \size
        jb      __real_\name
.endif
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    __real_\name
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        mov     weft_tls@gottpoff(%rip), %rcx
        cmpq    $0, %fs:TLS_GOROUTINE(%rcx)
        je      1f
        mov     %fs:TLS_MACHINE(%rcx), %rdx
        cmpb    $0, M_STOP_ASKED(%rdx)
        jne     stop_here
1:      ret
END __wrap_\name
.endm

STOPS_AFTER RhSpinWait
STOPS_AFTER RhpGcSafeZeroMemory, %rsi, LONG_MEMORY
STOPS_AFTER memset, %rdx, LONG_MEMORY
STOPS_AFTER memmove, %rdx, LONG_MEMORY
STOPS_AFTER RhBulkMoveWithWriteBarrier, %rdx, LONG_REFERENCES

// A goroutine enters native code: from now on its machine's processor may be taken away
// (sched/Scheduler.Native.cs).
// One word tells, by an odd value, and by another value whether it is still the same call.
FUNCTION enter_native
        mov     weft_tls@gottpoff(%rip), %rax
        cmpq    $0, %fs:TLS_GOROUTINE(%rax)
        je      __real_RhpPInvoke
        mov     %fs:TLS_MACHINE(%rax), %rax
        incl    M_NATIVE_COUNT(%rax)
        jmp     __real_RhpPInvoke
END enter_native

// And comes back. The store of the count and the load of the request need no fence between them: who sets
// the request has all threads execute one (Scheduler.TakeFromNative) before it reads the count.
FUNCTION __wrap_RhpPInvokeReturn
        mov     weft_tls@gottpoff(%rip), %rax
        cmpq    $0, %fs:TLS_GOROUTINE(%rax)
        je      __real_RhpPInvokeReturn
        mov     %fs:TLS_MACHINE(%rax), %rax
        incl    M_NATIVE_COUNT(%rax)
        cmpl    $0, M_RETAKE(%rax)
        je      __real_RhpPInvokeReturn
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    __real_RhpPInvokeReturn // Managed code again, for the collector: nothing more is in rdi.
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        jmp     wait_for_processor
END __wrap_RhpPInvokeReturn

// Stops the running goroutine for the loop to resume, on whatever thread; rbx and r12 are lost. What the
// thread keeps for the code around it goes along: errno, which the stub of a P/Invoke may still read; and the
// context of the runtime's thunk, by which a delegate that native code calls finds out, after its entry into
// managed code, which one it is. Only the loop: there is no C# here that could take a message.
.macro STOP reason
        call    __errno_location@PLT
        mov     (%rax), %ebx
        mov     tls_thunkData@gottpoff(%rip), %rax
        mov     %fs:(%rax), %r12
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rdi
        mov     %fs:TLS_MACHINE(%rax), %rsi
        mov     %rdi, %rdx
        movb    \reason, G_REASON(%rdi)
        call    weft_switch_to_system
        test    %rax, %rax
        jz      9f
        ud2
9:      mov     tls_thunkData@gottpoff(%rip), %rax
        mov     %r12, %fs:(%rax)
        call    __errno_location@PLT
        mov     %ebx, (%rax)
.endm

// The goroutine stops with the reason NativeReturn: it runs again when there is a processor, on whatever
// thread.
FUNCTION wait_for_processor
        KEEP    %rbx
        KEEP    %r12
        sub     $8, %rsp                // The native code around may have its own rounding.
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        ldmxcsr default_mxcsr(%rip)
        fldcw   default_x87(%rip)
        STOP    $REASON_NATIVE
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        RESTORE %r12
        RESTORE %rbx
        ret
END wait_for_processor

// STOP, where rax is a result of the runtime's, perhaps a reference.
.macro STOP_WITH_RESULT reason
        KEEP    %rbx
        KEEP    %r12
        push    %rax
        .cfi_adjust_cfa_offset 8
        STOP    \reason
        pop     %rax
        .cfi_adjust_cfa_offset -8
        RESTORE %r12
        RESTORE %rbx
.endm

// The goroutine is to stop, and has just come to a place where it may, if it is managed code that called: in
// no critical section of Weft's, in no exception dispatch, not in native code or a collection. rcx: the
// thread-local words; rdx: the machine. rax is kept, and may be a reference: it lies on the stack while the
// goroutine is parked, where what it leads to is pinned. The loop of this machine or another resumes it.
FUNCTION stop_here
        mov     %fs:TLS_GOROUTINE(%rcx), %rdi
        UNLESS_MAY_STOP %rdi, %rcx, 1f
        STOP_WITH_RESULT $REASON_PREEMPTED
1:      ret
END stop_here

// An allocation that had to wait is done: as stop_here, if the processor is gone or may be. rdx: the machine.
allocation_waited:
        .cfi_startproc
        cmpb    $0, M_RETAKE(%rdx)
        jne     1f
        cmpb    $0, M_STOP_ASKED(%rdx)
        jne     stop_here
        ret
1:      STOP_WITH_RESULT $REASON_NATIVE
        ret
        .cfi_endproc

// The signal handler makes an interrupted goroutine continue here (sched/Scheduler.Preempt.cs), with the
// address where it was pushed below its red zone. What it saves is all that managed code can see; AMX tiles
// are not among that. The mask, in edx:eax: x87, SSE, AVX, AVX-512.
#define PREEMPT_STATE   0xe7
.macro PREEMPTED name
FUNCTION \name
        .cfi_def_cfa %rsp, 136          // The red zone, and the address.
        .cfi_offset %rip, -136
        pushfq
        push    %rax
        push    %rcx
        push    %rdx
        push    %rbx
        push    %rbp
        mov     %rsp, %rbp
        .cfi_def_cfa %rbp, 184
        .cfi_offset %rbp, -184
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        cld
        sub     weft_vector_size(%rip), %rsp
        and     $-64, %rsp
        xor     %eax, %eax
        lea     512(%rsp), %rdi         // The header: what is not zero there is taken for state.
        mov     $8, %ecx
        rep stosq
        mov     $PREEMPT_STATE, %eax
        xor     %edx, %edx
        xsave64 (%rsp)
.endm
.macro GO_ON name
        mov     $PREEMPT_STATE, %eax
        xor     %edx, %edx
        xrstor64 (%rsp)
        lea     -80(%rbp), %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rbp
        .cfi_def_cfa %rsp, 176
        .cfi_restore %rbp
        pop     %rbx
        pop     %rdx
        pop     %rcx
        pop     %rax
        popfq
        .cfi_def_cfa %rsp, 136
        ret     $128
END \name
.endm

PREEMPTED weft_preempt
        STOP    $REASON_PREEMPTED
GO_ON weft_preempt

// The same for C code that has been registered for it: it yields, as if it had called Weft there. Its errno
// stays.
PREEMPTED weft_preempt_native
        call    __errno_location@PLT
        mov     (%rax), %ebx
        call    *YIELD_HOOK
        call    __errno_location@PLT
        mov     %ebx, (%rax)
GO_ON weft_preempt_native

// void weft_enter_critical(void), weft_leave_critical(void), int weft_critical(void): one instruction each,
// so that no signal finds a thread between reading where its count is and changing it.
FUNCTION weft_enter_critical
        mov     weft_tls@gottpoff(%rip), %rax
        incl    %fs:TLS_CRITICAL(%rax)
        ret
END weft_enter_critical

// int weft_enter_lock(int* lock): enters a critical section, then 0 where the lock was 0, which is 1 now;
// where it was not, what it was.
FUNCTION weft_enter_lock
        mov     weft_tls@gottpoff(%rip), %rax
        incl    %fs:TLS_CRITICAL(%rax)
        mov     (%rdi), %eax            // a look first: a failed exchange takes the holder's cache line away
        test    %eax, %eax
        jne     1f
        mov     $1, %ecx
        lock cmpxchg %ecx, (%rdi)
1:      ret
END weft_enter_lock

FUNCTION weft_leave_critical
        mov     weft_tls@gottpoff(%rip), %rax
        decl    %fs:TLS_CRITICAL(%rax)
        ret
END weft_leave_critical

FUNCTION weft_critical
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_CRITICAL(%rax), %eax
        ret
END weft_critical

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

// long weft_call(function, a, b, c, d): calls a C address from C#, whose own calli would look for tag bits.
FUNCTION weft_call
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        mov     %rcx, %rdx
        mov     %r8, %rcx
        jmp     *%rax
END weft_call

// long weft_call_on_system_stack(function, a, b): raw C# on the system stack, collections shut out.
FUNCTION weft_call_on_system_stack
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %r10
        mov     %rdi, %r11
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        test    %r10, %r10
        jnz     1f
        jmp     *%r11
1:      push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        push    %rbx
        .cfi_offset %rbx, -24
        mov     %fs:TLS_MACHINE(%rax), %rcx
        mov     CTX_SP(%rcx), %rsp
        sub     $8, %rsp
        THREAD  %rbx
        lock orl $THREAD_NO_GC, THREAD_FLAGS(%rbx)
        call    *%r11
        lock andl $~THREAD_NO_GC, THREAD_FLAGS(%rbx)
        lea     -8(%rbp), %rsp
        pop     %rbx
        pop     %rbp
        .cfi_def_cfa %rsp, 8
        ret
END weft_call_on_system_stack

// void weft_uncollected(function, a, b): calls raw C# in place. Collections are shut out: nothing moves.
FUNCTION weft_uncollected
        KEEP    %rbx
        KEEP    %r12
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        CALL_UNCOLLECTED *%rax, %rbx, %r12d
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        RESTORE %r12
        RESTORE %rbx
        ret
END weft_uncollected

// void weft_as_parked(function, a): calls raw C# with (sp, a), the caller's stack as it would lie if the
// caller parked here and sp were its saved sp. Collections are shut out: nothing moves.
FUNCTION weft_as_parked
        PUSH_SAVED
        mov     %rdi, %rax
        mov     %rsp, %rdi
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        CALL_UNCOLLECTED *%rax, %rbx, %r12d
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        POP_SAVED
        ret
END weft_as_parked

// Native code enters managed code. On a goroutine the native frames below must not move: count them. The
// rest is what RhpReversePInvoke does where there is nothing to wait for, in line: each call of the C face
// pays it.
//
// rdi: the frame, two words. The first keeps the transition frame. The second would be the Thread, which we
// find anew.
FUNCTION __wrap_RhpReversePInvoke
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rcx
        test    %rcx, %rcx
        jz      weft_thread_enters
        incl    CTX_NATIVE_DEPTH(%rcx)
        jz      weft_reverse_pinvoke    // weft_entry: it holds a message, and may not lose its processor.
        mov     %fs:TLS_MACHINE(%rax), %rax
        incl    M_NATIVE_COUNT(%rax)    // As in RhpPInvokeReturn.
        mov     tls_CurrentThread@gottpoff(%rip), %rdx
        mov     %fs:THREAD_FRAME(%rdx), %rcx
        mov     %fs:THREAD_FLAGS(%rdx), %esi
        and     $(THREAD_ATTACHED | THREAD_NO_GC), %esi
        cmp     $THREAD_ATTACHED, %esi
        jne     2f
        test    %rcx, %rcx
        jz      2f
        mov     %rcx, (%rdi)
        // Who suspends threads sets the word below, and then has all of them execute a fence.
        movq    $0, %fs:THREAD_FRAME(%rdx)
        testl   $TRAP_THREADS, RhpTrapThreads(%rip)
        jnz     1f
3:      cmpl    $0, M_RETAKE(%rax)
        jne     wait_for_processor
        ret
1:      mov     %rcx, %fs:THREAD_FRAME(%rdx)
2:      push    %rdi
        .cfi_adjust_cfa_offset 8
        call    weft_reverse_pinvoke
        pop     %rdi
        .cfi_adjust_cfa_offset -8
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_MACHINE(%rax), %rax
        jmp     3b
END __wrap_RhpReversePInvoke

        .section .rodata
        .p2align 2
default_mxcsr:
        .long   MXCSR_DEFAULT
default_x87:
        .long   X87_DEFAULT
        .text

FUNCTION __wrap_RhpReversePInvokeReturn
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rcx
        test    %rcx, %rcx
        jz      __real_RhpReversePInvokeReturn
        decl    CTX_NATIVE_DEPTH(%rcx)
        mov     %fs:TLS_MACHINE(%rax), %rax
        cmpw    $0, G_NATIVE_X87(%rcx)
        jne     1f
2:      incl    M_NATIVE_COUNT(%rax)
        mov     (%rdi), %rdx
        mov     tls_CurrentThread@gottpoff(%rip), %rcx
        mov     %rdx, %fs:THREAD_FRAME(%rcx)
        ret
1:      UNLESS_DEFAULT_FLOAT %rcx, %esi, 4f     // It has switched meanwhile.
3:      movw    $0, G_NATIVE_X87(%rcx)
        jmp     2b
4:      ldmxcsr G_NATIVE_MXCSR(%rcx)
        fldcw   G_NATIVE_X87(%rcx)
        jmp     3b
END __wrap_RhpReversePInvokeReturn

// The text of dlopen's error stays on the thread where it failed. The base library takes it for granted: a
// goroutine that has changed threads since gets another text, not none.
FUNCTION __wrap_SystemNative_GetLoadLibraryError
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    __real_SystemNative_GetLoadLibraryError
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        lea     unknown_error(%rip), %rcx
        test    %rax, %rax
        cmovz   %rcx, %rax
        ret
unknown_error:
        .asciz  "the library cannot be loaded"
END __wrap_SystemNative_GetLoadLibraryError

// The base library has loaded a library: C# looks whether that brought C++ into the process.
FUNCTION __wrap_SystemNative_LoadLibrary
        sub     $24, %rsp
        .cfi_adjust_cfa_offset 24
        call    __real_SystemNative_LoadLibrary
        cmpq    $0, LOADED_HOOK
        je      1f
        mov     %rax, 8(%rsp)
        mov     %rax, %rdi
        call    *LOADED_HOOK
        mov     8(%rsp), %rax
1:      add     $24, %rsp
        .cfi_adjust_cfa_offset -24
        ret
END __wrap_SystemNative_LoadLibrary

// void* weft_cxx_globals(void): __cxa_get_globals, where it is known at the link already; or 0.
        .weak   __cxa_get_globals
FUNCTION weft_cxx_globals
        mov     __cxa_get_globals@GOTPCREL(%rip), %rax
        ret
END weft_cxx_globals

// The collector asks for the roots on stacks: after the runtime's own, C# reports the parked ones.
#define SCAN_ROOTS(kind) kind##_ZN15GCToEEInterface11GcScanRootsEPFvPP6ObjectP11ScanContextjEiiS4_
FUNCTION SCAN_ROOTS(__wrap_)
        push    %rdi
        push    %rcx
        push    %rsi
        .cfi_adjust_cfa_offset 24
        call    SCAN_ROOTS(__real_)
        pop     %rdx
        pop     %rsi
        pop     %rdi
        .cfi_adjust_cfa_offset -24
        mov     ROOTS_HOOK, %rax
        test    %rax, %rax
        jz      1f
        jmp     *%rax                   // (report, scan context, generation)
1:      ret
END SCAN_ROOTS(__wrap_)

// The collector has marked what the roots lead to, but for what only finalizers will see: C# may ask what is
// marked, and mark more.
#define AFTER_ROOTS(kind) kind##_ZN15GCToEEInterface16AfterGcScanRootsEiiP11ScanContext
FUNCTION AFTER_ROOTS(__wrap_)
        push    %rdi
        push    %rdx
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 24
        call    AFTER_ROOTS(__real_)
        add     $8, %rsp
        pop     %rdi
        pop     %rsi
        .cfi_adjust_cfa_offset -24
        mov     MARKED_HOOK, %rax
        test    %rax, %rax
        jz      1f
        jmp     *%rax                   // (scan context, generation)
1:      ret
END AFTER_ROOTS(__wrap_)

// int sigaction(signal, action*, old*): every handler runs on the alternate stack, because the frame the
// kernel pushes does not fit on a goroutine's. glibc's struct: 152 bytes, flags at 136. SIGURG stays Weft's
// once it is: what the program installs is kept, and called for signals that are not ours
// (sched/Scheduler.Preempt.cs). Calls within this link come here by the linker's wrapping; those of shared
// libraries by the name sigaction, which they find in the program, or in libweft where that is linked, before
// glibc's.
#define SA_ONSTACK 0x08000000
#define SA_RESTART 0x10000000
#define EINVAL 22
#define SIGURG 23
#define ACTION_SIZE 152
        .bss
        .p2align 3
host_urgent_action:
        .zero   ACTION_SIZE
        .zero   8                       // Not 0 from when it takes the place of the kernel's.
        .text
FUNCTION __wrap_sigaction
        cmp     $SIGURG, %edi
        jne     2f
        lea     host_urgent_action(%rip), %r8
        cmpq    $0, ACTION_SIZE(%r8)
        je      2f
        mov     $(ACTION_SIZE / 8), %ecx
        test    %rdx, %rdx
        jz      3f
4:      mov     -8(%r8,%rcx,8), %rax
        mov     %rax, -8(%rdx,%rcx,8)
        dec     %ecx
        jnz     4b
3:      xor     %eax, %eax
        test    %rsi, %rsi
        jz      6f
        mov     $(ACTION_SIZE / 8), %ecx
5:      mov     -8(%rsi,%rcx,8), %r9    // The handler comes last: it is the first word.
        mov     %r9, -8(%r8,%rcx,8)
        dec     %ecx
        jnz     5b
6:      ret
2:      test    %rsi, %rsi
        jz      7f
        sub     $168, %rsp
        .cfi_adjust_cfa_offset 168
        xor     %ecx, %ecx
1:      mov     (%rsi,%rcx), %rax
        mov     %rax, (%rsp,%rcx)
        add     $8, %ecx
        cmp     $ACTION_SIZE, %ecx
        jb      1b
        orl     $SA_ONSTACK, 136(%rsp)
        mov     %rsp, %rsi
        call    __sigaction@PLT
        add     $168, %rsp
        .cfi_adjust_cfa_offset -168
        ret
7:      jmp     __sigaction@PLT
END __wrap_sigaction

        .weak   sigaction
        .weak   signal
EXPORTED sigaction
        jmp     __wrap_sigaction
END sigaction

// handler signal(signal, handler), by way of it: glibc's own calls its own. As there: calls of the system
// that it interrupts begin again, and the signal itself is blocked meanwhile.
EXPORTED signal
        cmp     $-1, %rsi
        je      1f
        lea     -1(%rdi), %ecx
        cmp     $63, %ecx
        ja      1f
        sub     $328, %rsp              // The new action, and at 160 the old one.
        .cfi_adjust_cfa_offset 328
        mov     %edi, %r8d
        mov     %rsi, (%rsp)
        mov     $1, %edx
        shl     %cl, %rdx
        lea     8(%rsp), %rdi
        xor     %eax, %eax
        mov     $((ACTION_SIZE - 8) / 8), %ecx
        rep stosq
        mov     %rdx, 8(%rsp)
        movl    $SA_RESTART, 136(%rsp)
        mov     %r8d, %edi
        mov     %rsp, %rsi
        lea     160(%rsp), %rdx
        call    __wrap_sigaction
        cltq                            // -1 is SIG_ERR.
        test    %eax, %eax
        cmovns  160(%rsp), %rax
        add     $328, %rsp
        .cfi_adjust_cfa_offset -328
        ret
1:      sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    __errno_location@PLT
        movl    $EINVAL, (%rax)
        mov     $-1, %rax
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
END signal

// What a debugger needs to find the goroutines without debug information (native/weft-gdb.py): the version of
// this table, where the slots are, the address of how many there are, where weft_tls is from %fs. C# fills
// the two in the middle, weft_layout the last.
        .data
        .p2align 3
        .globl weft_gdb
        .type weft_gdb, @object
        .size weft_gdb, 32
weft_gdb:
gdb_table:                              // The same; an exported name is not to be referred to directly.
        .quad   2, 0, 0, 0

// The numbers this file was built with and the code it relies on, for the start-up check
// (stack/RuntimeThread.cs): offsets first, then addresses of runtime functions that show them.
        .section .data.rel.ro, "aw", @progbits
        .p2align 3
weft_layout_table:
        .quad   CTX_SP, CTX_RESERVE_LOW, CTX_EXINFO, CTX_STATICS, CTX_INLINED, CTX_GCFRAMES
        .quad   CTX_NATIVE_DEPTH, M_BOUNDS_LOW, M_BOUNDS_HIGH
        .quad   M_NATIVE_COUNT, M_RETAKE, M_STOP_ASKED, M_CXX, M_ALLOCATES, M_SHORT_COUNT
        .quad   G_NO_PREEMPT, G_REASON, G_NATIVE_MXCSR, G_DOTNET_WAIT_WORD
        .quad   G_CXX_CAUGHT, G_CXX_UNCAUGHT
        .quad   REASON_NATIVE, REASON_PREEMPTED
        .quad   M_LOCKED, G_LOCKED, G_WAITER, G_LINE_IN_USE, G_WAITER_IS_QUEUED
        .quad   THREAD_FLAGS, THREAD_FRAME, THREAD_DEFERRED, THREAD_CACHED
        .quad   THREAD_HIJACK_SLOT, THREAD_HIJACK_VALUE, THREAD_EXINFO
        .quad   THREAD_STATICS, THREAD_INLINED_LIST, THREAD_GCFRAMES
        .quad   THREAD_BOUNDS_LOW, THREAD_BOUNDS_HIGH, THREAD_INTERRUPTED
        .quad   THREAD_NO_GC, THREAD_ATTACHED, TRAP_THREADS, WEFT_DOTNET
        .quad   ITERATOR_PC, ITERATOR_RBX, ITERATOR_RBP, ITERATOR_R12, ITERATOR_R13, ITERATOR_R14
        .quad   ITERATOR_R15, ITERATOR_SP, RUNTIME_CONSERVATIVE
        .quad   __real_RhpReversePInvoke
        .quad   _ZN6Thread20EnablePreemptiveModeEv, _ZN6Thread26ResetCachedTransitionFrameEv
        .quad   _ZN6Thread12GetCurExInfoEv, _ZN6Thread9ConstructEv, RhRegisterForGCReporting
        .quad   RhGetThreadStaticStorage, RhRegisterInlinedThreadStaticRoot
        .quad   g_lowest_address, g_highest_address
        .quad   RhpStackProbe
        .quad   __start___managedcode, __stop___managedcode
        .quad   weft_preempt, weft_vector_size
        .quad   _ZN6Thread13InlineSuspendEP14NATIVE_CONTEXT
        .quad   host_urgent_action
        .quad   gdb_table
        .quad   RhpTrapThreads
        .quad   weft_preempt_native
        .quad   _ZN3WKS6GCHeap7PromoteEPP6ObjectP11ScanContextj
        .quad   _ZN3WKS6GCHeap11IsPromoted2EP6Objectb
        .quad   _ZN3WKS7gc_heap16drain_mark_queueEv
        .quad   _ZN3WKS7gc_heap22scan_dependent_handlesEiP11ScanContexti
        .quad   _Z18Ref_UpdatePointersjjP11ScanContextPFvPP6ObjectS0_jE
        .quad   _Z37Ref_ScanDependentHandlesForRelocationjjP11ScanContextPFvPP6ObjectS0_jE
        .quad   g_theGCHeap
        .quad   _ZN3WKS7gc_heap14finalize_queueE
        .quad   _ZN3WKS9CFinalize11GcScanRootsEPFvPP6ObjectP11ScanContextjEiS5_
        .quad   _ZN3WKS9CFinalize10InitializeEv
        .quad   _ZN18StackFrameIteratorC1EP6ThreadP22PInvokeTransitionFrame
        .quad   _ZN6Thread17GcScanRootsWorkerEPFvPP6ObjectP11ScanContextjES4_R18StackFrameIterator
        .quad   _ZN18StackFrameIterator4NextEv
        .quad   _ZN18StackFrameIterator27CalculateCurrentMethodStateEv
        .quad   _ZN18StackFrameIterator7IsValidEv
        .quad   _ZN18StackFrameIterator35HasStackRangeToReportConservativelyEv
        .quad   _Z18GetRuntimeInstancev
        // Of the server collector only where that is linked.
        .weak   _ZN3SVR7gc_heap31map_region_to_generation_skewedE
        .weak   _ZN3SVR7gc_heap20min_segment_size_shrE
        .weak   _ZN3SVR7gc_heap29bookkeeping_covered_committedE
        .quad   _ZN3WKS7gc_heap31map_region_to_generation_skewedE
        .quad   _ZN3WKS7gc_heap20min_segment_size_shrE
        .quad   _ZN3WKS7gc_heap29bookkeeping_covered_committedE
        .quad   _ZN3SVR7gc_heap31map_region_to_generation_skewedE
        .quad   _ZN3SVR7gc_heap20min_segment_size_shrE
        .quad   _ZN3SVR7gc_heap29bookkeeping_covered_committedE

FUNCTION weft_layout
        mov     weft_tls@gottpoff(%rip), %rcx
        mov     %rcx, gdb_table + 24(%rip)
        lea     weft_layout_table(%rip), %rax
        ret
END weft_layout

// void** weft_hook_table(void): where C# stores the addresses that the hooks above call.
FUNCTION weft_hook_table
        lea     weft_hooks(%rip), %rax
        ret
END weft_hook_table
