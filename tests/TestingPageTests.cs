// The code of runtime/TESTING.md: each block of the page is in this file, line by line, and runs here.

namespace Weft.Tests;

internal sealed class TestingPageTests
{
    private sealed class LimitedException : Exception;

    // Lets so many through in each second.
    private sealed class RateLimiter
    {
        private readonly Chan<Unit> _tokens;

        internal RateLimiter(int perSecond)
        {
            _tokens = new Chan<Unit>(perSecond);
            Go.Run(() =>
            {
                Ticker ticker = new(TimeSpan.FromSeconds(1) / perSecond);
                while (ticker.C.Receive(out _) && !Stopped)
                {
                    _ = _tokens.TrySend(default);
                }
            });
        }

        internal bool Stopped { get; set; }

        internal void Wait() => _tokens.Receive();
    }

    private static void Expect(bool condition)
    {
        if (!condition)
        {
            throw new InvalidOperationException("Not so.");
        }
    }

    [Test]
    public void AnHour()
    {
        WeftTest.Run(() =>
        {
            RateLimiter limiter = new(perSecond: 10);
            DateTimeOffset start = WeftTimeProvider.Instance.GetUtcNow();
            for (int i = 0; i < 36_000; i++)
            {
                limiter.Wait();
            }
            Expect(WeftTimeProvider.Instance.GetUtcNow() - start == TimeSpan.FromHours(1));
            limiter.Stopped = true;
            Go.Sleep(TimeSpan.FromSeconds(1)); // Its goroutine has to end, too.
        });
    }

    [Test]
    public void AContext()
    {
        WeftTest.Run(() =>
        {
            (Context context, Action cancel) = Context.Background.WithTimeout(TimeSpan.FromSeconds(5));
            bool told = false;
            _ = context.AfterFunc(() => told = true);

            WeftTest.Sleep(TimeSpan.FromSeconds(5) - TimeSpan.FromTicks(1));
            Expect(context.Err == null && !told);

            WeftTest.Sleep(TimeSpan.FromTicks(1)); // Go.Sleep, then WeftTest.Wait.
            Expect(context.Err is TimeoutException && told);
            cancel();
        });
    }

    [Test]
    public void AConnection()
    {
        WeftTest.Run(() =>
        {
            (PipeConn client, PipeConn server) = Net.Pipe();
            Go.Run(() =>
            {
                using StreamReader lines = new(server);
                while (lines.ReadLine() is string line)
                {
                    Go.Sleep(TimeSpan.FromSeconds(2)); // It is slow.
                    server.Write("done\n"u8);
                }
            });
            client.SetReadDeadline(TimeSpan.FromSeconds(1));
            client.Write("work\n"u8);
            try
            {
                _ = client.ReadByte();
                Expect(false);
            }
            catch (IOException) // The deadline has passed.
            {
            }
            client.SetReadDeadline(Timeout.InfiniteTimeSpan);
            client.ReadExactly(new byte["done\n".Length]);
            client.Close();
        });
    }

    private sealed class Account
    {
        private readonly Mutex _mutex = new();
        private int _balance = 100;

        internal int Balance
        {
            get
            {
                using (_mutex.EnterScope())
                {
                    return _balance;
                }
            }
        }

        // Wrong: between the look and the withdrawal others may withdraw.
        internal bool Withdraw(int amount)
        {
            if (Balance < amount)
            {
                return false;
            }
            using (_mutex.EnterScope())
            {
                _balance -= amount;
                return true;
            }
        }
    }

    private static void TwoWithdraw()
    {
        Account account = new();
        WaitGroup group = new();
        group.Go(() => account.Withdraw(100));
        group.Go(() => account.Withdraw(100));
        group.Wait();
        Expect(account.Balance >= 0);
    }

    [Test]
    [NotOnJit("an order of goroutines needs goroutines that are no threads")]
    public async Task ARace()
    {
        await Assert.That(Explored).Throws<WeftTestException>();

        static void Explored() =>
            WeftTest.Explore(1000, TwoWithdraw);
    }

    [Test]
    public async Task EachBlockOfThePageIsHere()
    {
        (int count, string[] missing) = PageParts.Compare("runtime/TESTING.md", "tests/TestingPageTests.cs");

        await Assert.That(count).IsGreaterThan(3);
        await Assert.That(missing).IsEmpty();
    }
}
