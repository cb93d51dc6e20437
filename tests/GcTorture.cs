// Parked goroutines under collections of every kind, without a pause: what they hold in locals, registers,
// spans, byrefs, generic structs and pinned buffers, and what peers put into their frames while they wait,
// has to be there when they go on. Two programs:
//
//   peers    each waits in one of the ways there are, with values in its locals; others send it fresh ones
//   frames   each waits in a frame of a certain kind: deep, generic, in a catch or a finally block, ...
//
// gc-torture peers|frames GOROUTINES SECONDS PROCS [signals]. The first wrong value ends the process.

using System.Globalization;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Tests;

/// <summary>An object, and what hangs on it, that tells whether it is the one of that number.</summary>
internal sealed class TortureValue
{
    private readonly long _check;
    private readonly byte[] _data;
    private readonly long[] _more;

    internal TortureValue(long number)
    {
        Number = number;
        _check = CheckOf(number);
        _data = new byte[8 + (number & 31)];
        _data.AsSpan().Fill((byte)number);
        _more = [number, ~number];
    }

    internal long Number { get; }

    [MethodImpl(MethodImplOptions.NoInlining)]
    internal void Verify(long number, string where)
    {
        if (Number != number || _check != CheckOf(number) || _data.Length != 8 + (number & 31)
            || _data[0] != (byte)number || _data[^1] != (byte)number || _more[0] != number || _more[1] != ~number)
        {
            GcTorture.Fail($"{where}: expected {number}, found {Number}, {_check}, {_data?.Length} bytes");
        }
    }

    private static long CheckOf(long number) => (number * 0x5DEECE66DL) + 11;
}

internal abstract class GcTorture
{
    private const int CollectionPauseMs = 3;
    private static readonly TimeSpan s_nap = TimeSpan.FromMilliseconds(1);

    private bool _stop;
    private long _rounds;
    private long _collections;

    protected GcTorture(int goroutines)
    {
        Goroutines = goroutines;
        Gates = [.. Enumerable.Range(0, goroutines).Select(i => new Chan<TortureValue>(i % 5 == 0 ? 1 : 0))];
    }

    protected int Goroutines { get; }

    /// <summary>Where each of them waits for a value.</summary>
    protected Chan<TortureValue>[] Gates { get; }

    protected bool Stops => Volatile.Read(ref _stop);

    internal static int Program(string[] args)
    {
        int goroutines = int.Parse(args[1], CultureInfo.InvariantCulture);
        double seconds = double.Parse(args[2], CultureInfo.InvariantCulture);
        int procs = int.Parse(args[3], CultureInfo.InvariantCulture);
        GcTorture torture = args[0] == "frames" ? new GcTortureFrames(goroutines) : new GcTorturePeers(goroutines);
        using PreemptionTests.SignalSender? signals = args.Contains("signals") ? new() : null;
        torture.Run(procs, TimeSpan.FromSeconds(seconds));
        (long hits, long misses, long walks) = StackShapes.Counts();
        Console.WriteLine(
            $"right, {torture._rounds} rounds, {torture._collections} collections, looked at {GcRoots.Visits}, "
            + $"word by word {GcRoots.WordByWord}; shapes found {hits}, not {misses}, walks {walks}; "
            + $"{StackReturn.Returns} stacks came down");
        return torture._rounds > goroutines || Qemu.IsHere ? 0 : 3; // Slow there.
    }

    internal static void Fail(string what)
    {
        Console.WriteLine($"wrong: {what}");
        Console.Out.Flush();
        Environment.Exit(1);
    }

    internal static void Expect(bool condition, string what)
    {
        if (!condition)
        {
            Fail(what);
        }
    }

    /// <summary>Until so many have counted themselves, which they do just before they wait.</summary>
    internal static void WaitForParked(ref int parked, int count)
    {
        while (Volatile.Read(ref parked) < count)
        {
            Thread.Sleep(1);
        }
        Thread.Sleep(20); // The last one is about to.
    }

    /// <summary>One round of a goroutine: it makes values, waits, and looks at them.</summary>
    protected abstract void Round(int id, long number, uint random);

    /// <summary>What the peers do once, beside sending to the gates.</summary>
    protected virtual void Peer(uint random)
    {
    }

    /// <summary>Lets those go on that wait for anything else than their gate.</summary>
    protected virtual void Release()
    {
    }

    protected static uint NextRandom(ref uint state)
    {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        return state;
    }

    private void Run(int procs, TimeSpan duration)
    {
        Go.MaxProcs = procs;
        WaitGroup done = new();
        for (int i = 0; i < Goroutines; i++)
        {
            int id = i;
            done.Go(() => Body(id));
        }
        Thread collector = new(Collect) { IsBackground = true };
        collector.Start();
        WaitGroup peers = new();
        for (uint i = 1; i <= 3; i++)
        {
            uint seed = i;
            peers.Go(() => Feed(seed));
        }
        Thread.Sleep(duration);
        Volatile.Write(ref _stop, true);
        collector.Join();
        peers.Wait();
        Release();
        foreach (Chan<TortureValue> gate in Gates)
        {
            gate.Close();
        }
        done.Wait();
    }

    private void Body(int id)
    {
        uint random = ((uint)id * 2654435761u) | 1;
        for (long round = 1; !Stops; round++)
        {
            Round(id, ((long)id << 24) + round, NextRandom(ref random));
            Interlocked.Increment(ref _rounds);
        }
    }

    private void Feed(uint random)
    {
        while (!Stops)
        {
            for (int i = 0; i < 300; i++)
            {
                int id = (int)(NextRandom(ref random) % (uint)Goroutines);
                _ = Gates[id].TrySend(new TortureValue(((long)id << 24) | (random & 0xffffff)));
                Peer(random);
                GC.KeepAlive(new byte[40 + (random % 400)]);
            }
            Go.Sleep(s_nap);
        }
    }

    private void Collect()
    {
        uint random = 1;
        while (!Stops)
        {
            int kind = (int)(NextRandom(ref random) % 100);
            switch (kind)
            {
                case < 50: GC.Collect(0, GCCollectionMode.Forced, blocking: true); break;
                case < 80: GC.Collect(1, GCCollectionMode.Forced, blocking: true, compacting: kind < 65); break;
                case < 90: GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: kind < 85); break;
                default: GC.Collect(2, GCCollectionMode.Forced, blocking: false); break;
            }
            _collections++;
            Thread.Sleep((int)(random >> 20) % CollectionPauseMs);
        }
    }
}

internal sealed class GcTorturePeers(int goroutines) : GcTorture(goroutines)
{
    private const int Shared = 256;

    private readonly Chan<TortureValue>[] _outs =
        [.. Enumerable.Range(0, Shared).Select(i => new Chan<TortureValue>(i % 3))];

    private readonly Mutex[] _mutexes = [.. Enumerable.Range(0, Shared).Select(_ => new Mutex())];
    private readonly Semaphore[] _semaphores = [.. Enumerable.Range(0, Shared).Select(_ => new Semaphore(1))];

    [MethodImpl(MethodImplOptions.NoInlining)]
    protected override void Round(int id, long number, uint random)
    {
        TortureValue one = new(number);
        TortureValue two = new(number + 7);
        TortureValue? three = (random & 64) != 0 ? new(number + 9) : null;
        switch ((random >> 8) % 16)
        {
            case < 8:
                if (Gates[id].Receive(out TortureValue value))
                {
                    value.Verify(((long)id << 24) | (value.Number & 0xffffff), "received");
                }
                break;

            case < 10:
                Send(_outs[id % Shared], one);
                break;

            case < 12:
                ReceiveCase<TortureValue> first = new(Gates[id]);
                ReceiveCase<TortureValue> second = new(Gates[id]);
                ReceiveCase<TortureValue> chosen = Select.Wait(first, second) == 0 ? first : second;
                if (chosen.Ok)
                {
                    chosen.Value.Verify(((long)id << 24) | (chosen.Value.Number & 0xffffff), "selected");
                }
                break;

            case < 14:
                Go.Sleep(TimeSpan.FromMilliseconds(1 + (random % 300)));
                break;

            case < 15:
                using (_mutexes[id % Shared].EnterScope())
                {
                    TortureValue four = new(number + 11);
                    Go.Yield();
                    four.Verify(number + 11, "locked");
                }
                break;

            default:
                _semaphores[id % Shared].Acquire();
                TortureValue five = new(number + 13);
                Go.Sleep(TimeSpan.FromMilliseconds(random % 5));
                five.Verify(number + 13, "semaphore");
                _semaphores[id % Shared].Release();
                break;
        }
        one.Verify(number, "one");
        two.Verify(number + 7, "two");
        three?.Verify(number + 9, "three");
    }

    protected override void Peer(uint random)
    {
        if (_outs[random % Shared].TryReceive(out TortureValue value))
        {
            value.Verify(value.Number, "sent");
        }
    }

    protected override void Release()
    {
        foreach (Chan<TortureValue> each in _outs)
        {
            each.Close();
        }
    }

    private static void Send(Chan<TortureValue> channel, TortureValue value)
    {
        try
        {
            channel.Send(value);
        }
        catch (ChannelClosedException)
        {
            // The end.
        }
    }
}
