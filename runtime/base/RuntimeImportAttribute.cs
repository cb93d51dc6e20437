// The attribute by which NativeAOT's compiler binds an extern method to a symbol of the link, called
// directly: no transition, no GC poll. The compiler knows it by name only, so this one of our own works.
// A DllImport, even with SuppressGCTransition, polls for the GC: fatal in a signal handler.

namespace System.Runtime;

[AttributeUsage(AttributeTargets.Method | AttributeTargets.Constructor)]
internal sealed class RuntimeImportAttribute(string library, string entryPoint) : Attribute
{
    public string Library { get; } = library;

    public string EntryPoint { get; } = entryPoint;
}
