// Where the code of a delegate begins. For names in the execution trace: a delegate's own MethodInfo needs
// metadata that most programs are published without, and allocates.
//
// NativeAOT's delegate has the code's address, and where that is a stub that drops the first argument, as for
// a static method, the method's own beside it. Of generic methods the address may be that of a pair, which
// bit 1 says, of which the first is the code.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class FunctionOf
{
    private const nint IsPair = 2;

    private static bool s_isOf11;

    /// <summary>Before the first is asked for. .NET 11 has another name for the address.</summary>
    internal static void Initialize(nint version) => s_isOf11 = version >= 11;

    /// <summary>For names only. Not on the JIT.</summary>
    internal static nint Code(Delegate function)
    {
        nint code = Extra(function);
        code = code != 0 ? code : s_isOf11 ? PointerOf11(function) : Pointer(function);
        return (code & IsPair) != 0 ? *(nint*)(code - IsPair) : code;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_functionPointer")]
    private static extern ref nint Pointer(Delegate function);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_methodPtr")]
    private static extern ref nint PointerOf11(Delegate function);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_extraFunctionPointerOrData")]
    private static extern ref nint Extra(Delegate function);
}
