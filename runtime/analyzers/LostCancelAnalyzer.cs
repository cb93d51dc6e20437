// WEFT108: docs/WEFT108.md. The function that cancels is thrown away, or goes into a local that nothing uses.
//
//   (Context context, _) = parent.WithTimeout(limit)            parent.WithTimeout(limit).Context
//   (Context context, Action cancel) = parent.WithTimeout(limit), and nothing more of cancel
//
// Not said: where the parent was made in the same function, for whoever cancels that one cancels both.

using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace Weft.Analyzers;

[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class LostCancelAnalyzer : WeftAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => [Rules.LostCancel];

    private protected override void Start(CompilationStartAnalysisContext context, WeftTypes weft) =>
        context.RegisterOperationAction(operation => Look(operation, weft), OperationKind.Invocation);

    private static void Look(OperationAnalysisContext context, WeftTypes weft)
    {
        IInvocationOperation call = (IInvocationOperation)context.Operation;
        if (MakesOne(call, weft)
            && IsLost(call)
            && !(call.Instance is ILocalReferenceOperation parent && IsMadeHere(parent, weft)))
        {
            context.ReportDiagnostic(Diagnostic.Create(
                Rules.LostCancel, call.Syntax.GetLocation(), call.TargetMethod.Name));
        }
    }

    private static bool MakesOne(IInvocationOperation call, WeftTypes weft) =>
        call.TargetMethod.Name is "WithCancel" or "WithCancelCause" or "WithTimeout" or "WithDeadline"
        && WeftTypes.Is(call.TargetMethod.ContainingType, weft.ContextType);

    private static bool IsLost(IInvocationOperation call)
    {
        IOperation? user = call.Parent;
        while (user is IConversionOperation)
        {
            user = user.Parent;
        }
        return user switch
        {
            IExpressionStatementOperation => true,
            IFieldReferenceOperation field => field.Field.Name is "Context" or "Item1",
            IDeconstructionAssignmentOperation deconstruction => Second(deconstruction) switch
            {
                IDiscardOperation => true,
                IDeclarationExpressionOperation { Expression: ILocalReferenceOperation declared } =>
                    !IsUsed(declared),
                ILocalReferenceOperation { IsDeclaration: true } declared => !IsUsed(declared),
                _ => false,
            },
            _ => false,
        };
    }

    private static IOperation? Second(IDeconstructionAssignmentOperation deconstruction)
    {
        IOperation target = deconstruction.Target is IDeclarationExpressionOperation declaration
            ? declaration.Expression : deconstruction.Target;
        return target is ITupleOperation { Elements: { Length: 2 } elements } ? elements[1] : null;
    }

    private static bool IsUsed(ILocalReferenceOperation declared) =>
        References(declared).Any(use => use.Syntax != declared.Syntax);

    private static bool IsMadeHere(ILocalReferenceOperation context, WeftTypes weft) =>
        References(context).Any(use => Deconstruction(use) is { Value: var value }
            && value.DescendantsAndSelf().OfType<IInvocationOperation>().Any(call => MakesOne(call, weft)));

    // The deconstruction that gives a local its value.
    private static IDeconstructionAssignmentOperation? Deconstruction(IOperation operation)
    {
        for (IOperation? at = operation; at is not null; at = at.Parent)
        {
            if (at.Parent is IDeconstructionAssignmentOperation deconstruction)
            {
                return at == deconstruction.Target ? deconstruction : null;
            }
        }
        return null;
    }

    // All references to the same local, this one included.
    private static IEnumerable<ILocalReferenceOperation> References(ILocalReferenceOperation local)
    {
        IOperation body = local;
        while (body.Parent is { } parent)
        {
            body = parent;
        }
        return body.Descendants().OfType<ILocalReferenceOperation>()
            .Where(use => SymbolEqualityComparer.Default.Equals(use.Local, local.Local));
    }
}
