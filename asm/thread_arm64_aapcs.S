// The thread itself, arm64 and AAPCS64 (Linux): what C sees of it, and its end. README.md in this
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
#include "runtime_arm64.h"
#include "macros_arm64.h"

#define LAST_ROUND      4               // PTHREAD_DESTRUCTOR_ITERATIONS
#define ENDED           5
#define SYS_GETPID      172
#define SYS_GETTID      178

#define FAILED_TOO_LATE 0               // ThreadEnd.TooLate
#define FAILED_ENDED    1               // ThreadEnd.Ended

        .hidden __dso_handle

#define EXIT_ROOM       1024            // More than lies below the transition frame in its managed frame.

// int weft_lock_thread(void), of the C face: the goroutine stays on its thread, -ESRCH where there is none.
// It calls nothing managed, where it might have to wait for a processor first, and go on in another thread.
// In native code the fields are this thread's own: nobody preempts it here, and who takes its processor
// looks at none of them.
EXPORTED weft_lock_thread
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 1f
        ldrh    w11, [x10, #G_LOCKED]
        cbnz    w11, 2f
        ldr     x12, [x9, #TLS_MACHINE]
        str     x10, [x12, #M_LOCKED]
2:      mov     w12, #LOCKED_MOST
        cmp     w11, w12
        b.eq    3f
        add     w11, w11, #1
        strh    w11, [x10, #G_LOCKED]
        mov     w0, #0
        ret
1:      mov     w0, #-3
        ret
3:      mov     w0, #-12
        ret
END weft_lock_thread

// int *weft_errno_location(void), of the C face: libc's own is declared as one whose result never changes.
EXPORTED weft_errno_location
        b       __errno_location
END weft_errno_location

// Not on a goroutine: RhpReversePInvoke, unless the runtime has forgotten this thread. x9: weft_tls.
FUNCTION weft_thread_enters
        ldr     w10, [x9, #TLS_ENDING]
        cmp     w10, #ENDED
        b.eq    1f
2:      b       __real_RhpReversePInvoke
1:      HOOK    x10, END_HOOK
        cbz     x10, 2b
        mov     w0, #FAILED_TOO_LATE
thread_fails:
        PUSH_LINK
        HOOK    x9, END_HOOK
        blr     x9                      // Does not return.
        brk     #1
END weft_thread_enters

// The runtime makes itself known to a thread, once. The main thread calls no C++ destructors where it ends as
// others do: it is taken for one that has called them.
#define ATTACH(kind) kind##_Z15PalAttachThreadPv
FUNCTION ATTACH(__wrap_)
        PUSH_LINK 16
        bl      ATTACH(__real_)
        mov     x8, #SYS_GETPID
        svc     #0
        str     x0, [sp, #16]
        mov     x8, #SYS_GETTID
        svc     #0
        ldr     x1, [sp, #16]
        cmp     w0, w1
        b.ne    1f
        TLS     x9, x10, weft_tls
        mov     w10, #1
        str     w10, [x9, #TLS_ENDING]
        b       2f
1:      ADDRESS x0, weft_thread_ends
        mov     x1, #0
        ADDRESS x2, __dso_handle
        bl      __cxa_thread_atexit_impl
2:      POP_LINK 16
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
        TLS     x9, x10, weft_tls
        mov     w10, #1
        str     w10, [x9, #TLS_ENDING]
        ldr     x10, [x9, #TLS_MACHINE]
        cbz     x10, 1f
        ldr     x11, [x10, #CTX_SP]
        cbz     x11, 1f
        mov     x12, sp
        cmp     x12, x11
        b.lo    1f
        ldr     x11, [x10, #M_BOUNDS_HIGH]
        cmp     x12, x11
        b.hs    1f
        ldr     x11, [x9, #TLS_GOROUTINE]
        mov     w0, #FAILED_ENDED
        ldrh    w12, [x11, #G_LOCKED]
        cbz     w12, thread_fails
        HOOK    x13, EXIT_HOOK
        cbz     x13, thread_fails
        TLS     x12, x14, tls_CurrentThread
        ldr     x12, [x12, #THREAD_FRAME]
        add     x14, x12, #2
        cmp     x14, #2                 // 0, or no frame but one of the runtime's marks.
        b.ls    thread_fails
        PUSH_LINK
        PUSH_SAVED                      // The loop's, as weft_switch leaves one.
        adr     x14, 2f
        str     x14, [sp, #SAVED_RETURN]
        mov     x14, sp
        stlr    x14, [x10]
        sub     x12, x12, #EXIT_ROOM
        and     x12, x12, #-16
        mov     sp, x12
        blr     x13
        brk     #1
        .cfi_adjust_cfa_offset -SAVED
2:      TLS     x9, x10, tls_CurrentThread
        mov     x10, #-1
        str     x10, [x9, #THREAD_FRAME]        // No managed frame below.
        TLS     x9, x10, weft_tls
        mov     x1, x0                  // The message.
        ldr     x0, [x9, #TLS_MACHINE]
        HOOK    x9, LOOP_HOOK
        blr     x9
        POP_LINK
1:      ret
END weft_thread_ends

// The destructor of the runtime's key, with its Thread: once in each round, because it sets the key again.
#define DETACH(kind) kind##_Z21RuntimeThreadShutdownPv
FUNCTION DETACH(__wrap_)
        TLS     x9, x10, weft_tls
        ldr     w10, [x9, #TLS_ENDING]
        cbz     w10, 1f
        cmp     w10, #LAST_ROUND
        b.hs    2f
        add     w10, w10, #1
        str     w10, [x9, #TLS_ENDING]
        b       ATTACH(__real_)
2:      PUSH_LINK
        bl      DETACH(__real_)         // It calls managed code once more.
        POP_LINK
        TLS     x9, x10, weft_tls
        mov     w10, #ENDED
        str     w10, [x9, #TLS_ENDING]
        ret
1:      PUSH_LINK 16
        str     x0, [sp, #16]
        bl      DETACH(__real_)
        ldr     x0, [sp, #16]
        POP_LINK 16
        mov     x1, #(THREAD_SIZE / 8)
3:      str     xzr, [x0], #8           // As a thread is born.
        subs    x1, x1, #1
        b.ne    3b
        TLS     x9, x10, tls_InlinedThreadStatics
        str     xzr, [x9]
        ret
END DETACH(__wrap_)
