// What the fixes have in common: each is a function from a document, and the node that a warning points at,
// to the document as it should be; null where there is no obvious fix.
//
// Many at once are done one after the other, each on what the one before it has left: two of them may put a
// local of the same name into one block. Rejected: BatchFixer, which computes each on the first document and
// merges the texts.

using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Formatting;

namespace Weft.CodeFixes;

public abstract class WeftFix : CodeFixProvider
{
    /// <summary>What an editor calls it.</summary>
    private protected abstract string Title { get; }

    public sealed override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        SyntaxNode? root = await context.Document.GetSyntaxRootAsync(context.CancellationToken)
            .ConfigureAwait(false);
        foreach (Diagnostic diagnostic in context.Diagnostics)
        {
            SyntaxNode? node = root?.FindNode(diagnostic.Location.SourceSpan, getInnermostNodeForTie: true);
            Document? done = node is null ? null
                : await Fix(context.Document, node, context.CancellationToken).ConfigureAwait(false);
            if (done is not null)
            {
                context.RegisterCodeFix(
                    CodeAction.Create(Title, _ => Task.FromResult(done), GetType().Name), diagnostic);
            }
        }
    }

    public sealed override FixAllProvider GetFixAllProvider() => FixAllProvider.Create(
        async (context, document, diagnostics) =>
        {
            CancellationToken cancellation = context.CancellationToken;
            SyntaxNode? root = await document.GetSyntaxRootAsync(cancellation).ConfigureAwait(false);
            if (root is null)
            {
                return document;
            }
            List<SyntaxNode> nodes = [.. diagnostics.Select(
                found => root.FindNode(found.Location.SourceSpan, getInnermostNodeForTie: true))];
            document = document.WithSyntaxRoot(root.TrackNodes(nodes));
            foreach (SyntaxNode node in nodes)
            {
                root = await document.GetSyntaxRootAsync(cancellation).ConfigureAwait(false);
                if (root?.GetCurrentNode(node) is { } current)
                {
                    document = await Fix(document, current, cancellation).ConfigureAwait(false) ?? document;
                }
            }
            return document;
        });

    private protected abstract Task<Document?> Fix(
        Document document, SyntaxNode node, CancellationToken cancellation);

    /// <summary>The call that has this function as an argument.</summary>
    private protected static InvocationExpressionSyntax? CallWith(SyntaxNode? function) =>
        function?.Parent is ArgumentSyntax { Parent.Parent: InvocationExpressionSyntax call } ? call : null;

    /// <summary>Puts one more statement before that one, in braces with it where it stands alone.</summary>
    private protected static SyntaxNode InsertBefore(
        SyntaxNode root, StatementSyntax statement, StatementSyntax added)
    {
        // As lines end in this file.
        SyntaxTrivia end = root.DescendantTrivia().FirstOrDefault(
            trivia => trivia.IsKind(SyntaxKind.EndOfLineTrivia));
        added = added.WithTrailingTrivia(end == default ? SyntaxFactory.ElasticLineFeed : end)
            .WithAdditionalAnnotations(Formatter.Annotation);
        return statement.Parent switch
        {
            BlockSyntax or SwitchSectionSyntax => root.InsertNodesBefore(statement, [added]),
            GlobalStatementSyntax global =>
                root.InsertNodesBefore(global, [SyntaxFactory.GlobalStatement(added)]),
            _ => root.ReplaceNode(
                statement,
                SyntaxFactory.Block(added, statement).WithAdditionalAnnotations(Formatter.Annotation)),
        };
    }
}
