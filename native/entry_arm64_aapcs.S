// weft_init and weft_main: what comes before the first managed code of a process. Entering that starts the
// .NET runtime, which ends the process where it finds too little address space (ulimit -v): a host wants to
// be told. So the space is asked for, once, and given back.
//
//   weft_init(options)                 WEFT_ENOMEM, or on to the managed function with the same arguments
//   weft_main(main, count, arguments)  the same
//
// The size is what the runtime and Weft were seen to start with on x64, and some more (tests/memory_test.c).
// Two threads may ask at once. Stack: none. Lost: what a call may lose.

#include "../asm/abi.h"

#define ROOM            (256 * 1024 * 1024)
#define ENOMEM_OF_WEFT  -12
#define SYS_MMAP        222
#define SYS_MUNMAP      215
#define PRIVATE_ANONYMOUS_NORESERVE 0x4022

.macro AFTER_A_LOOK name, managed
        .text
        .p2align 4
        .globl \name
        .type \name, @function
\name:
        .cfi_startproc
        adrp    x9, enough
        add     x9, x9, #:lo12:enough
        ldrb    w10, [x9]
        cbnz    w10, 2f
        mov     x10, x0
        mov     x11, x1
        mov     x12, x2
        mov     x0, #0
        mov     x1, #ROOM
        mov     x2, #0                  // PROT_NONE
        mov     x3, #PRIVATE_ANONYMOUS_NORESERVE
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #SYS_MMAP
        svc     #0
        cmn     x0, #4095
        b.hs    1f
        mov     x1, #ROOM
        mov     x8, #SYS_MUNMAP
        svc     #0
        mov     w0, #1
        strb    w0, [x9]
        mov     x0, x10
        mov     x1, x11
        mov     x2, x12
2:      b       \managed
1:      mov     w0, #ENOMEM_OF_WEFT
        ret
        .cfi_endproc
        .size \name, . - \name
.endm

AFTER_A_LOOK weft_init, weft_init_managed
AFTER_A_LOOK weft_main, weft_main_managed

        .bss
enough: .byte   0
