// What the analyzers have in common: they look at nothing where a program does not use Weft, nor at what
// tools have written; and they run side by side.

using Microsoft.CodeAnalysis.Diagnostics;

namespace Weft.Analyzers;

public abstract class WeftAnalyzer : DiagnosticAnalyzer
{
    public sealed override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterCompilationStartAction(start =>
        {
            if (WeftTypes.Of(start.Compilation) is { } weft)
            {
                Start(start, weft);
            }
        });
    }

    private protected abstract void Start(CompilationStartAnalysisContext context, WeftTypes weft);
}
