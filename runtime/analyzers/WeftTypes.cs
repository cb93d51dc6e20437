// The types of Weft as the program that is compiled sees them, and what the rules ask about its calls.

using Microsoft.CodeAnalysis;

namespace Weft.Analyzers;

internal sealed class WeftTypes
{
    private readonly INamedTypeSymbol _go;

    private WeftTypes(Compilation compilation, INamedTypeSymbol go)
    {
        _go = go;
        HostType = compilation.GetTypeByMetadataName("Weft.WeftHost");
        StackOptionsType = compilation.GetTypeByMetadataName("Weft.StackOptions");
        ChanType = compilation.GetTypeByMetadataName("Weft.Chan`1");
        SendChanType = compilation.GetTypeByMetadataName("Weft.SendChan`1");
        SendCaseType = compilation.GetTypeByMetadataName("Weft.SendCase`1");
        SelectType = compilation.GetTypeByMetadataName("Weft.Select");
        ContextType = compilation.GetTypeByMetadataName("Weft.Context");
        WaitGroupType = compilation.GetTypeByMetadataName("Weft.WaitGroup");
        ErrGroupType = compilation.GetTypeByMetadataName("Weft.ErrGroup");
        GoScopeType = compilation.GetTypeByMetadataName("Weft.GoScope");
    }

    internal INamedTypeSymbol? HostType { get; }
    internal INamedTypeSymbol? StackOptionsType { get; }
    internal INamedTypeSymbol? ChanType { get; }
    internal INamedTypeSymbol? SendChanType { get; }
    internal INamedTypeSymbol? SendCaseType { get; }
    internal INamedTypeSymbol? SelectType { get; }
    internal INamedTypeSymbol? ContextType { get; }
    internal INamedTypeSymbol? WaitGroupType { get; }
    internal INamedTypeSymbol? ErrGroupType { get; }
    internal INamedTypeSymbol? GoScopeType { get; }

    /// <summary>Null where the program does not use Weft.</summary>
    internal static WeftTypes? Of(Compilation compilation) =>
        compilation.GetTypeByMetadataName("Weft.Go") is { } go ? new WeftTypes(compilation, go) : null;

    /// <summary>A method that runs what it is given in a goroutine.</summary>
    internal bool Starts(IMethodSymbol method) => method.Name switch
    {
        "Run" => Is(method.ContainingType, _go) || Is(method.ContainingType, HostType),
        "RunAsync" => Is(method.ContainingType, _go),
        "Go" or "TryGo" => Is(method.ContainingType, WaitGroupType)
            || Is(method.ContainingType, ErrGroupType)
            || Is(method.ContainingType, GoScopeType),
        _ => false,
    };

    internal bool IsGoRun(IMethodSymbol method) => method.Name == "Run" && Is(method.ContainingType, _go);

    internal bool IsOnSystemStack(IMethodSymbol method) =>
        method.Name == "OnSystemStack" && Is(method.ContainingType, _go);

    /// <summary>A channel of values, or its end for senders.</summary>
    internal bool IsChannelOf(ITypeSymbol? type) => Is(type, ChanType) || Is(type, SendChanType);

    /// <summary>Anything that Weft declares for its users.</summary>
    internal bool IsOurs(ITypeSymbol? type) =>
        SymbolEqualityComparer.Default.Equals(type?.ContainingAssembly, _go.ContainingAssembly)
        && type!.ContainingNamespace.ToDisplayString() == "Weft";

    internal static bool Is(ITypeSymbol? type, INamedTypeSymbol? wanted) =>
        wanted is not null && SymbolEqualityComparer.Default.Equals(type?.OriginalDefinition, wanted);
}
