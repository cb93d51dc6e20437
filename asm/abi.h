// Names and marks shared by every .S file: one place for what differs between object formats.
//
//   FUNCTION name   starts a global function, 16-byte aligned, with call frame information
//   EXPORTED name   the same for one that a shared library may export
//   WEAK name       the same where a program may have its own
//   END name        ends each of them
//
// The last lines of this file say that the code needs no executable stack. CET: the files carry no
// IBT/SHSTK note, so the loader runs the process without shadow stacks, which the switch needs.

#ifndef WEFT_ABI_H
#define WEFT_ABI_H

.macro EXPORTED name
        .text
        .p2align 4
        .globl \name
        .type \name, @function
\name:
        .cfi_startproc
.endm

.macro WEAK name
        .text
        .p2align 4
        .weak \name
        .type \name, @function
\name:
        .cfi_startproc
.endm

.macro FUNCTION name
        .hidden \name
        EXPORTED \name
.endm

.macro END name
        .cfi_endproc
        .size \name, . - \name
.endm

        .section .note.GNU-stack, "", @progbits
#endif
