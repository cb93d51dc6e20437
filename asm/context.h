// The offsets of Weft's own structs that the assembly of all processors shares with C#. C# declares the same
// numbers in core/Context.cs; `weft_layout` lets the start-up check compare.

// Weft's own: the head of Goroutine and of Machine (core/Context.cs).
#define CTX_SP              0x00    // saved stack pointer; non-zero exactly while the stack is not run
#define CTX_RESERVE_LOW     0x08    // lowest address a reserve check may reach; 0 for fixed stacks
#define CTX_EXINFO          0x10    // exceptions in flight
#define CTX_STATICS         0x18    // thread statics, dynamic storage (GC reference)
#define CTX_INLINED         0x20    // thread statics, inlined storage (GC reference)
#define CTX_GCFRAMES        0x28    // registered GC frames
#define CTX_NATIVE_DEPTH    0x30    // native frames' entries into managed code on this stack

// Machine and Goroutine, behind it (core/Machine.cs, core/Goroutine.cs).
#define M_BOUNDS_LOW        0x38    // what EnsureSufficientExecutionStack is told of the system stack
#define M_BOUNDS_HIGH       0x40
#define M_NATIVE_COUNT      0x48    // odd while the goroutine it runs is in native code
#define M_RETAKE            0x4c    // not 0 when somebody takes, or has taken, the processor away
#define M_STOP_ASKED        0x4d    // not 0 when what runs is to stop; read with M_RETAKE, as one word
#define G_NO_PREEMPT        0x43    // a byte; not 0 while it must not be stopped in the middle
#define LOCKED_MOST         32767
#define M_LOCKED            0x88    // the goroutine that alone runs on it
#define G_LOCKED            0x44    // two bytes; how often it has been locked to its machine
#define M_CXX               0x90    // this thread's words of __cxa_get_globals; 0: not asked for yet
#define M_ALLOCATES         0x98    // not 0 while its goroutine is in the slow path of an allocation
#define M_SHORT_COUNT       0xa0    // its count in a native call that has said that it does not block
#define ALLOCATES           1
#define ALLOCATES_WAITS     2       // and waits there
#define ALLOCATES_WAITED    3       // and has
#define G_REASON            0x42    // a byte; why it stops
#define G_NATIVE_FLOAT      0xb0    // of native code that waits: mxcsr; fpcr
#define G_NATIVE_KEPT       (G_NATIVE_FLOAT + 4) // two bytes; its x87 control word, or 1; 0: in force
#define G_DOTNET_WAIT_WORD  0xb8    // its wait in the base library, counted: waits.c
#define G_WAITER            0xc0    // its place in a queue,
#define G_WAITER_IS_QUEUED  (G_WAITER + 58) // a byte,
#define G_LINE_IN_USE       0xb7    // a byte; not 0 while another wait has that, or an argument
#define G_CXX_CAUGHT        0x70    // what of them is the goroutine's, while it does not run
#define G_CXX_UNCAUGHT      0x34    // four bytes
#define REASON_NATIVE       100     // ParkReason.NativeReturn
#define REASON_PREEMPTED    101     // ParkReason.Preempted

// Weft's thread-local words, below weft_tls.
#define TLS_GOROUTINE       0       // whose stack this thread runs on; 0 on a system stack
#define TLS_MACHINE         8       // the Machine of this thread; 0 on a thread that is none
#define TLS_CRITICAL        16      // how many reasons there are not to preempt what runs here
#define TLS_ENDING          20      // which round of its end the thread is in (thread_x64_sysv.S); 0: none

// From how many bytes on what fills or copies memory looks afterwards whether its goroutine is to stop. The
// base library has references copied 16 KB at a time.
#define LONG_MEMORY         (32 * 1024)
#define LONG_REFERENCES     (8 * 1024)

// Stack that must be free before native code runs, and before an exception is dispatched.
#define NATIVE_RESERVE      (256 * 1024)
#define THROW_RESERVE       (16 * 1024)
