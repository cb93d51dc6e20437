// Signals: every handler runs on the alternate stack; which signals the program has handlers for. arm64,
// AAPCS64 (Linux). README.md in this folder is the contract.

#include "abi.h"
#include "macros_arm64.h"

// Which signals the program has handlers for by .NET (PosixSignalRegistration, Console.CancelKeyPress): a
// byte for each. .NET's native code keeps such a table too, but to itself; and the handlers that are
// installed do not tell, because it installs some for its own use.
        .bss
signals_handled:
        .zero   128                     // By number, 1 to 64.
        .text

// int SystemNative_EnablePosixSignalHandling(signal): the first handler for it is registered.
FUNCTION __wrap_SystemNative_EnablePosixSignalHandling
        ADDRESS x9, signals_handled
        and     w10, w0, #127
        mov     w11, #1
        strb    w11, [x9, x10]
        b       __real_SystemNative_EnablePosixSignalHandling
END __wrap_SystemNative_EnablePosixSignalHandling

// void SystemNative_DisablePosixSignalHandling(signal): the last one is gone.
FUNCTION __wrap_SystemNative_DisablePosixSignalHandling
        ADDRESS x9, signals_handled
        and     w10, w0, #127
        strb    wzr, [x9, x10]
        b       __real_SystemNative_DisablePosixSignalHandling
END __wrap_SystemNative_DisablePosixSignalHandling

// byte* weft_signals_handled()
FUNCTION weft_signals_handled
        ADDRESS x0, signals_handled
        ret
END weft_signals_handled

// int sigaction(signal, action*, old*): every handler runs on the alternate stack, because the frame the
// kernel pushes does not fit on a goroutine's. glibc's struct: 152 bytes, flags at 136. SIGURG stays Weft's
// once it is: what the program installs is kept, and called for signals that are not ours
// (sched/Scheduler.Preempt.cs). Calls within this link come here by the linker's wrapping; those of shared
// libraries by the name sigaction, which they find in the program, or in libweft where that is linked, before
// glibc's.
#define SA_ONSTACK 0x08000000
#define SA_RESTART 0x10000000
#define EINVAL 22
#define SIGURG 23
#define ACTION_SIZE 152
        .bss
        .p2align 3
        .globl host_urgent_action
host_urgent_action:
        .zero   ACTION_SIZE
        .zero   8                       // Not 0 from when it takes the place of the kernel's.
        .text
FUNCTION __wrap_sigaction
        cmp     w0, #SIGURG
        b.ne    2f
        ADDRESS x8, host_urgent_action
        ldr     x9, [x8, #ACTION_SIZE]
        cbz     x9, 2f
        cbz     x2, 3f
        mov     x9, #0
4:      ldr     x10, [x8, x9]
        str     x10, [x2, x9]
        add     x9, x9, #8
        cmp     x9, #ACTION_SIZE
        b.lo    4b
3:      mov     w0, #0
        cbz     x1, 6f
        mov     x9, #(ACTION_SIZE - 8)
5:      ldr     x10, [x1, x9]           // The handler comes last: it is the first word.
        cbnz    x9, 8f
        dmb     ish
8:      str     x10, [x8, x9]
        subs    x9, x9, #8
        b.ge    5b
6:      ret
2:      cbz     x1, 7f
        PUSH_LINK 160
        mov     x9, #0
        add     x11, sp, #16
1:      ldr     x10, [x1, x9]
        str     x10, [x11, x9]
        add     x9, x9, #8
        cmp     x9, #ACTION_SIZE
        b.lo    1b
        ldr     w9, [x11, #136]
        orr     w9, w9, #SA_ONSTACK
        str     w9, [x11, #136]
        mov     x1, x11
        bl      __sigaction
        POP_LINK 160
        ret
7:      b       __sigaction
END __wrap_sigaction

WEAK sigaction
        b       __wrap_sigaction
END sigaction

// handler signal(signal, handler), by way of it: glibc's own calls its own. As there: calls of the system
// that it interrupts begin again, and the signal itself is blocked meanwhile.
#define NEW_ACTION 16
#define OLD_ACTION (NEW_ACTION + 160)
WEAK signal
        cmn     x1, #1
        b.eq    1f
        sub     w9, w0, #1
        cmp     w9, #63
        b.hi    1f
        PUSH_LINK 320
        mov     x11, #0
2:      add     x12, sp, x11
        str     xzr, [x12, #NEW_ACTION]
        add     x11, x11, #8
        cmp     x11, #ACTION_SIZE
        b.lo    2b
        mov     x10, #1
        lsl     x10, x10, x9
        stp     x1, x10, [sp, #NEW_ACTION]
        mov     w10, #SA_RESTART
        str     w10, [sp, #(NEW_ACTION + 136)]
        add     x1, sp, #NEW_ACTION
        add     x2, sp, #OLD_ACTION
        bl      __wrap_sigaction
        ldr     x9, [sp, #OLD_ACTION]
        cmp     w0, #0
        mov     x0, #-1                 // SIG_ERR
        csel    x0, x9, x0, ge
        POP_LINK 320
        ret
1:      PUSH_LINK
        bl      __errno_location
        mov     w9, #EINVAL
        str     w9, [x0]
        mov     x0, #-1
        POP_LINK
        ret
END signal
