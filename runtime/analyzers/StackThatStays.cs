// Whether a piece of code runs on a stack that never moves, as far as that can be seen from where it stands:
// in a function that is given to Go.Run with a fixed stack, in one of another thread, in Main.

using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Weft.Analyzers;

internal sealed class StackThatStays(WeftTypes weft, SemanticModel model, CancellationToken cancellation)
{
    /// <param name="code">Some code, whose own function counts.</param>
    internal bool IsBelow(SyntaxNode code)
    {
        bool inFunction = false;
        for (SyntaxNode? node = code; node is not null; node = node.Parent)
        {
            switch (node)
            {
                case AnonymousFunctionExpressionSyntax when node != code:
                    if (Stays(node) is { } stays)
                    {
                        return stays;
                    }
                    inFunction = true;
                    break;
                case LocalFunctionStatementSyntax:
                    if (IsOnlyGivenToFixedStacks(node, node.Parent!))
                    {
                        return true;
                    }
                    inFunction = true;
                    break;
                case MethodDeclarationSyntax method:
                    return (!inFunction && IsMain(node)) || (IsPrivate(method)
                        && method.Parent is TypeDeclarationSyntax type
                        && !type.Modifiers.Any(SyntaxKind.PartialKeyword)
                        && IsOnlyGivenToFixedStacks(method, type));
                case CompilationUnitSyntax:
                    return !inFunction;
            }
        }
        return false;
    }

    /// <summary>What the call that a function is given to says; null where it says nothing.</summary>
    private bool? Stays(SyntaxNode function)
    {
        if (function.Parent is not ArgumentSyntax { Parent.Parent: { } call })
        {
            return null;
        }
        IMethodSymbol? method = model.GetSymbolInfo(call, cancellation).Symbol as IMethodSymbol;
        if (method is null)
        {
            return null;
        }
        if (weft.IsGoRun(method) && call is InvocationExpressionSyntax run)
        {
            return run.ArgumentList.Arguments.Any(argument => WeftTypes.Is(
                model.GetTypeInfo(argument.Expression, cancellation).ConvertedType, weft.StackOptionsType)
                && !IsMovable(argument.Expression));
        }
        if (weft.IsOnSystemStack(method) || method.ContainingType.Name is "Thread" or "ThreadPool")
        {
            return true;
        }
        return weft.Starts(method) ? false : null;
    }

    private static bool IsMovable(ExpressionSyntax options) =>
        options.IsKind(SyntaxKind.DefaultLiteralExpression)
        || options is DefaultExpressionSyntax
            or MemberAccessExpressionSyntax { Name.Identifier.Text: "Movable" };

    // Each use of the function's name is an argument of such a call.
    private bool IsOnlyGivenToFixedStacks(SyntaxNode function, SyntaxNode scope)
    {
        ISymbol? symbol = model.GetDeclaredSymbol(function, cancellation);
        List<SyntaxNode> uses = [.. scope.DescendantNodes().OfType<IdentifierNameSyntax>()
            .Where(name => name.Identifier.Text == symbol?.Name)
            .Where(name => SymbolEqualityComparer.Default.Equals(
                model.GetSymbolInfo(name, cancellation).Symbol, symbol))];
        return uses.Count > 0 && uses.All(use => Stays(use) == true);
    }

    private bool IsMain(SyntaxNode method) => SymbolEqualityComparer.Default.Equals(
        model.Compilation.GetEntryPoint(cancellation), model.GetDeclaredSymbol(method, cancellation));

    private static bool IsPrivate(MethodDeclarationSyntax method) =>
        !method.Modifiers.Any(modifier => modifier.IsKind(SyntaxKind.PublicKeyword)
            || modifier.IsKind(SyntaxKind.InternalKeyword) || modifier.IsKind(SyntaxKind.ProtectedKeyword));
}
