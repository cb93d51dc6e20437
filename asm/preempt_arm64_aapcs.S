// Where a goroutine is stopped: by a signal, anywhere in managed code; and on the way, where it passes the
// assembly. arm64, AAPCS64 (Linux). README.md in this folder is the contract.

#include "abi.h"
#include "context.h"
#include "runtime_arm64.h"
#include "macros_arm64.h"

// What managed code calls as it is, without a transition, and may take long: no signal stops a goroutine in
// there, and it may be there nearly always. So it stops at the end. \size: the register that has the length,
// which is not worth the question below \least.
.macro STOPS_AFTER name, size=none, least=0
FUNCTION __wrap_\name
.ifnc \size, none
        cmp     \size, #\least
        b.hs    3f
        b       __real_\name
3:
.endif
        PUSH_LINK
        bl      __real_\name
        POP_LINK
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbz     x10, 1f
        ldr     x10, [x9, #TLS_MACHINE]
        ldrb    w11, [x10, #M_STOP_ASKED]
        cbz     w11, 1f
        b       stop_here
1:      ret
END __wrap_\name
.endm

STOPS_AFTER RhSpinWait
STOPS_AFTER RhpGcSafeZeroMemory, x1, LONG_MEMORY
STOPS_AFTER memset, x2, LONG_MEMORY
STOPS_AFTER memmove, x2, LONG_MEMORY
STOPS_AFTER RhBulkMoveWithWriteBarrier, x2, LONG_REFERENCES

// The goroutine is to stop, and has just come to a place where it may, if it is managed code that called: in
// no critical section of Weft's, in no exception dispatch, not in native code or a collection. x9: the
// thread-local words; x10: the machine. x0 is kept, and may be a reference: it lies on the stack while the
// goroutine is parked, where what it leads to is pinned. The loop of this machine or another resumes it.
FUNCTION stop_here
        ldr     x11, [x9, #TLS_GOROUTINE]
        UNLESS_MAY_STOP x11, x9, 1f
        STOP_WITH_RESULT REASON_PREEMPTED
1:      ret
END stop_here

// The signal handler makes an interrupted goroutine continue here (stack/SignalContext.Linux.cs), at sp a
// copy of the frame that the kernel has made for the handler: siginfo, which nobody needs, and ucontext. With
// that the kernel brings back all registers, at once and whatever this processor has: SVE's, fpcr, fpsr, the
// flags, and x18, which a branch would have to give up. The signal mask stays this thread's; the signal stack
// too: the kernel does not look at the rest of a description whose flags it does not know.
#define CONTEXT         128
#define CONTEXT_STACK_FLAGS (CONTEXT + 24)
#define CONTEXT_MASK    (CONTEXT + 40)
#define CONTEXT_X0      (CONTEXT + 184)
#define CONTEXT_X29     (CONTEXT_X0 + 29 * 8)
#define CONTEXT_SP      (CONTEXT_X0 + 31 * 8)
#define CONTEXT_PC      (CONTEXT_SP + 8)
#define CONTEXT_END     (CONTEXT + 4560)
#define SYS_MASK        135
#define SYS_SIGRETURN   139
#define UNKNOWN_FLAG    4

.macro PREEMPTED name
FUNCTION \name
        .cfi_signal_frame
        .cfi_def_cfa sp, CONTEXT_END
        .cfi_rel_offset x29, CONTEXT_X29
        .cfi_rel_offset x30, CONTEXT_PC
        .irp register, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28
        .cfi_rel_offset x\register, CONTEXT_X0 + \register * 8
        .endr
        add     x29, sp, #CONTEXT_X29
.endm
.macro GO_ON name
        mov     w9, #UNKNOWN_FLAG
        str     w9, [sp, #CONTEXT_STACK_FLAGS]
        mov     x0, #0
        mov     x1, #0
        add     x2, sp, #CONTEXT_MASK
        mov     x3, #8
        mov     x8, #SYS_MASK
        svc     #0
        mov     x8, #SYS_SIGRETURN
        svc     #0
        brk     #1
END \name
.endm

PREEMPTED weft_preempt
        STOP    REASON_PREEMPTED
GO_ON weft_preempt

// The same for C code that has been registered for it: it yields, as if it had called Weft there. Its errno
// stays.
PREEMPTED weft_preempt_native
        bl      __errno_location
        ldr     w19, [x0]
        HOOK    x9, YIELD_HOOK
        blr     x9
        bl      __errno_location
        str     w19, [x0]
GO_ON weft_preempt_native
