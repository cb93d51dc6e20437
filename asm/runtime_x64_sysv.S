// Parts of the .NET runtime on goroutines: what needs the system stack, what the collector asks for, where it
// is shut out, libraries that are loaded. x86-64, System V ABI (Linux). README.md in this folder is the
// contract.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"
#include "macros_x64.h"

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
