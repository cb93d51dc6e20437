// What is wrong with a function that is given to a goroutine: WEFT103, WEFT104, WEFT107 (docs/).

using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace Weft.Analyzers;

[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class GoroutineFunctionAnalyzer : WeftAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics =>
        [Rules.LoopVariable, Rules.AsyncVoid, Rules.AddInside];

    private protected override void Start(CompilationStartAnalysisContext context, WeftTypes weft) =>
        context.RegisterOperationAction(operation => Look(operation, weft), OperationKind.Invocation);

    private static void Look(OperationAnalysisContext context, WeftTypes weft)
    {
        IInvocationOperation call = (IInvocationOperation)context.Operation;
        if (!weft.Starts(call.TargetMethod))
        {
            return;
        }
        foreach (IArgumentOperation argument in call.Arguments)
        {
            if (argument.Value is not IDelegateCreationOperation { Target: { } function })
            {
                continue;
            }
            LookForAsyncVoid(context, call, function);
            if (function is IAnonymousFunctionOperation lambda)
            {
                if (!WeftTypes.Is(call.TargetMethod.ContainingType, weft.HostType))
                {
                    LookForLoopVariables(context, call, lambda);
                }
                LookForAdd(context, weft, lambda);
            }
        }
    }

    private static void LookForAsyncVoid(
        OperationAnalysisContext context, IInvocationOperation call, IOperation function)
    {
        IMethodSymbol? method = function switch
        {
            IAnonymousFunctionOperation lambda => lambda.Symbol,
            IMethodReferenceOperation reference => reference.Method,
            _ => null,
        };
        if (method is { IsAsync: true, ReturnsVoid: true })
        {
            Location location = function.Syntax is AnonymousFunctionExpressionSyntax written
                ? written.AsyncKeyword.GetLocation() : function.Syntax.GetLocation();
            string name = call.TargetMethod.ContainingType.Name + "." + call.TargetMethod.Name;
            context.ReportDiagnostic(Diagnostic.Create(Rules.AsyncVoid, location, name));
        }
    }

    private static void LookForLoopVariables(
        OperationAnalysisContext context, IInvocationOperation call, IAnonymousFunctionOperation lambda)
    {
        IEnumerable<IGrouping<ISymbol, ILocalReferenceOperation>> uses = lambda.Descendants()
            .OfType<ILocalReferenceOperation>()
            .GroupBy(use => (ISymbol)use.Local, SymbolEqualityComparer.Default);
        foreach (IGrouping<ISymbol, ILocalReferenceOperation> variable in uses)
        {
            SyntaxNode? declarator = variable.Key.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(
                context.CancellationToken);
            if (declarator?.Parent is VariableDeclarationSyntax { Parent: ForStatementSyntax loop }
                && loop.Statement.Span.Contains(lambda.Syntax.Span)
                && !IsOfOneRound(call, loop)
                && !WaitsInTheRound(lambda.Syntax, loop))
            {
                context.ReportDiagnostic(Diagnostic.Create(
                    Rules.LoopVariable, variable.First().Syntax.GetLocation(), variable.Key.Name));
            }
        }
    }

    // A group that each round makes anew is waited for in that round.
    private static bool IsOfOneRound(IInvocationOperation call, ForStatementSyntax loop) =>
        call.Instance is ILocalReferenceOperation { Local: var group }
        && group.DeclaringSyntaxReferences.Any(declared => loop.Statement.Span.Contains(declared.Span));

    // What waits after the start may well wait for this goroutine, before the variable changes.
    private static bool WaitsInTheRound(SyntaxNode lambda, ForStatementSyntax loop) =>
        lambda.Ancestors().TakeWhile(node => node != loop).Any(IsAwait)
        || loop.Statement.DescendantTokens().Any(
            token => token.SpanStart >= lambda.Span.End && MayWait(token));

    private static bool MayWait(SyntaxToken token) => token.IsKind(SyntaxKind.AwaitKeyword)
        || (token.IsKind(SyntaxKind.IdentifierToken)
            && token.Text is "Receive" or "Send" or "Select" or "Wait" or "WaitAll" or "SignalAndWait"
                or "Await" or "Acquire" or "Lock" or "Join" or "Dispose" or "Result" or "GetResult");

    private static bool IsAwait(SyntaxNode node) =>
        node is AwaitExpressionSyntax
        || (node is InvocationExpressionSyntax { Expression: MemberAccessExpressionSyntax method }
            && method.Name.Identifier.Text == "Await");

    // First of all it adds, and later it counts down: it has counted itself. One that adds for others that it
    // starts does not count down itself.
    private static void LookForAdd(
        OperationAnalysisContext context, WeftTypes weft, IAnonymousFunctionOperation lambda)
    {
        if (lambda.Body.Operations.FirstOrDefault() is IExpressionStatementOperation
            {
                Operation: IInvocationOperation { TargetMethod.Name: "Add", Instance: { } group } add,
            }
            && WeftTypes.Is(add.TargetMethod.ContainingType, weft.WaitGroupType)
            && add.Arguments[0].Value.ConstantValue is { HasValue: true, Value: > 0 }
            && lambda.Body.Descendants().OfType<IInvocationOperation>().Any(done =>
                done.TargetMethod.Name == "Done"
                && done.Instance is { } counted && SyntaxFactory.AreEquivalent(counted.Syntax, group.Syntax)
                && done.Syntax.FirstAncestorOrSelf<AnonymousFunctionExpressionSyntax>() == lambda.Syntax))
        {
            context.ReportDiagnostic(Diagnostic.Create(
                Rules.AddInside, add.Syntax.GetLocation(), group.Syntax + ".Add"));
        }
    }
}
