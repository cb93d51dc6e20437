// WEFT101: docs/WEFT101.md. What is said here is where an address may not go; what an address is, and what
// lies outside of the stack, is in StackAddresses.cs.
//
// Not said: an argument of a call, which is corrected as all that lies on the stack, and whether it is kept
// cannot be told; a result; what is written through a pointer that may point to the stack itself.

using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;

namespace Weft.Analyzers;

[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class StackAddressAnalyzer : WeftAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => [Rules.StackAddress];

    private protected override void Start(CompilationStartAnalysisContext context, WeftTypes weft) =>
        context.RegisterCodeBlockAction(block => Look(block, weft));

    private static void Look(CodeBlockAnalysisContext block, WeftTypes weft)
    {
        if (block.CodeBlock.DescendantNodes().Any(TakesAnAddress))
        {
            new Body(block, weft).Look();
        }
    }

    // Most code does not, and is not looked at twice.
    private static bool TakesAnAddress(SyntaxNode node) =>
        node.IsKind(SyntaxKind.AddressOfExpression)
        || node.IsKind(SyntaxKind.StackAllocArrayCreationExpression)
        || node.IsKind(SyntaxKind.ImplicitStackAllocArrayCreationExpression)
        || node.IsKind(SyntaxKind.FixedStatement)
        || node is IdentifierNameSyntax { Identifier.Text: "AsPointer" };

    private sealed class Body(CodeBlockAnalysisContext block, WeftTypes weft)
    {
        private readonly StackAddresses _addresses = new(
            block.SemanticModel, block.CodeBlock, block.CancellationToken);
        private readonly StackThatStays _stays = new(weft, block.SemanticModel, block.CancellationToken);

        internal void Look()
        {
            foreach (SyntaxNode node in block.CodeBlock.DescendantNodes())
            {
                switch (node)
                {
                    case AssignmentExpressionSyntax assignment:
                        LookAtAssignment(assignment);
                        break;
                    case InitializerExpressionSyntax initializer when IsKept(initializer):
                        foreach (ExpressionSyntax element in initializer.Expressions)
                        {
                            Look(element, initializer.IsKind(SyntaxKind.ArrayInitializerExpression)
                                ? "an array" : "a collection");
                        }
                        break;
                    case CollectionExpressionSyntax collection when IsObject(collection):
                        foreach (ExpressionElementSyntax element in
                            collection.Elements.OfType<ExpressionElementSyntax>())
                        {
                            Look(element.Expression, "a collection");
                        }
                        break;
                    case AnonymousObjectMemberDeclaratorSyntax member:
                        Look(member.Expression, "an object");
                        break;
                    case InvocationExpressionSyntax invocation:
                        LookAtCall(invocation);
                        break;
                    case AnonymousFunctionExpressionSyntax function:
                        LookAtCaptures(function);
                        break;
                    case LocalFunctionStatementSyntax function when IsUsedAsDelegate(function):
                        LookAtCaptures(function);
                        break;
                }
            }
        }

        private void LookAtAssignment(AssignmentExpressionSyntax assignment)
        {
            if (!assignment.IsKind(SyntaxKind.SimpleAssignmentExpression))
            {
                return;
            }
            bool outside = assignment.Parent is InitializerExpressionSyntax initializer
                ? initializer.Parent is BaseObjectCreationExpressionSyntax created && IsObject(created)
                : _addresses.IsOutside(assignment.Left);
            if (outside)
            {
                Look(assignment.Right, Name(assignment.Left));
            }
        }

        private void LookAtCall(InvocationExpressionSyntax invocation)
        {
            SeparatedSyntaxList<ArgumentSyntax> arguments = invocation.ArgumentList.Arguments;
            if (arguments.Count == 0 || _addresses.Symbol(invocation) is not IMethodSymbol method)
            {
                return;
            }
            if (weft.IsGoRun(method) && arguments.Count == 2)
            {
                Look(arguments[1].Expression, "the argument of another goroutine");
            }
            else if ((method.Name is "Send" or "TrySend" && weft.IsChannelOf(method.ContainingType))
                || WeftTypes.Is(method.ReturnType, weft.SendCaseType))
            {
                Look(arguments[0].Expression, "a channel");
            }
            else if (method.ContainingType.Name is "Volatile" or "Interlocked" && arguments.Count >= 2
                && _addresses.IsOutside(arguments[0].Expression))
            {
                Look(arguments[1].Expression, Name(arguments[0].Expression));
            }
        }

        // A lambda's variables lie in an object; so do those of a local function that is used as a delegate.
        // What is only assigned there is the assignment's matter.
        private void LookAtCaptures(SyntaxNode function)
        {
            foreach (ISymbol variable in _addresses.Captures(function))
            {
                IdentifierNameSyntax? use = function.DescendantNodes().OfType<IdentifierNameSyntax>()
                    .FirstOrDefault(name => !IsAssigned(name)
                        && SymbolEqualityComparer.Default.Equals(_addresses.Symbol(name), variable));
                if (use is not null)
                {
                    Look(use, "a variable of a lambda", function);
                }
            }
        }

        private static bool IsAssigned(IdentifierNameSyntax name) =>
            name.Parent is AssignmentExpressionSyntax assignment && assignment.Left == name
            && assignment.IsKind(SyntaxKind.SimpleAssignmentExpression);

        private bool IsUsedAsDelegate(LocalFunctionStatementSyntax function)
        {
            ISymbol? symbol = block.SemanticModel.GetDeclaredSymbol(function, block.CancellationToken);
            return block.CodeBlock.DescendantNodes().OfType<IdentifierNameSyntax>()
                .Where(name => name.Identifier.Text == symbol?.Name)
                .Any(name => name.Parent is not InvocationExpressionSyntax
                    && SymbolEqualityComparer.Default.Equals(_addresses.Symbol(name), symbol));
        }

        private void Look(ExpressionSyntax value, string place, SyntaxNode? function = null)
        {
            if (_addresses.IsAddress(value) && !_stays.IsBelow(function ?? value))
            {
                block.ReportDiagnostic(Diagnostic.Create(Rules.StackAddress, value.GetLocation(), place));
            }
        }

        private bool IsKept(InitializerExpressionSyntax initializer) =>
            initializer.IsKind(SyntaxKind.ArrayInitializerExpression)
                ? initializer.Parent is not StackAllocArrayCreationExpressionSyntax
                    and not ImplicitStackAllocArrayCreationExpressionSyntax
                : initializer.IsKind(SyntaxKind.CollectionInitializerExpression)
                    && initializer.Parent is ExpressionSyntax created && IsObject(created);

        private bool IsObject(ExpressionSyntax created) => block.SemanticModel.GetTypeInfo(
            created, block.CancellationToken).ConvertedType is { IsReferenceType: true };

        private static string Name(ExpressionSyntax place) => "'" + place.WithoutTrivia() + "'";
    }
}
