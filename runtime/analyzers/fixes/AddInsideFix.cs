// WEFT107: the call of Add goes out of the function, before the statement that starts it.

using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Weft.CodeFixes;

[ExportCodeFixProvider(LanguageNames.CSharp, Name = nameof(AddInsideFix)), Shared]
public sealed class AddInsideFix : WeftFix
{
    public override ImmutableArray<string> FixableDiagnosticIds => ["WEFT107"];

    private protected override string Title => "Add before it starts";

    private protected override SyntaxNode? Fix(
        SyntaxNode root, SemanticModel model, SyntaxNode node, CancellationToken cancellation)
    {
        if (node.FirstAncestorOrSelf<ExpressionStatementSyntax>() is not { Parent: BlockSyntax body } add
            || body.Parent is not AnonymousFunctionExpressionSyntax function
            || CallWith(function)?.FirstAncestorOrSelf<StatementSyntax>() is not { } start
            || UsesParameters(add, function, model, cancellation))
        {
            return null;
        }
        SyntaxAnnotation mark = new();
        StatementSyntax changed = start.RemoveNode(add, SyntaxRemoveOptions.KeepNoTrivia)!;
        root = root.ReplaceNode(start, changed.WithAdditionalAnnotations(mark));
        return InsertBefore(
            root, (StatementSyntax)root.GetAnnotatedNodes(mark).Single(), add.WithoutLeadingTrivia());
    }

    // Of the function itself, which are nothing outside.
    private static bool UsesParameters(
        SyntaxNode add, SyntaxNode function, SemanticModel model, CancellationToken cancellation) =>
        add.DescendantNodes().OfType<IdentifierNameSyntax>().Any(name =>
            model.GetSymbolInfo(name, cancellation).Symbol is IParameterSymbol parameter
            && parameter.ContainingSymbol.DeclaringSyntaxReferences.Any(made => made.Span == function.Span));
}
