// What the fixes have in common: each is a function from a file's tree, and the node that a warning points
// at, to the tree as it should be; null where there is no obvious fix.
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
        SyntaxNode root = await RootOf(context.Document, context.CancellationToken).ConfigureAwait(false);
        foreach (Diagnostic diagnostic in context.Diagnostics)
        {
            SyntaxNode node = NodeAt(root, diagnostic);
            Document? done = await Fix(context.Document, root, node, context.CancellationToken)
                .ConfigureAwait(false);
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
            SyntaxNode root = await RootOf(document, cancellation).ConfigureAwait(false);
            List<SyntaxNode> nodes = [.. diagnostics.Select(found => NodeAt(root, found))];
            document = document.WithSyntaxRoot(root.TrackNodes(nodes));
            foreach (SyntaxNode node in nodes)
            {
                root = await RootOf(document, cancellation).ConfigureAwait(false);
                if (root.GetCurrentNode(node) is { } current)
                {
                    document = await Fix(document, root, current, cancellation).ConfigureAwait(false)
                        ?? document;
                }
            }
            return document;
        });

    /// <summary>What becomes of the tree, whose meaning the model tells.</summary>
    private protected abstract SyntaxNode? Fix(
        SyntaxNode root, SemanticModel model, SyntaxNode node, CancellationToken cancellation);

    private async Task<Document?> Fix(
        Document document, SyntaxNode root, SyntaxNode node, CancellationToken cancellation)
    {
        SemanticModel model = (await document.GetSemanticModelAsync(cancellation).ConfigureAwait(false))!;
        return Fix(root, model, node, cancellation) is { } changed ? document.WithSyntaxRoot(changed) : null;
    }

    // A file of C# has a tree and a model.
    private static async Task<SyntaxNode> RootOf(Document document, CancellationToken cancellation) =>
        (await document.GetSyntaxRootAsync(cancellation).ConfigureAwait(false))!;

    private static SyntaxNode NodeAt(SyntaxNode root, Diagnostic diagnostic) =>
        root.FindNode(diagnostic.Location.SourceSpan, getInnermostNodeForTie: true);

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
