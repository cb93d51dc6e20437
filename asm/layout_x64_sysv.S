// What this build assumes, in tables, for the check at the start and for a debugger: x86-64, System V ABI
// (Linux). README.md in this folder is the contract.

#include "abi.h"
#include "context.h"
#include "runtime_x64.h"
#include "macros_x64.h"

// What a debugger needs to find the goroutines without debug information (native/weft-gdb.py): the version of
// this table, where the slots are, the address of how many there are, where weft_tls is from %fs. C# fills
// the two in the middle, weft_layout the last.
        .data
        .p2align 3
        .globl weft_gdb
        .type weft_gdb, @object
        .size weft_gdb, 32
weft_gdb:
gdb_table:                              // The same; an exported name is not to be referred to directly.
        .quad   2, 0, 0, 0

// The numbers this file was built with and the code it relies on, for the start-up check
// (stack/RuntimeThread.cs): offsets first, then addresses of runtime functions that show them.
        .section .data.rel.ro, "aw", @progbits
        .p2align 3
weft_layout_table:
        .quad   CTX_SP, CTX_RESERVE_LOW, CTX_EXINFO, CTX_STATICS, CTX_INLINED, CTX_GCFRAMES
        .quad   CTX_NATIVE_DEPTH, M_BOUNDS_LOW, M_BOUNDS_HIGH
        .quad   M_NATIVE_COUNT, M_RETAKE, M_STOP_ASKED, M_CXX, M_ALLOCATES, M_SHORT_COUNT
        .quad   G_NO_PREEMPT, G_REASON, G_NATIVE_FLOAT, G_DOTNET_WAIT_WORD
        .quad   G_CXX_CAUGHT, G_CXX_UNCAUGHT
        .quad   REASON_NATIVE, REASON_PREEMPTED
        .quad   M_LOCKED, G_LOCKED, G_WAITER, G_LINE_IN_USE, G_WAITER_IS_QUEUED
        .quad   THREAD_FLAGS, THREAD_FRAME, THREAD_DEFERRED, THREAD_CACHED
        .quad   THREAD_HIJACK_SLOT, THREAD_HIJACK_VALUE, THREAD_EXINFO
        .quad   THREAD_STATICS, THREAD_INLINED_LIST, THREAD_GCFRAMES
        .quad   THREAD_BOUNDS_LOW, THREAD_BOUNDS_HIGH, THREAD_INTERRUPTED
        .quad   THREAD_NO_GC, THREAD_ATTACHED, TRAP_THREADS, WEFT_DOTNET
        .quad   ITERATOR_PC, ITERATOR_SP, RUNTIME_CONSERVATIVE, 6
        .quad   ITERATOR_R15, ITERATOR_R14, ITERATOR_R13, ITERATOR_R12, ITERATOR_RBX, ITERATOR_RBP
        .quad   0, 0, 0, 0, 0, 0
        .quad   __real_RhpReversePInvoke
        .quad   _ZN6Thread20EnablePreemptiveModeEv, _ZN6Thread26ResetCachedTransitionFrameEv
        .quad   _ZN6Thread12GetCurExInfoEv, _ZN6Thread9ConstructEv, RhRegisterForGCReporting
        .quad   RhGetThreadStaticStorage, RhRegisterInlinedThreadStaticRoot
        .quad   g_lowest_address, g_highest_address
        .quad   RhpStackProbe
        .quad   __start___managedcode, __stop___managedcode
        .quad   weft_preempt, weft_vector_size
        .quad   _ZN6Thread13InlineSuspendEP14NATIVE_CONTEXT
        .quad   host_urgent_action
        .quad   gdb_table
        .quad   RhpTrapThreads
        .quad   weft_preempt_native
        .quad   _ZN3WKS6GCHeap7PromoteEPP6ObjectP11ScanContextj
        .quad   _ZN3WKS6GCHeap11IsPromoted2EP6Objectb
        .quad   _ZN3WKS7gc_heap16drain_mark_queueEv
        .quad   _ZN3WKS7gc_heap22scan_dependent_handlesEiP11ScanContexti
        .quad   _Z18Ref_UpdatePointersjjP11ScanContextPFvPP6ObjectS0_jE
        .quad   _Z37Ref_ScanDependentHandlesForRelocationjjP11ScanContextPFvPP6ObjectS0_jE
        .quad   g_theGCHeap
        .quad   _ZN3WKS7gc_heap14finalize_queueE
        .quad   _ZN3WKS9CFinalize11GcScanRootsEPFvPP6ObjectP11ScanContextjEiS5_
        .quad   _ZN3WKS9CFinalize10InitializeEv
        .quad   _ZN18StackFrameIteratorC1EP6ThreadP22PInvokeTransitionFrame
        .quad   _ZN6Thread17GcScanRootsWorkerEPFvPP6ObjectP11ScanContextjES4_R18StackFrameIterator
        .quad   _ZN18StackFrameIterator4NextEv
        .quad   _ZN18StackFrameIterator27CalculateCurrentMethodStateEv
        .quad   _ZN18StackFrameIterator7IsValidEv
        .quad   _ZN18StackFrameIterator35HasStackRangeToReportConservativelyEv
        .quad   _Z18GetRuntimeInstancev
        // Of the server collector only where that is linked.
        .weak   _ZN3SVR7gc_heap31map_region_to_generation_skewedE
        .weak   _ZN3SVR7gc_heap20min_segment_size_shrE
        .weak   _ZN3SVR7gc_heap29bookkeeping_covered_committedE
        .quad   _ZN3WKS7gc_heap31map_region_to_generation_skewedE
        .quad   _ZN3WKS7gc_heap20min_segment_size_shrE
        .quad   _ZN3WKS7gc_heap29bookkeeping_covered_committedE
        .quad   _ZN3SVR7gc_heap31map_region_to_generation_skewedE
        .quad   _ZN3SVR7gc_heap20min_segment_size_shrE
        .quad   _ZN3SVR7gc_heap29bookkeeping_covered_committedE

FUNCTION weft_layout
        mov     weft_tls@gottpoff(%rip), %rcx
        mov     %rcx, gdb_table + 24(%rip)
        lea     weft_layout_table(%rip), %rax
        ret
END weft_layout

// void** weft_hook_table(void): where C# stores the addresses that the hooks above call.
FUNCTION weft_hook_table
        lea     weft_hooks(%rip), %rax
        ret
END weft_hook_table
