// weft_init and weft_main: what comes before the first managed code of a process. Entering that starts the
// .NET runtime, which ends the process where it finds too little address space (ulimit -v): a host wants to
// be told. So the space is asked for, once, and given back.
//
//   weft_init(options)                 WEFT_ENOMEM, or on to the managed function with the same arguments
//   weft_main(main, count, arguments)  the same
//
// The size is what the runtime and Weft were seen to start with, and some more (tests/memory_test.c). Two
// threads may ask at once. Stack: 40 bytes. Lost: what a call may lose.

#include "../asm/abi.h"

#define ROOM            (256 * 1024 * 1024)
#define ENOMEM_OF_WEFT  -12
#define SYS_MMAP        9
#define SYS_MUNMAP      11
#define PRIVATE_ANONYMOUS_NORESERVE 0x4022

.macro AFTER_A_LOOK name, managed
        .text
        .p2align 4
        .globl \name
        .type \name, @function
\name:
        .cfi_startproc
        cmpb    $0, enough(%rip)
        jne     \managed
        push    %rdi
        .cfi_adjust_cfa_offset 8
        push    %rsi
        .cfi_adjust_cfa_offset 8
        push    %rdx
        .cfi_adjust_cfa_offset 8
        xor     %edi, %edi
        mov     $ROOM, %esi
        xor     %edx, %edx              // PROT_NONE
        mov     $PRIVATE_ANONYMOUS_NORESERVE, %r10d
        mov     $-1, %r8
        xor     %r9d, %r9d
        mov     $SYS_MMAP, %eax
        syscall
        cmp     $-4096, %rax
        ja      1f
        mov     %rax, %rdi
        mov     $ROOM, %esi
        mov     $SYS_MUNMAP, %eax
        syscall
        movb    $1, enough(%rip)
        pop     %rdx
        .cfi_adjust_cfa_offset -8
        pop     %rsi
        .cfi_adjust_cfa_offset -8
        pop     %rdi
        .cfi_adjust_cfa_offset -8
        jmp     \managed
        .cfi_adjust_cfa_offset 24
1:      add     $24, %rsp
        .cfi_adjust_cfa_offset -24
        mov     $ENOMEM_OF_WEFT, %eax
        ret
        .cfi_endproc
        .size \name, . - \name
.endm

AFTER_A_LOOK weft_init, weft_init_managed
AFTER_A_LOOK weft_main, weft_main_managed

        .bss
enough: .byte   0
