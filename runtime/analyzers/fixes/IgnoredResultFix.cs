// WEFT102: `_ =` before the call says that its result is of no interest.

using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Formatting;

namespace Weft.CodeFixes;

[ExportCodeFixProvider(LanguageNames.CSharp, Name = nameof(IgnoredResultFix)), Shared]
public sealed class IgnoredResultFix : WeftFix
{
    public override ImmutableArray<string> FixableDiagnosticIds => ["WEFT102"];

    private protected override string Title => "Drop the result by '_ ='";

    private protected override SyntaxNode? Fix(
        SyntaxNode root, SemanticModel model, SyntaxNode node, CancellationToken cancellation)
    {
        if (node.FirstAncestorOrSelf<ExpressionStatementSyntax>() is not { } statement)
        {
            return null;
        }
        ExpressionSyntax dropped = SyntaxFactory.AssignmentExpression(
            SyntaxKind.SimpleAssignmentExpression,
            SyntaxFactory.IdentifierName("_"),
            statement.Expression.WithoutLeadingTrivia());
        return root.ReplaceNode(
            statement.Expression,
            dropped.WithLeadingTrivia(statement.Expression.GetLeadingTrivia())
                .WithAdditionalAnnotations(Formatter.Annotation));
    }
}
