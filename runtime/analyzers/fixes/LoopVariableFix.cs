// WEFT103: a local of each round, declared before the statement that starts the goroutine, which has the
// variable's value.

using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Weft.CodeFixes;

[ExportCodeFixProvider(LanguageNames.CSharp, Name = nameof(LoopVariableFix)), Shared]
public sealed class LoopVariableFix : WeftFix
{
    public override ImmutableArray<string> FixableDiagnosticIds => ["WEFT103"];

    private protected override string Title => "Copy it to a local";

    private protected override SyntaxNode? Fix(
        SyntaxNode root, SemanticModel model, SyntaxNode node, CancellationToken cancellation)
    {
        if (model.GetSymbolInfo(node, cancellation).Symbol is not ILocalSymbol variable
            || node.Ancestors().OfType<AnonymousFunctionExpressionSyntax>().FirstOrDefault(IsStarted)
                is not { } lambda
            || CallWith(lambda)?.FirstAncestorOrSelf<StatementSyntax>() is not { } statement)
        {
            return null;
        }
        string name = NewName(statement, variable.Name);
        string type = variable.Type.ToMinimalDisplayString(model, statement.SpanStart);
        List<IdentifierNameSyntax> uses = [.. lambda.DescendantNodes().OfType<IdentifierNameSyntax>().Where(
            use => SymbolEqualityComparer.Default.Equals(
                model.GetSymbolInfo(use, cancellation).Symbol, variable))];
        StatementSyntax changed = statement.ReplaceNodes(
            uses, (use, _) => SyntaxFactory.IdentifierName(name).WithTriviaFrom(use));
        SyntaxAnnotation mark = new();
        root = root.ReplaceNode(statement, changed.WithAdditionalAnnotations(mark));
        return InsertBefore(
            root,
            (StatementSyntax)root.GetAnnotatedNodes(mark).Single(),
            SyntaxFactory.ParseStatement($"{type} {name} = {variable.Name};"));
    }

    private static bool IsStarted(AnonymousFunctionExpressionSyntax function) =>
        CallWith(function)?.Expression is MemberAccessExpressionSyntax
        {
            Name.Identifier.Text: "Run" or "RunAsync" or "Go" or "TryGo",
        };

    // Nothing in the member is called that.
    private static string NewName(SyntaxNode statement, string name)
    {
        SyntaxNode member = statement.FirstAncestorOrSelf<MemberDeclarationSyntax>(
            inner => inner is not GlobalStatementSyntax) ?? statement.SyntaxTree.GetRoot();
        HashSet<string> taken = [.. member.DescendantTokens().Select(token => token.Text)];
        string wanted = name + "Copy";
        string free = wanted;
        for (int i = 2; taken.Contains(free); i++)
        {
            free = wanted + i;
        }
        return free;
    }
}
