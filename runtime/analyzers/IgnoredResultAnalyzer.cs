// WEFT102: docs/WEFT102.md. A statement that is only the call. `_ = call` is an assignment: who writes that
// has said so. Nor is anything said of () => channel.TrySend(1), where the call is the value of a function.

using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace Weft.Analyzers;

[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class IgnoredResultAnalyzer : WeftAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => [Rules.IgnoredResult];

    private protected override void Start(CompilationStartAnalysisContext context, WeftTypes weft) =>
        context.RegisterOperationAction(
            operation => Look(operation, weft), OperationKind.ExpressionStatement);

    private static void Look(OperationAnalysisContext context, WeftTypes weft)
    {
        if (context.Operation.Syntax is not ExpressionStatementSyntax)
        {
            return;
        }
        IOperation dropped = ((IExpressionStatementOperation)context.Operation).Operation;
        if (dropped is IConditionalAccessOperation conditional)
        {
            dropped = conditional.WhenNotNull;
        }
        if (dropped is IInvocationOperation call
            && call.TargetMethod.Name is "TrySend" or "TryReceive" or "TryLock" or "TryRLock" or "TryAcquire"
                or "TryGo"
            && weft.IsOurs(call.TargetMethod.ContainingType)
            && !LooksWhetherClosed(call))
        {
            context.ReportDiagnostic(Diagnostic.Create(
                Rules.IgnoredResult, call.Syntax.GetLocation(), call.TargetMethod.Name));
        }
    }

    // TryReceive(out _, out bool isClosed) tells by its last argument.
    private static bool LooksWhetherClosed(IInvocationOperation call) => call.Arguments.Any(
        argument => argument.Parameter?.Name == "isClosed" && argument.Value is not IDiscardOperation);
}
