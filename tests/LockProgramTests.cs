// Small random programs over mutexes and RWMutexes, in many schedules, while a thread collects. Each datum is
// guarded by one of them, changed in two steps, and checked by everybody who sees it.

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class LockProgramTests(int procs)
{
    private const int Programs = 120;
    private const int Steps = 40;

    [Test]
    public async Task RandomProgramsExcludeWhatTheyShould()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            bool stop = false;
            crew.CollectUntil(() => Volatile.Read(ref stop));
            for (int seed = 1; seed <= Programs && !crew.Failed; seed++)
            {
                using RandomProgram program = new(crew, (seed * 10) + procs);
                program.Run();
            }
            Volatile.Write(ref stop, true);
        });

        await Assert.That(failure).IsNull();
    }

    private sealed class Guarded
    {
        internal Mutex? Mutex;
        internal RWMutex? RWMutex;
        internal long First;
        internal long Second;
        internal string Text = "0";
        internal long Expected;
    }

    private sealed class RandomProgram : IDisposable
    {
        private readonly Crew _crew;
        private readonly int _seed;
        private readonly Guarded[] _data;
        private readonly CancellationTokenSource _source = new();
        private readonly CancellationToken _token;

        internal RandomProgram(Crew crew, int seed)
        {
            _crew = crew;
            _seed = seed;
            _token = _source.Token;
            Random random = new(seed);
            _data = new Guarded[1 + random.Next(3)];
            for (int i = 0; i < _data.Length; i++)
            {
                _data[i] = random.Next(2) == 0 ? new() { Mutex = new() } : new() { RWMutex = new() };
                if (random.Next(2) == 0)
                {
                    _data[i].RWMutex?.MakeStripes();
                }
            }
        }

        internal void Run()
        {
            Random random = new(_seed);
            int workers = 2 + random.Next(10);
            int threads = random.Next(3) == 0 ? random.Next(3) : 0;
            WaitGroup done = new();
            for (int i = 0; i < workers; i++)
            {
                int id = i;
                done.Add();
                _crew.Start(id < threads, () =>
                {
                    try
                    {
                        Work(new Random((_seed * 100) + id));
                    }
                    finally
                    {
                        done.Done();
                    }
                });
            }
            if (random.Next(2) == 0)
            {
                _source.Cancel();
            }
            done.Wait();
            foreach (Guarded one in _data)
            {
                _crew.Equal(one.First, one.Expected, $"seed {_seed}: what was counted");
                bool free = one.Mutex is not null ? one.Mutex.TryLock() : one.RWMutex!.TryLock();
                _crew.Expect(free, $"seed {_seed}: not free at the end");
            }
        }

        public void Dispose() => _source.Dispose();

        private void Work(Random random)
        {
            for (int step = 0; step < Steps && !_crew.Failed; step++)
            {
                Step(random, from: 0);
            }
        }

        /// <summary>Locks one, and while it has that perhaps another one behind it in the list.</summary>
        private void Step(Random random, int from)
        {
            int index = random.Next(from, _data.Length);
            Guarded one = _data[index];
            bool reads = random.Next(3) == 0;
            if (!Lock(one, reads, random))
            {
                return;
            }
            Check(one);
            if (one.Mutex is not null || !reads)
            {
                long next = one.First + 1;
                one.First = next;
                Pause(random);
                one.Text = next.ToString();
                one.Second = next;
                Interlocked.Increment(ref one.Expected);
            }
            if (index + 1 < _data.Length && random.Next(3) == 0)
            {
                Step(random, index + 1);
            }
            Pause(random);
            Check(one);
            Unlock(one, reads);
        }

        private bool Lock(Guarded one, bool reads, Random random)
        {
            if (one.Mutex is { } mutex)
            {
                switch (random.Next(4))
                {
                    case 0:
                        return mutex.TryLock();

                    case 1:
                        try
                        {
                            mutex.Lock(_token);
                            return true;
                        }
                        catch (OperationCanceledException)
                        {
                            return false;
                        }

                    default:
                        mutex.Lock();
                        return true;
                }
            }
            RWMutex both = one.RWMutex!;
            if (random.Next(100) == 0)
            {
                both.MakeStripes();
            }
            switch (random.Next(4))
            {
                case 0:
                    return reads ? both.TryRLock() : both.TryLock();

                case 1:
                    return LockUnlessCancelled(both, reads);
            }
            if (reads)
            {
                both.RLock();
            }
            else
            {
                both.Lock();
            }
            return true;
        }

        private bool LockUnlessCancelled(RWMutex both, bool reads)
        {
            try
            {
                if (reads)
                {
                    both.RLock(_token);
                }
                else
                {
                    both.Lock(_token);
                }
                return true;
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }

        private static void Unlock(Guarded one, bool reads)
        {
            if (one.Mutex is not null)
            {
                one.Mutex.Unlock();
            }
            else if (reads)
            {
                one.RWMutex!.RUnlock();
            }
            else
            {
                one.RWMutex!.Unlock();
            }
        }

        private void Check(Guarded one)
        {
            string where = $"seed {_seed}";
            _crew.Equal(one.Second, one.First, where);
            _crew.Equal(one.Text, one.First.ToString(), where);
        }

        private static void Pause(Random random)
        {
            switch (random.Next(12))
            {
                case 0 or 1 or 2:
                    Go.Yield();
                    break;

                case 3:
                    Thread.SpinWait(random.Next(2000));
                    break;

                case 4 when random.Next(50) == 0:
                    Thread.Sleep(1);
                    break;
            }
        }
    }
}
