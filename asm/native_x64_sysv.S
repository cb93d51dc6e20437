// Between managed and native code: P/Invokes and callbacks of goroutines. x86-64, System V ABI (Linux).
// README.md in this folder is the contract.
//
// Native frames never move, and sysmon may take a processor away meanwhile. So a P/Invoke makes room first,
// and both kinds are counted on both sides; who comes back too late waits for a processor.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"
#include "macros_x64.h"

RESERVE_THEN __wrap_RhpPInvoke, enter_native, NATIVE_RESERVE

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

// The goroutine stops with the reason NativeReturn: it runs again when there is a processor, on whatever
// thread. The native code around may have its own rounding. Where that is below, and waits for a callback,
// the switch keeps it for RhpReversePInvokeReturn, and the managed code goes on with the default.
FUNCTION wait_for_processor
        KEEP    %rbx
        KEEP    %r12
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rax
        cmpl    $0, CTX_NATIVE_DEPTH(%rax)
        jle     1f
        cmpw    $0, G_NATIVE_KEPT(%rax)
        jne     1f                      // Kept since another switch.
        mov     default_mxcsr(%rip), %eax
        mov     default_x87(%rip), %cx
        mov     %eax, (%rsp)
        mov     %cx, 4(%rsp)
        jmp     2f
1:      stmxcsr (%rsp)
        fnstcw  4(%rsp)
        ldmxcsr default_mxcsr(%rip)
        fldcw   default_x87(%rip)
2:      STOP    $REASON_NATIVE
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        RESTORE %r12
        RESTORE %rbx
        ret
END wait_for_processor

// What RhpReversePInvoke does where there is nothing to wait for; else on to \slow, or to \undo where the
// transition frame, in rcx, is to be stored again in the thread, rdx, before that. rdi: as below.
.macro ENTER_MANAGED undo, slow
        mov     tls_CurrentThread@gottpoff(%rip), %rdx
        mov     %fs:THREAD_FRAME(%rdx), %rcx
        mov     %fs:THREAD_FLAGS(%rdx), %esi
        and     $(THREAD_ATTACHED | THREAD_NO_GC), %esi
        cmp     $THREAD_ATTACHED, %esi
        jne     \slow
        test    %rcx, %rcx
        jz      \slow
        mov     %rcx, (%rdi)
        // Who suspends threads sets the word below, and then has all of them execute a fence.
        movq    $0, %fs:THREAD_FRAME(%rdx)
        testl   $TRAP_THREADS, RhpTrapThreads(%rip)
        jnz     \undo
.endm

// Native code enters managed code. On a goroutine the native frames below must not move: count them. The
// rest is in line: each call of the C face pays it, and each start of a goroutine.
//
// rdi: the frame, two words. The first keeps the transition frame. The second would be the Thread, which we
// find anew.
FUNCTION __wrap_RhpReversePInvoke
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rcx
        test    %rcx, %rcx
        jz      weft_thread_enters
        incl    CTX_NATIVE_DEPTH(%rcx)
        jz      4f
        mov     %fs:TLS_MACHINE(%rax), %rax
        incl    M_NATIVE_COUNT(%rax)    // As in RhpPInvokeReturn.
        ENTER_MANAGED 1f, 2f
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
4:      ENTER_MANAGED 5f, 6f            // weft_entry: it holds a message, and may not lose its processor.
        ret
5:      mov     %rcx, %fs:THREAD_FRAME(%rdx)
6:      jmp     weft_reverse_pinvoke
END __wrap_RhpReversePInvoke

FUNCTION __wrap_RhpReversePInvokeReturn
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rcx
        test    %rcx, %rcx
        jz      __real_RhpReversePInvokeReturn
        decl    CTX_NATIVE_DEPTH(%rcx)
        mov     %fs:TLS_MACHINE(%rax), %rax
        cmpw    $0, G_NATIVE_KEPT(%rcx)
        jne     1f
2:      incl    M_NATIVE_COUNT(%rax)
        mov     (%rdi), %rdx
        mov     tls_CurrentThread@gottpoff(%rip), %rcx
        mov     %rdx, %fs:THREAD_FRAME(%rcx)
        ret
1:      UNLESS_DEFAULT_FLOAT %rcx, %esi, 4f     // It has switched meanwhile.
3:      movw    $0, G_NATIVE_KEPT(%rcx)
        jmp     2b
4:      ldmxcsr G_NATIVE_FLOAT(%rcx)
        fldcw   G_NATIVE_KEPT(%rcx)
        jmp     3b
END __wrap_RhpReversePInvokeReturn
