// NativeAOT's Thread on x64, and its iterator of frames: the one table of what Weft reads and writes there,
// for each major version of .NET. The build says which (runtime/build/Weft.targets); C# takes the numbers
// from the assembly's table, and the start-up check compares them with the machine code of the runtime
// (stack/RuntimeThread.cs and stack/FrameWalk.cs, which say what each field is). tests/runtimes.sh compares a
// new version's debug information with this file.

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
#define THREAD_EXINFO       0x78

#if WEFT_DOTNET == 10
#define THREAD_STATICS      0x90
#define THREAD_INLINED_LIST 0x98
#define THREAD_GCFRAMES     0xa0
#define THREAD_BOUNDS_LOW   0xa8
#define THREAD_BOUNDS_HIGH  0xb0
#define THREAD_INTERRUPTED  0xc8
#define THREAD_SIZE         0xd0    // of all of it
#define TRAP_THREADS        0x02    // bit of RhpTrapThreads: threads are to stop
#define RUNTIME_CONSERVATIVE 0x38   // of the RuntimeInstance: not 0 where it scans all stacks word by word
#elif WEFT_DOTNET == 11
#define THREAD_STATICS      0x88
#define THREAD_INLINED_LIST 0x90
#define THREAD_GCFRAMES     0x98
#define THREAD_BOUNDS_LOW   0xa0
#define THREAD_BOUNDS_HIGH  0xa8
#define THREAD_INTERRUPTED  0xc0
#define THREAD_SIZE         0xc8
#define TRAP_THREADS        0x01
#define RUNTIME_CONSERVATIVE 0x30
#else
#error "no table for this major version of .NET"
#endif

#define THREAD_NO_GC        0x10    // flag: the runtime must not stop this thread for a collection
#define THREAD_ATTACHED     0x01    // flag: the runtime knows this thread

// The iterator: where it keeps the addresses of the words that hold registers. The same in all versions so
// far.
#define ITERATOR_PC         0x18    // 0 behind the last frame
#define ITERATOR_RBX        0x38
#define ITERATOR_RBP        0x40
#define ITERATOR_R12        0x78
#define ITERATOR_R13        0x80
#define ITERATOR_R14        0x88
#define ITERATOR_R15        0x90
#define ITERATOR_SP         0x98    // the value itself
