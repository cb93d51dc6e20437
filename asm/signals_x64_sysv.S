// Signals: every handler runs on the alternate stack; which signals the program has handlers for. x86-64,
// System V ABI (Linux). README.md in this folder is the contract.

#include "abi.h"

// Which signals the program has handlers for by .NET (PosixSignalRegistration, Console.CancelKeyPress): a
// byte for each. .NET's native code keeps such a table too, but to itself; and the handlers that are
// installed do not tell, because it installs some for its own use.
        .bss
signals_handled:
        .zero   128                     // By number, 1 to 64.
        .text

// int SystemNative_EnablePosixSignalHandling(signal): the first handler for it is registered.
FUNCTION __wrap_SystemNative_EnablePosixSignalHandling
        lea     signals_handled(%rip), %rax
        mov     %edi, %ecx
        and     $127, %ecx
        movb    $1, (%rax,%rcx)
        jmp     __real_SystemNative_EnablePosixSignalHandling
END __wrap_SystemNative_EnablePosixSignalHandling

// void SystemNative_DisablePosixSignalHandling(signal): the last one is gone.
FUNCTION __wrap_SystemNative_DisablePosixSignalHandling
        lea     signals_handled(%rip), %rax
        mov     %edi, %ecx
        and     $127, %ecx
        movb    $0, (%rax,%rcx)
        jmp     __real_SystemNative_DisablePosixSignalHandling
END __wrap_SystemNative_DisablePosixSignalHandling

// byte* weft_signals_handled()
FUNCTION weft_signals_handled
        lea     signals_handled(%rip), %rax
        ret
END weft_signals_handled

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
        .globl host_urgent_action
        .hidden host_urgent_action
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

WEAK sigaction
        jmp     __wrap_sigaction
END sigaction

// handler signal(signal, handler), by way of it: glibc's own calls its own. As there: calls of the system
// that it interrupts begin again, and the signal itself is blocked meanwhile.
WEAK signal
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
