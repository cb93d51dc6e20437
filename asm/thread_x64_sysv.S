// The thread itself, x86-64 and System V ABI (Linux): what C sees of it, and its end. README.md in this
// folder is the contract.
//
// Where libc ends a thread it calls the destructors of C++ thread-locals, and then in up to four rounds those
// of pthread keys, a key of the .NET runtime's among them: the runtime then forgets the thread, and its next
// call into managed code would be the end of the process. A library's own key may come after the runtime's.
// So the runtime's turn is put off to the last round:
//
//   TLS_ENDING  0 --weft_thread_ends, a C++ destructor--> 1 --each round but the last--> 2, 3, 4
//               4 --the last: the runtime forgets the thread--> ENDED; who calls now gets a message
//
// A thread that meets Weft only in such a destructor is still at 0 when its turn comes, and nobody can tell
// in which round. It is forgotten at once, as if it had never called, and may call again.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"

#define LAST_ROUND      4               // PTHREAD_DESTRUCTOR_ITERATIONS
#define ENDED           5
#define SYS_GETPID      39
#define SYS_GETTID      186

#define FAILED_TOO_LATE 0               // ThreadEnd.TooLate
#define FAILED_ENDED    1               // ThreadEnd.Ended

        .hidden weft_tls
        .type weft_tls, @tls_object
        .hidden weft_hooks
        .hidden __dso_handle
#define END_HOOK        weft_hooks + 32(%rip)
#define LOOP_HOOK       weft_hooks + 40(%rip)
#define EXIT_HOOK       weft_hooks + 48(%rip)

#define EXIT_ROOM       1024            // More than lies below the transition frame in its managed frame.

// int weft_lock_thread(void), of the C face: the goroutine stays on its thread, -ESRCH where there is none.
// It calls nothing managed, where it might have to wait for a processor first, and go on in another thread.
// In native code the fields are this thread's own: nobody preempts it here, and who takes its processor
// looks at none of them.
EXPORTED weft_lock_thread
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_GOROUTINE(%rax), %rcx
        test    %rcx, %rcx
        jz      1f
        cmpw    $0, G_LOCKED(%rcx)
        jne     2f
        mov     %fs:TLS_MACHINE(%rax), %rdx
        mov     %rcx, M_LOCKED(%rdx)
2:      cmpw    $LOCKED_MOST, G_LOCKED(%rcx)
        je      3f
        incw    G_LOCKED(%rcx)
        xor     %eax, %eax
        ret
1:      mov     $-3, %eax
        ret
3:      mov     $-12, %eax
        ret
END weft_lock_thread

// int *weft_errno_location(void), of the C face: libc's own is declared as one whose result never changes.
EXPORTED weft_errno_location
        jmp     __errno_location@PLT
END weft_errno_location

// Not on a goroutine: RhpReversePInvoke, unless the runtime has forgotten this thread. rax: weft_tls.
FUNCTION weft_thread_enters
        cmpl    $ENDED, %fs:TLS_ENDING(%rax)
        jne     __real_RhpReversePInvoke
        mov     $FAILED_TOO_LATE, %esi
        cmpq    $0, END_HOOK
        je      __real_RhpReversePInvoke
fail:   sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        mov     %esi, %edi
        call    *END_HOOK               // Does not return.
        ud2
END weft_thread_enters

// The runtime makes itself known to a thread, once. The main thread calls no C++ destructors where it ends as
// others do: it is taken for one that has called them.
#define ATTACH(kind) kind##_Z15PalAttachThreadPv
FUNCTION ATTACH(__wrap_)
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    ATTACH(__real_)
        mov     $SYS_GETPID, %eax
        syscall
        mov     %eax, %edi
        mov     $SYS_GETTID, %eax
        syscall
        cmp     %eax, %edi
        jne     1f
        mov     weft_tls@gottpoff(%rip), %rax
        movl    $1, %fs:TLS_ENDING(%rax)
        jmp     2f
1:      lea     weft_thread_ends(%rip), %rdi
        xor     %esi, %esi
        lea     __dso_handle(%rip), %rdx
        call    __cxa_thread_atexit_impl@PLT
2:      add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
END ATTACH(__wrap_)

// A C++ destructor: libc ends the thread, or the process by exit. A machine's own thread ends when it is none
// any more; otherwise somebody has called pthread_exit on a goroutine's stack, from where libc jumps to the
// thread's first frame: above the system stack that waits. Who calls exit is on some other stack, or below.
//
// Where the goroutine is locked to the thread both end. The frames of the machine's loop are overwritten by
// now, so the loop gets a new one here; then the goroutine, back on its stack, above the native frames that
// libc has dropped, calls weft_exit, and the loop completes that.
FUNCTION weft_thread_ends
        mov     weft_tls@gottpoff(%rip), %rcx
        movl    $1, %fs:TLS_ENDING(%rcx)
        mov     %fs:TLS_MACHINE(%rcx), %rax
        test    %rax, %rax
        jz      1f
        mov     CTX_SP(%rax), %rdx
        test    %rdx, %rdx
        jz      1f
        cmp     %rdx, %rsp
        jb      1f
        cmp     M_BOUNDS_HIGH(%rax), %rsp
        jae     1f
        mov     %fs:TLS_GOROUTINE(%rcx), %rcx
        mov     $FAILED_ENDED, %esi
        cmpw    $0, G_LOCKED(%rcx)
        je      fail
        cmpq    $0, EXIT_HOOK
        je      fail
        mov     tls_CurrentThread@gottpoff(%rip), %rdx
        mov     %fs:THREAD_FRAME(%rdx), %rdx
        lea     2(%rdx), %rcx
        cmp     $2, %rcx                // 0, or no frame but one of the runtime's marks.
        jbe     fail
        sub     $8, %rsp                // The loop's, as weft_switch leaves one.
        .cfi_adjust_cfa_offset 8
        lea     2f(%rip), %rcx
        push    %rcx
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, CTX_SP(%rax)
        lea     -EXIT_ROOM(%rdx), %rsp
        and     $-16, %rsp
        call    *EXIT_HOOK
        ud2
2:      mov     tls_CurrentThread@gottpoff(%rip), %rcx
        movq    $-1, %fs:THREAD_FRAME(%rcx)     // No managed frame below.
        mov     weft_tls@gottpoff(%rip), %rcx
        mov     %fs:TLS_MACHINE(%rcx), %rdi
        mov     %rax, %rsi              // The message.
        call    *LOOP_HOOK
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
1:      ret
END weft_thread_ends

// The destructor of the runtime's key, with its Thread: once in each round, because it sets the key again.
#define DETACH(kind) kind##_Z21RuntimeThreadShutdownPv
FUNCTION DETACH(__wrap_)
        mov     weft_tls@gottpoff(%rip), %rax
        mov     %fs:TLS_ENDING(%rax), %ecx
        test    %ecx, %ecx
        jz      1f
        cmp     $LAST_ROUND, %ecx
        jae     2f
        incl    %fs:TLS_ENDING(%rax)
        jmp     ATTACH(__real_)
2:      sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    DETACH(__real_)         // It calls managed code once more.
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        mov     weft_tls@gottpoff(%rip), %rax
        movl    $ENDED, %fs:TLS_ENDING(%rax)
        ret
1:      push    %rdi
        .cfi_adjust_cfa_offset 8
        call    DETACH(__real_)
        pop     %rdi
        .cfi_adjust_cfa_offset -8
        xor     %eax, %eax              // As a thread is born.
        mov     $(THREAD_SIZE / 8), %ecx
        rep stosq
        mov     tls_InlinedThreadStatics@gottpoff(%rip), %rcx
        mov     %rax, %fs:(%rcx)
        ret
END DETACH(__wrap_)
