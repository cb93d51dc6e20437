// WEFT105: docs/WEFT105.md. Only of what is there to wait on: to lock a Conn, so that two writes stay
// together, is no mistake.

using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Operations;

namespace Weft.Analyzers;

[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class LockAnalyzer : WeftAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics => [Rules.LockOnWeft];

    private protected override void Start(CompilationStartAnalysisContext context, WeftTypes weft) =>
        context.RegisterOperationAction(operation => Look(operation, weft), OperationKind.Lock);

    private static void Look(OperationAnalysisContext context, WeftTypes weft)
    {
        IOperation locked = ((ILockOperation)context.Operation).LockedValue;
        while (locked is IConversionOperation conversion)
        {
            locked = conversion.Operand;
        }
        if (weft.IsOurs(locked.Type) && IsWaitedOn(locked.Type!))
        {
            context.ReportDiagnostic(Diagnostic.Create(
                Rules.LockOnWeft, locked.Syntax.GetLocation(), locked.Type!.Name));
        }
    }

    private static bool IsWaitedOn(ITypeSymbol type) =>
        type.Name is "Chan" or "Mutex" or "RWMutex" or "Semaphore" or "Cond" or "WaitGroup" or "Once";
}
