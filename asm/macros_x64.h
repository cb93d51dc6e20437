// What the x64 files share besides offsets: macros, the hooks' names, a few numbers.

#ifndef WEFT_MACROS_X64_H
#define WEFT_MACROS_X64_H

#define MXCSR_DEFAULT   0x1f80
#define MXCSR_STATUS    0x3f
#define X87_DEFAULT     0x037f

// Goes to \others unless what is kept of mxcsr and the x87 control word in the goroutine are the defaults;
// \low is lost.
.macro UNLESS_DEFAULT_FLOAT g, low, others
        mov     G_NATIVE_FLOAT(\g), \low
        and     $~MXCSR_STATUS, \low
        cmp     $MXCSR_DEFAULT, \low
        jne     \others
        cmpw    $X87_DEFAULT, G_NATIVE_KEPT(\g)
        jne     \others
.endm

        .hidden weft_tls
        .type weft_tls, @tls_object
        .hidden weft_hooks
        .hidden weft_vector_size
        .hidden default_mxcsr
        .hidden default_x87
        .hidden host_urgent_action
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

#endif
