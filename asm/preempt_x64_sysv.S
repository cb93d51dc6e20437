// Where a goroutine is stopped: by a signal, anywhere in managed code; and on the way, where it passes the
// assembly. x86-64, System V ABI (Linux). README.md in this folder is the contract.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"
#include "macros_x64.h"

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
