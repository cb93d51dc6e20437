// Exceptions: room for the runtime's dispatch, and a place to stop before it. x86-64, System V ABI (Linux).
// README.md in this folder is the contract.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"
#include "macros_x64.h"

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
