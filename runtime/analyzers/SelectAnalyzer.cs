// WEFT106: docs/WEFT106.md. The same local, parameter or field of this object twice among the arguments. What
// a property or a call returns may be another object each time.

using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace Weft.Analyzers;

[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class SelectAnalyzer : WeftAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => [Rules.CaseTwice];

    private protected override void Start(CompilationStartAnalysisContext context, WeftTypes weft) =>
        context.RegisterOperationAction(operation => Look(operation, weft), OperationKind.Invocation);

    private static void Look(OperationAnalysisContext context, WeftTypes weft)
    {
        IInvocationOperation call = (IInvocationOperation)context.Operation;
        if (!WeftTypes.Is(call.TargetMethod.ContainingType, weft.SelectType)
            || call.Syntax is not InvocationExpressionSyntax { ArgumentList.Arguments: var arguments })
        {
            return;
        }
        SemanticModel model = call.SemanticModel!;
        HashSet<ISymbol> seen = new(SymbolEqualityComparer.Default);
        foreach (ArgumentSyntax argument in arguments)
        {
            ExpressionSyntax expression = argument.Expression is MemberAccessExpressionSyntax
            {
                Expression: ThisExpressionSyntax
            } access ? access.Name : argument.Expression;
            if (expression is IdentifierNameSyntax
                && model.GetSymbolInfo(expression, context.CancellationToken).Symbol is { } symbol
                && symbol is ILocalSymbol or IParameterSymbol or IFieldSymbol
                && !seen.Add(symbol))
            {
                context.ReportDiagnostic(Diagnostic.Create(
                    Rules.CaseTwice, argument.GetLocation(), symbol.Name));
            }
        }
    }
}
