// Random small programs on one or two channels, each checked against every order that a channel allows
// (ChanHistory.cs). When a program stops by itself, a last goroutine closes the channels, which is part
// of the history: what waits then ends.

using System.Threading.Channels;

namespace Weft.Tests;

internal sealed class ChanHistoryTests
{
    private static readonly int s_programs = Go.Mode == GoMode.Jit ? 300 : 5000; // Threads are slow to start.

    [Test]
    public async Task TheCheckItselfAcceptsWhatIsRightAndRefusesWhatIsWrong()
    {
        Operation first = new(Act.Send, 0, 1, Result.Done, true, 0, 0, 1);
        Operation second = new(Act.Send, 0, 2, Result.Done, true, 0, 2, 3);
        Operation Got(int value, int start) => new(Act.Receive, 0, value, Result.Done, true, 0, start, start + 1);
        Operation nothing = new(Act.TryReceive, 0, 0, Result.WouldWait, false, 0, 4, 5);
        Operation close = new(Act.Close, 0, 0, Result.Done, false, 0, 4, 5);
        Operation late = new(Act.TrySend, 0, 3, Result.WouldWait, false, 0, 6, 7);
        Operation idle = new(Act.Nothing, 0, 0, Result.WouldWait, false, 1, 4, 5);
        bool Possible(int capacity, params Operation[] all) => new ChanHistory([capacity], all).IsPossible();

        await Assert.That(Possible(2, first, second, Got(1, 4), Got(2, 6))).IsTrue();
        await Assert.That(Possible(2, first, second, Got(2, 4), Got(1, 6))).IsFalse();
        await Assert.That(Possible(1, first, second, Got(1, 4))).IsFalse();
        await Assert.That(Possible(1, first, second, Got(1, 3), Got(2, 6))).IsTrue();
        await Assert.That(Possible(1, first, nothing)).IsFalse();
        await Assert.That(Possible(1, first, idle)).IsFalse();
        await Assert.That(Possible(1, nothing, first with { Start = 4, End = 6 })).IsTrue();
        await Assert.That(Possible(0, close, late)).IsFalse();
        await Assert.That(Possible(0, first, Got(1, 2))).IsFalse();
        await Assert.That(Possible(0, first, Got(1, 1))).IsTrue();
        await Assert.That(Possible(0, first with { Waits = false }, Got(1, 0) with { Waits = false })).IsFalse();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task EveryHistoryOfASmallProgramIsOneOfASequentialChannel(int procs)
    {
        int seed = Environment.TickCount;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < s_programs && !crew.Failed; i++)
            {
                new SmallProgram(seed + i).Run(crew);
            }
        });

        await Assert.That(failure).IsNull();
    }

    private sealed class SmallProgram
    {
        private readonly int _seed;
        private readonly Random _random;
        private readonly int[] _capacities;
        private readonly Chan<int>[] _chans;
        private readonly List<Operation>[] _done;
        private int _clock;
        private int _value;
        private int _running;

        internal SmallProgram(int seed)
        {
            _seed = seed;
            _random = new Random(seed);
            _capacities = [.. Enumerable.Range(0, _random.Next(1, 3)).Select(_ => _random.Next(3))];
            _chans = [.. _capacities.Select(capacity => new Chan<int>(capacity))];
            _done = [.. Enumerable.Range(0, _random.Next(2, 5)).Select(_ => new List<Operation>())];
        }

        internal void Run(Crew crew)
        {
            WaitGroup all = new();
            _running = _done.Length;
            foreach (List<Operation> own in _done)
            {
                Action[] actions = [.. Enumerable.Range(0, _random.Next(1, 5)).Select(_ => Choose(own))];
                int yields = _random.Next(8);
                all.Add();
                crew.Go(() =>
                {
                    for (int i = 0; i < actions.Length; i++)
                    {
                        actions[i]();
                        if ((yields & (1 << i)) != 0)
                        {
                            Go.Yield();
                        }
                    }
                    Interlocked.Decrement(ref _running);
                    all.Done();
                });
            }
            for (int i = 0; i < 30 && Volatile.Read(ref _running) > 0; i++)
            {
                Go.Yield();
            }
            List<Operation> last = [];
            for (int channel = 0; channel < _chans.Length; channel++)
            {
                Close(last, channel);
            }
            all.Wait();
            List<Operation> history = [.. _done.SelectMany(own => own), .. last];
            crew.Expect(
                new ChanHistory(_capacities, history).IsPossible(),
                $"program {_seed}, capacities {string.Join(' ', _capacities)}: no order gives\n"
                + string.Join('\n', history.OrderBy(operation => operation.Start)));
        }

        private Action Choose(List<Operation> own)
        {
            int channel = _random.Next(_chans.Length);
            int other = _random.Next(_chans.Length);
            int value = ++_value;
            int kind = _random.Next(100);
            return kind switch
            {
                < 20 => () => Send(own, channel, value),
                < 40 => () => Receive(own, channel),
                < 52 => () => TrySend(own, channel, value),
                < 64 => () => TryReceive(own, channel),
                < 68 => () => Close(own, channel),
                < 84 => () => Two(own, channel, other, value, kind % 4, wait: true),
                _ => () => Two(own, channel, other, value, kind % 4, wait: false),
            };
        }

        private int Now() => Interlocked.Increment(ref _clock);

        private void Add(
            List<Operation> own, Act act, int channel, int value, Result result, bool waits, int start) =>
            own.Add(new(act, channel, value, result, waits, 0, start, Now()));

        private void Send(List<Operation> own, int channel, int value)
        {
            int start = Now();
            Result result = Result.Done;
            try
            {
                _chans[channel].Send(value);
            }
            catch (ChannelClosedException)
            {
                result = Result.Closed;
            }
            Add(own, Act.Send, channel, value, result, true, start);
        }

        private void TrySend(List<Operation> own, int channel, int value)
        {
            int start = Now();
            Result result;
            try
            {
                result = _chans[channel].TrySend(value) ? Result.Done : Result.WouldWait;
            }
            catch (ChannelClosedException)
            {
                result = Result.Closed;
            }
            Add(own, Act.TrySend, channel, value, result, false, start);
        }

        private void Receive(List<Operation> own, int channel)
        {
            int start = Now();
            bool ok = _chans[channel].Receive(out int value);
            Add(own, Act.Receive, channel, value, ok ? Result.Done : Result.Closed, true, start);
        }

        private void TryReceive(List<Operation> own, int channel)
        {
            int start = Now();
            bool ok = _chans[channel].TryReceive(out int value, out bool closed);
            Result result = ok ? Result.Done : closed ? Result.Closed : Result.WouldWait;
            Add(own, Act.TryReceive, channel, value, result, false, start);
        }

        private void Close(List<Operation> own, int channel)
        {
            int start = Now();
            Result result = Result.Done;
            try
            {
                _chans[channel].Close();
            }
            catch (ChannelClosedException)
            {
                result = Result.Closed;
            }
            Add(own, Act.Close, channel, 0, result, false, start);
        }

        /// <summary>A select of two cases; each bit of kind is the direction of one.</summary>
        private void Two(List<Operation> own, int a, int b, int value, int kind, bool wait)
        {
            bool firstSends = (kind & 1) != 0;
            bool secondSends = (kind & 2) != 0;
            SelectCase first = firstSends ? _chans[a].SendCase(value) : _chans[a].ReceiveCase();
            SelectCase second = secondSends ? _chans[b].SendCase(value) : _chans[b].ReceiveCase();
            int start = Now();
            int chosen;
            try
            {
                chosen = wait ? Select.Wait(first, second) : Select.TryWait(first, second);
            }
            catch (ChannelClosedException)
            {
                // Which of two it was does not show: then both are closed, or it is the one that sends.
                int closed = firstSends && (!secondSends || _chans[a].IsClosed) ? a : b;
                Add(own, Act.Send, closed, value, Result.Closed, wait, start);
                return;
            }
            if (chosen < 0)
            {
                int channels = (firstSends ? 1 << (a + ChanHistory.SendShift) : 1 << a)
                    | (secondSends ? 1 << (b + ChanHistory.SendShift) : 1 << b);
                own.Add(new(Act.Nothing, 0, 0, Result.WouldWait, false, channels, start, Now()));
                return;
            }
            int channel = chosen == 0 ? a : b;
            if ((chosen == 0 ? first : second) is ReceiveCase<int> receive)
            {
                Result result = receive.Ok ? Result.Done : Result.Closed;
                Add(own, Act.Receive, channel, receive.Value, result, wait, start);
            }
            else
            {
                Add(own, Act.Send, channel, value, Result.Done, wait, start);
            }
        }
    }
}
