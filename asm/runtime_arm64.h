// NativeAOT's Thread on arm64, and its iterator of frames: as runtime_x64.h. .NET 10 has the fields of the
// Thread where x64 has them; .NET 11 has one more, for the stack pointer that signs a hijacked return
// address.

#ifndef WEFT_DOTNET
#error "WEFT_DOTNET is the major version of the .NET runtime that the program is linked with"
#endif

// The same in all versions so far.
#define THREAD_FLAGS        0x40
#define THREAD_FRAME        0x48
#define THREAD_DEFERRED     0x50
#define THREAD_CACHED       0x58
#define THREAD_HIJACK_SLOT  0x68
#define THREAD_HIJACK_VALUE 0x70
#define THREAD_STATICS      0x90
#define THREAD_INLINED_LIST 0x98
#define THREAD_GCFRAMES     0xa0
#define THREAD_BOUNDS_LOW   0xa8
#define THREAD_BOUNDS_HIGH  0xb0
#define THREAD_INTERRUPTED  0xc8
#define THREAD_SIZE         0xd0    // of all of it

#if WEFT_DOTNET == 10
#define THREAD_EXINFO       0x78
#define TRAP_THREADS        0x02    // bit of RhpTrapThreads: threads are to stop
#define RUNTIME_CONSERVATIVE 0x38   // of the RuntimeInstance: not 0 where it scans all stacks word by word
#elif WEFT_DOTNET == 11
#define THREAD_EXINFO       0x80
#define TRAP_THREADS        0x01
#define RUNTIME_CONSERVATIVE 0x30
#else
#error "no table for this major version of .NET"
#endif

#define THREAD_NO_GC        0x10    // flag: the runtime must not stop this thread for a collection
#define THREAD_ATTACHED     0x01    // flag: the runtime knows this thread

// The iterator: where it keeps the addresses of the words that hold registers, and the stack pointer.
#define ITERATOR_PC         0x18    // 0 behind the last frame
#define ITERATOR_X19        0xb8    // x19 to x28, x29 and x30 follow one another
#define ITERATOR_SP         0x118   // the value itself
