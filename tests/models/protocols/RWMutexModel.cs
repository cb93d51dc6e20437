// sync/RWMutex.cs: who reads and who writes, counted in one word or in stripes. They wait as threads that are no
// goroutines do (ChanModel).
//
//   reads     adds, exchange, looks at the gate        leaves: subtracts, exchange, looks whether a writer parks
//   writes    shuts the gate, exchange, looks at the   parks: says so, exchange, looks at the counts
//             counts
//
// Must hold: nobody reads while one writes, what was written is seen, and everybody gets in.

using System.Reflection;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Models.Protocols;

internal abstract unsafe class RWMutexModel : Model
{
    private readonly long[]? _stripes;

    private const int Stripes = 4;

    private Goroutine* _standIns;
    private Machine* _machines;
    private int* _data;

    private protected RWMutexModel(bool stripes)
    {
        if (stripes)
        {
            Mutex.MakeStripes();
            _stripes = StripesField(Mutex);
        }
    }

    private protected RWMutex Mutex { get; } = new();

    internal override int Depth => 2;

    /// <summary>What .NET says of exchanges, and arm64 does (Explorer.Memory.cs).</summary>
    internal override bool NeedsFullExchanges => true;

    /// <summary>How often readers met: some of it may be lost.</summary>
    internal override string[] Races => ["RWMutex._meetings", "RWMutex._lastMet"];

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_stripes")]
    private protected static extern ref long[]? StripesField(RWMutex mutex);

    internal override void Prepare() =>
        Explorer.Adopt(_stripes == null ? [Mutex, Writers] : [Mutex, Writers, _stripes]);

    private object Writers =>
        typeof(RWMutex).GetField("_writers", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(Mutex)!;

    internal override void SetUp()
    {
        GcAges.Initialize((nint)Explorer.Allocate<byte>("ages", 1024), (Goroutine*)Explorer.Static(0));
        _standIns = Scheduler.MakeStandIns(3);
        _machines = Explorer.Allocate<Machine>("machines", 3);
        _data = Explorer.Allocate<int>("data");
        for (int i = 0; i < 3; i++)
        {
            _machines[i].Id = i;
        }
        for (int i = 0; _stripes != null && i < Stripes; i++)
        {
            ReaderStripes.SetLow(_stripes, i, 0); // Elements of arrays are not reset.
        }
    }

    internal override void AtEnd() => Explorer.Assert(*_data == 1, "Something was not written.");

    private protected void Read()
    {
        Enter();
        Mutex.RLock();
        Look();
        Mutex.RUnlock();
    }

    /// <summary>The same of a goroutine that goes on where the next thread was.</summary>
    private protected void ReadAndMove()
    {
        Enter();
        Mutex.RLock();
        Look();
        Current.SetMachine(_machines + Explorer.Local.Id + 1);
        Mutex.RUnlock();
    }

    private protected void TryRead()
    {
        Enter();
        if (Mutex.TryRLock())
        {
            Look();
            Mutex.RUnlock();
        }
    }

    private protected void Write()
    {
        Enter();
        Mutex.Lock();
        *_data = 1;
        Mutex.Unlock();
    }

    private void Look()
    {
        int seen = *_data;
        Explorer.Assert(seen is 0 or 1 && *_data == seen, "It changed while it was read.");
    }

    private protected void Enter()
    {
        Explorer.Local.StandIn = (nint)(_standIns + Explorer.Local.Id);
        Current.SetMachine(_machines + Explorer.Local.Id);
    }
}

/// <summary>Two readers, one of which only tries, and a writer.</summary>
internal sealed class WordModel() : RWMutexModel(stripes: false)
{
    internal override (string, string)[] Barriers =>
    [
        ("word-read", "RWMutex.AddReader Add RWMutex._state"),
        ("word-leave", "RWMutex.TakeReader CompareExchange RWMutex._state"),
        ("word-open", "RWMutex.Unlock CompareExchange RWMutex._state"),
    ];

    internal override Action[] Threads => [Read, Write, TryRead];
}

internal sealed class StripesModel() : RWMutexModel(stripes: true)
{
    internal override (string, string)[] Barriers =>
    [
        ("stripes-read", "RWMutex.AddReaderInStripe Increment ?"),
        ("stripes-try", "RWMutex.TryEnter Increment ?"),
        ("stripes-leave", "RWMutex.TakeReaderFromStripe Decrement ?"),
        ("stripes-take-back", "RWMutex.TakeBack Decrement ?"),
        ("stripes-shut", "RWMutex.ShutGate Add RWMutex._state"),
        ("stripes-park", "RWMutex.ParkForReaders Add RWMutex._state"),
        ("stripes-open", "RWMutex.Unlock CompareExchange RWMutex._state"),
    ];

    internal override Action[] Threads => [Read, Write, TryRead];
}

/// <summary>Readers leave where they did not enter, so that a count is negative and the readers are counted.</summary>
internal sealed class StrayModel() : RWMutexModel(stripes: true)
{
    internal override (string, string)[] Barriers =>
    [
        ("stray-count", "RWMutex.RUnlockSlow Add RWMutex._state"),
    ];

    internal override Action[] Threads => [ReadAndMove, ReadAndMove, Write];
}

/// <summary>A reader finds no stripes, and makes some before it reads: the writer may have seen none, and nobody
/// in the word.</summary>
internal sealed class MakingModel : RWMutexModel
{
    private readonly long[] _made;

    public MakingModel()
        : base(stripes: true)
    {
        _made = StripesField(Mutex)!;
    }

    internal override (string, string)[] Barriers =>
    [
        ("making-shut", "RWMutex.ShutGate CompareExchange RWMutex._state"),
        ("making-read", "RWMutex.AddReaderInStripe Increment ?"),
    ];

    internal override Action[] Threads => [MakeAndRead, Write];

    internal override void SetUp()
    {
        base.SetUp();
        StripesField(Mutex) = null;
    }

    private void MakeAndRead()
    {
        Volatile.Write(ref StripesField(Mutex), _made);
        Read();
    }
}

/// <summary>One leaves who has never entered. Another's count may be the one that is taken: of one that reads, or
/// only looks in; then that one is told, or the writer. But just one is, and all go on.</summary>
internal sealed class ExcessModel() : RWMutexModel(stripes: false)
{
    private int _told;

    internal override (string, string)[] Barriers => [];

    internal override Action[] Threads => [Leave, EnterAndLeave, WriteOrBeTold];

    internal override void SetUp()
    {
        base.SetUp();
        _told = 0;
    }

    internal override void AtEnd()
    {
        base.AtEnd();
        Explorer.Assert(_told == 1, $"{_told} are told that they have not locked it.");
    }

    private void EnterAndLeave()
    {
        Enter();
        Mutex.RLock();
        LeaveOrBeTold();
    }

    private void Leave()
    {
        Enter();
        LeaveOrBeTold();
    }

    private void WriteOrBeTold()
    {
        try
        {
            Write();
        }
        catch (InvalidOperationException)
        {
            _told++;
            Write();
        }
    }

    private void LeaveOrBeTold()
    {
        try
        {
            Mutex.RUnlock();
        }
        catch (InvalidOperationException)
        {
            _told++;
        }
    }
}
