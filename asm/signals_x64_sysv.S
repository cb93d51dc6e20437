// Which signals the program has handlers for by .NET (PosixSignalRegistration, Console.CancelKeyPress): a
// byte for each. .NET's native code keeps such a table too, but to itself; and the handlers that are
// installed do not tell, because it installs some for its own use.

#include "abi.h"

        .bss
signals_handled:
        .zero   128                     // By number, 1 to 64.
        .text

// int SystemNative_EnablePosixSignalHandling(signal): the first handler for it is registered.
FUNCTION __wrap_SystemNative_EnablePosixSignalHandling
        lea     signals_handled(%rip), %rax
        mov     %edi, %ecx
        and     $127, %ecx
        movb    $1, (%rax,%rcx)
        jmp     __real_SystemNative_EnablePosixSignalHandling
END __wrap_SystemNative_EnablePosixSignalHandling

// void SystemNative_DisablePosixSignalHandling(signal): the last one is gone.
FUNCTION __wrap_SystemNative_DisablePosixSignalHandling
        lea     signals_handled(%rip), %rax
        mov     %edi, %ecx
        and     $127, %ecx
        movb    $0, (%rax,%rcx)
        jmp     __real_SystemNative_DisablePosixSignalHandling
END __wrap_SystemNative_DisablePosixSignalHandling

// byte* weft_signals_handled()
FUNCTION weft_signals_handled
        lea     signals_handled(%rip), %rax
        ret
END weft_signals_handled
