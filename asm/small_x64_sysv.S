// The small ones: the thread's words, calls of the system and of C, the count of critical sections. x86-64,
// System V ABI (Linux). README.md in this folder is the contract.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"
#include "macros_x64.h"

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

// long weft_ticks(void): the processor's counter. Not in order with what stands around it; a few ns.
FUNCTION weft_ticks
        rdtsc
        shl     $32, %rdx
        or      %rdx, %rax
        ret
END weft_ticks

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

// long weft_call(function, a, b, c, d): calls a C address from C#, whose own calli would look for tag bits.
FUNCTION weft_call
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        mov     %rcx, %rdx
        mov     %r8, %rcx
        jmp     *%rax
END weft_call
