// The rules, in the order of their numbers. Each has a page of its own in docs/, which is in the package too.
//
// What all of them keep to: a warning is right nearly always, or the rule is not worth having; so where the
// code at hand does not tell, nothing is said. Rejected: to follow values and calls through the program, as a
// compiler's escape analysis does. It would find more, and cost a second of each build.

using Microsoft.CodeAnalysis;

namespace Weft.Analyzers;

internal static class Rules
{
    internal static readonly DiagnosticDescriptor StackAddress = Rule(
        "WEFT101",
        "The address of something on the stack is kept outside of it",
        "The address of something on the stack is kept in {0}, but the stack of a goroutine moves: start it "
            + "with StackOptions.Fixed(), or take the memory from NativeMemory or a pinned array",
        "A goroutine's stack moves when it grows, and where there are many goroutines also while it waits. "
            + "The addresses that lie on the stack itself are corrected; a copy elsewhere is not.");

    internal static readonly DiagnosticDescriptor IgnoredResult = Rule(
        "WEFT102",
        "Whether it worked is not looked at",
        "'{0}' may do nothing, and only its result tells: look at it, or write '_ =' before the call",
        "What begins with Try does not wait: when it cannot do its work at once it does nothing and "
            + "returns false.");

    internal static readonly DiagnosticDescriptor LoopVariable = Rule(
        "WEFT103",
        "A goroutine uses the variable of a for loop",
        "All goroutines that this loop starts share '{0}', and the loop goes on counting: copy it to a local",
        "In C# a for loop has one variable for all its rounds. Each round of a foreach has its own.");

    internal static readonly DiagnosticDescriptor AsyncVoid = Rule(
        "WEFT104",
        "An async function is run as if it were not",
        "An async function given to '{0}' is an async void: its goroutine ends at the first await, and "
            + "nobody hears of its end; use Go.RunAsync, or Go.Await instead of await",
        "What takes an Action cannot know when an async function ends, nor catch what it throws.");

    internal static readonly DiagnosticDescriptor LockOnWeft = Rule(
        "WEFT105",
        "A lock statement on a channel or a lock of Weft's",
        "'lock' on a {0} takes the monitor that every .NET object has, which has nothing to do with what the "
            + "object does: lock a Lock or an object of your own, or call its methods",
        "A lock on a channel keeps nobody from using the channel; one on a Mutex does not lock the Mutex.");

    internal static readonly DiagnosticDescriptor CaseTwice = Rule(
        "WEFT106",
        "A case is twice in one select",
        "'{0}' is in this select already: each case object at most once",
        "A case holds the element of one wait. Select throws an ArgumentException; make a second case.");

    internal static readonly DiagnosticDescriptor AddInside = Rule(
        "WEFT107",
        "WaitGroup.Add inside the goroutine that it counts",
        "Wait may be over before this goroutine adds itself: call '{0}' before it starts, or start it with "
            + "WaitGroup.Go",
        "Wait returns when the counter is zero, which it is until the goroutine has begun to run.");

    internal static readonly DiagnosticDescriptor LostCancel = Rule(
        "WEFT108",
        "A context that nobody cancels",
        "Nobody calls the function that '{0}' returns: until then the parent and the timer keep the context",
        "Call it as soon as the work is done, whatever happened; a second call does nothing.");

    private static DiagnosticDescriptor Rule(string id, string title, string message, string why) => new(
        id,
        title,
        message,
        "Weft",
        DiagnosticSeverity.Warning,
        isEnabledByDefault: true,
        why,
        helpLinkUri: "runtime/analyzers/docs/" + id + ".md");
}
