// WEFT104: Go.Await in place of await, and the function is async no longer: its goroutine waits.

using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Formatting;

namespace Weft.CodeFixes;

[ExportCodeFixProvider(LanguageNames.CSharp, Name = nameof(AsyncVoidFix)), Shared]
public sealed class AsyncVoidFix : WeftFix
{
    public override ImmutableArray<string> FixableDiagnosticIds => ["WEFT104"];

    private protected override string Title => "Wait by Go.Await";

    private protected override SyntaxNode? Fix(
        SyntaxNode root, SemanticModel model, SyntaxNode node, CancellationToken cancellation)
    {
        if (node is not AnonymousFunctionExpressionSyntax function)
        {
            return null;
        }
        // Those of functions within are theirs.
        List<SyntaxNode> own = [.. function.DescendantNodes(
            inner => inner == function
                || inner is not (AnonymousFunctionExpressionSyntax or LocalFunctionStatementSyntax))];
        List<AwaitExpressionSyntax> awaits = [.. own.OfType<AwaitExpressionSyntax>()];
        if (own.Any(IsAsyncStatement) || awaits.Any(one => TaskOf(one, model, cancellation) is null))
        {
            return null;
        }
        string wait = NameOfAwait(model, function.SpanStart);
        AnonymousFunctionExpressionSyntax changed = function.ReplaceNodes(
            awaits, (old, one) => Waiting(one, wait, TaskOf(old, model, cancellation) == old.Expression));
        changed = changed.WithModifiers(
            [.. changed.Modifiers.Where(word => !word.IsKind(SyntaxKind.AsyncKeyword))]);
        return root.ReplaceNode(
            function,
            changed.WithLeadingTrivia(function.GetLeadingTrivia())
                .WithAdditionalAnnotations(Formatter.Annotation));
    }

    private static bool IsAsyncStatement(SyntaxNode node) => node switch
    {
        CommonForEachStatementSyntax loop => !loop.AwaitKeyword.IsKind(SyntaxKind.None),
        UsingStatementSyntax block => !block.AwaitKeyword.IsKind(SyntaxKind.None),
        LocalDeclarationStatementSyntax local => !local.AwaitKeyword.IsKind(SyntaxKind.None),
        _ => false,
    };

    private static InvocationExpressionSyntax Waiting(AwaitExpressionSyntax one, string wait, bool isTask)
    {
        ExpressionSyntax task = isTask ? one.Expression : Configured(one.Expression)!;
        return SyntaxFactory.InvocationExpression(
            SyntaxFactory.ParseExpression(wait),
            SyntaxFactory.ArgumentList([SyntaxFactory.Argument(task.WithoutTrivia())])).WithTriviaFrom(one);
    }

    /// <summary>What Go.Await can wait for: the operand, or what its ConfigureAwait was called on.</summary>
    private static ExpressionSyntax? TaskOf(
        AwaitExpressionSyntax one, SemanticModel model, CancellationToken cancellation)
    {
        ExpressionSyntax operand = Configured(one.Expression) ?? one.Expression;
        INamedTypeSymbol? type = model.GetTypeInfo(operand, cancellation).Type as INamedTypeSymbol;
        return type is { Name: "Task" or "ValueTask" }
            && type.ContainingNamespace.ToDisplayString() == "System.Threading.Tasks" ? operand : null;
    }

    private static ExpressionSyntax? Configured(ExpressionSyntax operand) =>
        operand is InvocationExpressionSyntax { Expression: MemberAccessExpressionSyntax method }
        && method.Name.Identifier.Text == "ConfigureAwait" ? method.Expression : null;

    private static string NameOfAwait(SemanticModel model, int position) =>
        model.LookupNamespacesAndTypes(position, name: "Go").Any(type => type.ToDisplayString() == "Weft.Go")
            ? "Go.Await" : "Weft.Go.Await";
}
