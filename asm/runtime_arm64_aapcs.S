// Parts of the .NET runtime on goroutines: what needs the system stack, what the collector asks for, where it
// is shut out, libraries that are loaded. arm64, AAPCS64 (Linux). README.md in this folder is the contract.

#include "abi.h"
#include "context.h"
#include "runtime_arm64.h"
#include "macros_arm64.h"

// Runs \real on this machine's system stack when called on a goroutine, else in place. For parts of
// the runtime that need more stack than a goroutine may have and are told their caller's frame.
// allocates=1: it may wait there for a collection, and be without a processor when it comes back.
#define GOROUTINE_BELOW 16              // Where it lies, below the saved sp.
.macro ON_SYSTEM_STACK name, real, stops=0, allocates=0
FUNCTION \name
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        cbnz    x10, 1f
        b       \real
1:      PUSH_LINK
        .cfi_def_cfa_register x29
        ldr     x11, [x9, #TLS_MACHINE]
        ldr     x12, [x11, #CTX_SP]
        mov     sp, x12                 // Below the parked system stack: nobody else runs there.
        str     xzr, [x9, #TLS_GOROUTINE]
        str     x10, [sp, #-GOROUTINE_BELOW]!
.if \allocates
        mov     w12, #ALLOCATES
        strb    w12, [x11, #M_ALLOCATES]
.endif
        bl      \real
        ldr     x10, [sp]
        TLS     x9, x11, weft_tls
        str     x10, [x9, #TLS_GOROUTINE]
        mov     sp, x29
        .cfi_def_cfa_register sp
        POP_LINK
.if \stops
        ldr     x10, [x9, #TLS_MACHINE]
.if \allocates
        ldrb    w11, [x10, #M_ALLOCATES]
        strb    wzr, [x10, #M_ALLOCATES]
        cmp     w11, #ALLOCATES_WAITED
        b.eq    allocation_waited
.endif
        ldrb    w11, [x10, #M_STOP_ASKED]
        cbz     w11, 2f
        b       stop_here
2:
.endif
        ret
END \name
.endm

// After RhpWaitForGC2 nobody stops: its caller reads the Thread's deferred frame once more.
ON_SYSTEM_STACK __wrap_RhpGcAlloc, __real_RhpGcAlloc, stops=1, allocates=1
ON_SYSTEM_STACK __wrap_RhpWaitForGC2, __real_RhpWaitForGC2
ON_SYSTEM_STACK __wrap_RhpGcPoll2, __real_RhpGcPoll2, stops=1
ON_SYSTEM_STACK weft_reverse_pinvoke, __real_RhpReversePInvoke

// An allocation that had to wait is done: as stop_here, if the processor is gone or may be. x9, x10: as
// there.
allocation_waited:
        .cfi_startproc
        ldrb    w11, [x10, #M_RETAKE]
        cbnz    w11, 1f
        ldrb    w11, [x10, #M_STOP_ASKED]
        cbz     w11, 2f
        b       stop_here
1:      STOP_WITH_RESULT REASON_NATIVE
2:      ret
        .cfi_endproc

// Where the collector lets a thread wait, for the background collection for example, it calls the first of
// these before and the second after. For a goroutine that allocates it is a native call: sysmon may take the
// processor away. Only if it may stop at the end of the allocation, as stop_here asks; none of that changes
// in between. On the system stack, where the goroutine lies below the saved sp.
FUNCTION __wrap__ZN15GCToEEInterface18EnablePreemptiveGCEv
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_MACHINE]
        cbz     x10, 1f
        ldrb    w11, [x10, #M_ALLOCATES]
        cbz     w11, 1f
        ldr     x11, [x10, #CTX_SP]
        ldur    x11, [x11, #-GOROUTINE_BELOW]
        UNLESS_MAY_STOP x11, x9, 1f
        PUSH_LINK
        bl      __real__ZN15GCToEEInterface18EnablePreemptiveGCEv
        POP_LINK
        tst     w0, #0xff
        b.eq    2f
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_MACHINE]
        mov     w10, #ALLOCATES_WAITS
        strb    w10, [x9, #M_ALLOCATES]
        COUNT_NATIVE x9, 10, 11
2:      ret
1:      b       __real__ZN15GCToEEInterface18EnablePreemptiveGCEv
END __wrap__ZN15GCToEEInterface18EnablePreemptiveGCEv

FUNCTION __wrap__ZN15GCToEEInterface19DisablePreemptiveGCEv
        TLS     x9, x10, weft_tls
        ldr     x9, [x9, #TLS_MACHINE]
        cbz     x9, 1f
        ldrb    w10, [x9, #M_ALLOCATES]
        cmp     w10, #ALLOCATES_WAITS
        b.ne    1f
        mov     w10, #ALLOCATES_WAITED
        strb    w10, [x9, #M_ALLOCATES]
        ldr     w10, [x9, #M_NATIVE_COUNT]
        add     w10, w10, #1
        // Pairs with the fence in TakeFromNative, as that of a P/Invoke.
        str     w10, [x9, #M_NATIVE_COUNT]
1:      b       __real__ZN15GCToEEInterface19DisablePreemptiveGCEv
END __wrap__ZN15GCToEEInterface19DisablePreemptiveGCEv

// long weft_call_on_system_stack(function, a, b): raw C# on the system stack, collections shut out.
FUNCTION weft_call_on_system_stack
        TLS     x9, x10, weft_tls
        ldr     x10, [x9, #TLS_GOROUTINE]
        mov     x11, x0
        mov     x0, x1
        mov     x1, x2
        cbnz    x10, 1f
        br      x11
1:      PUSH_LINK 16
        .cfi_def_cfa_register x29
        str     x20, [x29, #16]
        .cfi_rel_offset x20, 16
        ldr     x9, [x9, #TLS_MACHINE]
        ldr     x9, [x9, #CTX_SP]
        mov     sp, x9
        TLS     x20, x10, tls_CurrentThread
        CHANGE_FLAGS x20, orr, THREAD_NO_GC
        blr     x11
        CHANGE_FLAGS x20, and, 0xffffffef
        mov     sp, x29
        .cfi_def_cfa_register sp
        ldr     x20, [sp, #16]
        .cfi_restore x20
        POP_LINK 16
        ret
END weft_call_on_system_stack

// void weft_uncollected(function, a, b): calls raw C# in place. Collections are shut out: nothing moves.
FUNCTION weft_uncollected
        PUSH_LINK 16
        stp     x20, x21, [sp, #16]
        .cfi_rel_offset x20, 16
        .cfi_rel_offset x21, 24
        mov     x9, x0
        mov     x0, x1
        mov     x1, x2
        CALL_UNCOLLECTED x9, 20, 21
        ldp     x20, x21, [sp, #16]
        .cfi_restore x20
        .cfi_restore x21
        POP_LINK 16
        ret
END weft_uncollected

// void weft_as_parked(function, a): calls raw C# with (sp, a), the caller's stack as it would lie if the
// caller parked here and sp were its saved sp. Collections are shut out: nothing moves.
FUNCTION weft_as_parked
        PUSH_SAVED
        mov     x9, x0
        mov     x0, sp
        CALL_UNCOLLECTED x9, 20, 21
        POP_SAVED
        ret
END weft_as_parked

// The text of dlopen's error stays on the thread where it failed. The base library takes it for granted: a
// goroutine that has changed threads since gets another text, not none.
FUNCTION __wrap_SystemNative_GetLoadLibraryError
        PUSH_LINK
        bl      __real_SystemNative_GetLoadLibraryError
        POP_LINK
        ADDRESS x1, unknown_error
        cmp     x0, #0
        csel    x0, x1, x0, eq
        ret
END __wrap_SystemNative_GetLoadLibraryError
        .section .rodata
unknown_error:
        .asciz  "the library cannot be loaded"
        .text

// The base library has loaded a library: C# looks whether that brought C++ into the process.
FUNCTION __wrap_SystemNative_LoadLibrary
        PUSH_LINK 16
        bl      __real_SystemNative_LoadLibrary
        HOOK    x9, LOADED_HOOK
        cbz     x9, 1f
        str     x0, [sp, #16]
        blr     x9
        ldr     x0, [sp, #16]
1:      POP_LINK 16
        ret
END __wrap_SystemNative_LoadLibrary

// void* weft_cxx_globals(void): __cxa_get_globals, where it is known at the link already; or 0.
        .weak   __cxa_get_globals
FUNCTION weft_cxx_globals
        adrp    x0, :got:__cxa_get_globals
        ldr     x0, [x0, #:got_lo12:__cxa_get_globals]
        ret
END weft_cxx_globals

// The collector asks for the roots on stacks: after the runtime's own, C# reports the parked ones.
#define SCAN_ROOTS(kind) kind##_ZN15GCToEEInterface11GcScanRootsEPFvPP6ObjectP11ScanContextjEiiS4_
FUNCTION SCAN_ROOTS(__wrap_)
        PUSH_LINK 32
        stp     x0, x3, [sp, #16]
        str     x1, [sp, #32]
        bl      SCAN_ROOTS(__real_)
        ldp     x0, x1, [sp, #16]
        ldr     x2, [sp, #32]
        POP_LINK 32
        HOOK    x9, ROOTS_HOOK
        cbz     x9, 1f
        br      x9                      // (report, scan context, generation)
1:      ret
END SCAN_ROOTS(__wrap_)

// The collector has marked what the roots lead to, but for what only finalizers will see: C# may ask what is
// marked, and mark more.
#define AFTER_ROOTS(kind) kind##_ZN15GCToEEInterface16AfterGcScanRootsEiiP11ScanContext
FUNCTION AFTER_ROOTS(__wrap_)
        PUSH_LINK 16
        stp     x2, x0, [sp, #16]
        bl      AFTER_ROOTS(__real_)
        ldp     x0, x1, [sp, #16]
        POP_LINK 16
        HOOK    x9, MARKED_HOOK
        cbz     x9, 1f
        br      x9                      // (scan context, generation)
1:      ret
END AFTER_ROOTS(__wrap_)
