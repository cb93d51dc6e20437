// What a goroutine of C keeps in objects, as its StateObject: most have none. Made by its first select, by a
// wait with a deadline, by weft_with, and for one that was started as a task or in a bundle.

using Weft.Runtime;

namespace Weft.Native;

/// <summary>Who is told when a goroutine of C has ended, and with what.</summary>
internal interface IEndOfGoroutine
{
    /// <summary>On the goroutine, by its last step.</summary>
    public void HasEnded(nint result);
}

internal sealed unsafe class GoroutineObjects(IEndOfGoroutine? end) : ScopeOwner
{
    /// <summary>Room for the case that ends the wait, too: see EndCase.</summary>
    internal const int CaseCount = GoroutineExtra.WaiterCount + 1;

    private readonly IEndOfGoroutine? _end = end;
    private SelectCase?[]? _cases;
    private EndCase? _endCase;
    private WaitScope? _scope;
    private WaitScope? _shielded; // For deadlines, while it is shielded.
    private CancellationTokenRegistration _context;
    private CancellationTokenRegistration _bundle;
    private bool _isCancellable;
    private bool _isShielded;

    /// <summary>For its selects, one after the other.</summary>
    internal SelectCase?[] Cases => _cases ??= new SelectCase?[CaseCount];

    internal EndCase EndCase => _endCase ??= new EndCase();

    /// <summary>The scope in which others set reasons.</summary>
    internal WaitScope OwnScope => _scope ??= new WaitScope();

    /// <summary>For a wait with a deadline: the scope of all its waits, or one that only deadlines end.</summary>
    internal WaitScope AnyScope => _isShielded ? _shielded ??= new WaitScope() : OwnScope;

    /// <summary>Nothing but deadlines ends its waits. Returns what was before.</summary>
    internal bool Shield(bool isOn)
    {
        bool before = _isShielded;
        _isShielded = isOn;
        SetWaitScope();
        return before;
    }

    /// <summary>Why its waits end, shielded or not.</summary>
    internal WaitReason Reasons => _scope?.Reasons ?? WaitReason.None;

    /// <summary>What weft_with has set, and its handle.</summary>
    internal Context? Context { get; private set; }

    internal nint ContextHandle { get; private set; }

    /// <summary>The task or bundle that it is of, or null.</summary>
    internal object? Owner => _end;

    /// <summary>Those of the goroutine.</summary>
    internal static GoroutineObjects Of(Goroutine* g)
    {
        if (Goroutine.StateObject(g) is GoroutineObjects objects)
        {
            return objects;
        }
        objects = new GoroutineObjects(null);
        Goroutine.StateObject(g) = objects;
        return objects;
    }

    /// <summary>Those of the calling goroutine; new ones for a thread.</summary>
    internal static GoroutineObjects OfCaller()
    {
        Goroutine* g = Current.Goroutine();
        return g == null ? new GoroutineObjects(null) : Of(g);
    }

    /// <summary>Those of the calling goroutine, if it has any.</summary>
    internal static GoroutineObjects? OfCallerOrNull()
    {
        Goroutine* g = Current.Goroutine();
        return g == null ? null : Goroutine.StateObject(g) as GoroutineObjects;
    }

    /// <summary>From now on its waits end with the context; null: with none.</summary>
    internal void Use(Context? context, nint handle)
    {
        _context.Dispose(); // No callback of it is under way after this.
        WaitScope scope = OwnScope;
        scope.Clear(WaitReason.Context);
        Context = context;
        ContextHandle = handle;
        SetWaitScope();
        _context = context == null ? default : context.Token.UnsafeRegister(
            static scope => ((WaitScope)scope!).Set(WaitReason.Context), scope);
    }

    /// <summary>It is a task, or of a bundle: others may cancel it, who set reasons in the scope. It begins with
    /// the context of the caller. Before it starts.</summary>
    internal WaitScope MakeCancellable(CancellationToken bundle = default)
    {
        _isCancellable = true;
        WaitScope scope = WaitScope = OwnScope;
        _bundle = bundle.UnsafeRegister(
            static scope => ((WaitScope)scope!).Set(WaitReason.Cancelled), scope);
        if (OfCallerOrNull() is { Context: not null } starter)
        {
            Use(starter.Context, starter.ContextHandle);
        }
        return scope;
    }

    private void SetWaitScope() =>
        WaitScope = (Context != null || _isCancellable) && !_isShielded ? OwnScope : null;

    /// <summary>Its function is over.</summary>
    internal void End(nint result)
    {
        Forget();
        _end?.HasEnded(result);
    }

    /// <summary>Nobody may end its waits any more.</summary>
    internal void Forget()
    {
        _context.Dispose();
        _bundle.Dispose();
    }
}
