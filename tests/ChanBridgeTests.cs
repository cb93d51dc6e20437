// Channels as readers, writers and asynchronous streams, and readers as channels. The waits here are on
// the thread pool, the other side mostly in goroutines.

using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class ChanBridgeTests(int procs)
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_moment = TimeSpan.FromMilliseconds(20);

    [Before(HookType.Test)]
    public void SetProcessors() => Go.MaxProcs = procs;

    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task AReaderReadsAllUntilTheClose(int capacity)
    {
        Chan<string> chan = new(capacity);
        Go.Run(() => SendAndClose(chan, 500));
        ChannelReader<string> reader = chan.AsReader();
        int n = 0;
        await foreach (string element in reader.ReadAllAsync())
        {
            await Assert.That(element).IsEqualTo($"element {n++}");
        }

        await Assert.That(n).IsEqualTo(500);
        await reader.Completion.WaitAsync(s_limit);
        await Assert.That(await reader.WaitToReadAsync()).IsFalse();
        await Assert.That(reader.TryRead(out _)).IsFalse();
        await Assert.That(async () => await reader.ReadAsync()).Throws<ChannelClosedException>();
    }

    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task AnAsynchronousStreamTakesNoMoreThanItGives(int capacity)
    {
        Chan<string> chan = new(capacity);
        Go.Run(() => SendAndClose(chan, 100));
        int n = 0;
        await foreach (string element in chan.ReadAllAsync())
        {
            await Assert.That(element).IsEqualTo($"element {n++}");
            if (n == 60)
            {
                break;
            }
        }
        foreach (string element in chan)
        {
            await Assert.That(element).IsEqualTo($"element {n++}");
        }

        await Assert.That(n).IsEqualTo(100);
    }

    [Test]
    public async Task AWaitToReadEndsWithAnElementOrTheClose()
    {
        Chan<string> chan = new();
        ChannelReader<string> reader = ((ReceiveChan<string>)chan).AsReader();
        ValueTask<bool> first = reader.WaitToReadAsync();
        await Task.Delay(s_moment);

        await Assert.That(first.IsCompleted).IsFalse();
        await Assert.That(reader.Count).IsEqualTo(0);
        chan.Send("one");
        await Assert.That(await first.AsTask().WaitAsync(s_limit)).IsTrue();
        await Assert.That(reader.Count).IsEqualTo(1);
        await Assert.That(await reader.WaitToReadAsync()).IsTrue();
        await Assert.That(reader.TryRead(out string? one)).IsTrue();
        await Assert.That(one).IsEqualTo("one");
        await Assert.That(reader.TryRead(out _)).IsFalse();
        ValueTask<bool> second = reader.WaitToReadAsync();
        chan.Close();
        await Assert.That(await second.AsTask().WaitAsync(s_limit)).IsFalse();
        await reader.Completion.WaitAsync(s_limit);
    }

    [Test]
    public async Task AReadThatIsCancelledTakesNothing()
    {
        Chan<int> chan = new();
        ChannelReader<int> reader = chan.AsReader();
        for (int i = 0; i < 50; i++)
        {
            using CancellationTokenSource source = new();
            Task<int> read = reader.ReadAsync(source.Token).AsTask();
            Task<bool> wait = reader.WaitToReadAsync(source.Token).AsTask();
            IAsyncEnumerator<int> stream = chan.ReadAllAsync(source.Token).GetAsyncEnumerator();
            Task<bool> move = stream.MoveNextAsync().AsTask();
            if (i % 2 == 0)
            {
                await Task.Yield();
            }
            await source.CancelAsync();
            foreach (Task task in (Task[])[read, wait, move])
            {
                await Assert.That(async () => await task.WaitAsync(s_limit))
                    .Throws<OperationCanceledException>();
            }
            await stream.DisposeAsync();
        }
        Task<int> last = reader.ReadAsync().AsTask();
        chan.Send(7);
        await Assert.That(await last.WaitAsync(s_limit)).IsEqualTo(7);
        await Assert.That(chan.TrySend(1)).IsFalse();
    }

    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task AWriterWritesAndItsCompletionCloses(int capacity)
    {
        Chan<int> chan = new(capacity);
        ChannelWriter<int> writer = ((SendChan<int>)chan).AsWriter();
        TaskCompletionSource<int[]> received = NewSource<int[]>();
        Go.Run(() => received.SetResult([.. chan]));
        for (int i = 0; i < 500; i++)
        {
            await writer.WriteAsync(i).AsTask().WaitAsync(s_limit);
        }

        await Assert.That(writer.TryComplete()).IsTrue();
        await Assert.That(writer.TryComplete()).IsFalse();
        await Assert.That(writer.TryWrite(1)).IsFalse();
        await Assert.That(await writer.WaitToWriteAsync()).IsFalse();
        await Assert.That(async () => await writer.WriteAsync(1)).Throws<ChannelClosedException>();
        int[] all = await received.Task.WaitAsync(s_limit);
        await Assert.That(all.SequenceEqual(Enumerable.Range(0, 500))).IsTrue();
    }

    [Test]
    [Arguments(0)]
    [Arguments(2)]
    public async Task AWaitToWriteEndsWhenAWriteWouldNotWait(int capacity)
    {
        Chan<int> chan = new(capacity);
        ChannelWriter<int> writer = chan.AsWriter();
        for (int i = 0; i < capacity; i++)
        {
            await Assert.That(await writer.WaitToWriteAsync()).IsTrue();
            await Assert.That(writer.TryWrite(i)).IsTrue();
        }
        await Assert.That(writer.TryWrite(9)).IsFalse();
        Task<bool>[] waits = [.. Enumerable.Range(0, 3).Select(_ => writer.WaitToWriteAsync().AsTask())];
        await Task.Delay(s_moment);
        await Assert.That(waits.Any(wait => wait.IsCompleted)).IsFalse();

        TaskCompletionSource<int> received = NewSource<int>();
        Go.Run(() => received.SetResult(chan.Receive()));
        await Task.WhenAll(waits).WaitAsync(s_limit);
        await Assert.That(waits.All(wait => wait.Result)).IsTrue();
        await Assert.That(writer.TryWrite(capacity)).IsTrue();
        await Assert.That(await received.Task.WaitAsync(s_limit)).IsEqualTo(0);

        using CancellationTokenSource source = new();
        Task<bool> cancelled = writer.WaitToWriteAsync(source.Token).AsTask();
        Task write = writer.WriteAsync(100, source.Token).AsTask();
        await source.CancelAsync();
        await Assert.That(async () => await cancelled.WaitAsync(s_limit)).Throws<OperationCanceledException>();
        await Assert.That(async () => await write.WaitAsync(s_limit)).Throws<OperationCanceledException>();

        Task<bool> closed = writer.WaitToWriteAsync().AsTask();
        Task lost = writer.WriteAsync(100).AsTask();
        chan.Close();
        await Assert.That(await closed.WaitAsync(s_limit)).IsFalse();
        await Assert.That(async () => await lost.WaitAsync(s_limit)).Throws<ChannelClosedException>();
        await Assert.That(chan.Count()).IsEqualTo(capacity);
    }

    [Test]
    [Arguments(0)]
    [Arguments(1)]
    [Arguments(10)]
    public async Task WritersThatWaitForTheirTurnLoseNothing(int capacity)
    {
        const int Writers = 4;
        const int Each = 300;
        Chan<int> chan = new(capacity);
        int[] seen = new int[Writers * Each];
        WaitGroup receivers = new();
        for (int i = 0; i < Writers; i++)
        {
            bool tries = i == 0;
            receivers.Go(() =>
            {
                foreach (int n in chan)
                {
                    Interlocked.Increment(ref seen[n]);
                    if (tries && chan.TryReceive(out int more))
                    {
                        Interlocked.Increment(ref seen[more]);
                    }
                }
            });
        }
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(id => Task.Run(async () =>
        {
            ChannelWriter<int> writer = chan.AsWriter();
            for (int i = 0; i < Each; i++)
            {
                if (id == 0)
                {
                    await writer.WriteAsync((id * Each) + i);
                    continue;
                }
                while (await writer.WaitToWriteAsync() && !writer.TryWrite((id * Each) + i))
                {
                }
            }
        }))).WaitAsync(s_limit);
        chan.Close();
        receivers.Wait();

        await Assert.That(seen.All(n => n == 1)).IsTrue();
    }

    [Test]
    public async Task AThousandWaitsTakeNoThread()
    {
        const int Waits = 1000;
        Chan<int> chan = new();
        ChannelReader<int> reader = chan.AsReader();
        int before = Scheduler.MachineCount;
        Task<int>[] reads = [.. Enumerable.Range(0, Waits).Select(_ => reader.ReadAsync().AsTask())];
        await Task.Delay(s_moment);
        await Assert.That(Scheduler.MachineCount - before).IsLessThan(50);
        for (int i = 0; i < Waits; i++)
        {
            chan.Send(i);
        }
        int[] all = await Task.WhenAll(reads).WaitAsync(s_limit);
        await Assert.That(all.Order().SequenceEqual(Enumerable.Range(0, Waits))).IsTrue();
    }

    [Test]
    public async Task AnErrorGoesFromTheWriterToTheReader()
    {
        Chan<int> chan = new(1);
        ChannelReader<int> reader = chan.AsReader();
        chan.Send(1);
        chan.AsWriter().Complete(new FormatException("no more"));

        await Assert.That(await reader.ReadAsync()).IsEqualTo(1);
        await Assert.That(async () => await reader.WaitToReadAsync()).Throws<FormatException>();
        await Assert.That(async () => await reader.Completion.WaitAsync(s_limit)).Throws<FormatException>();
        await Assert.That(async () => await chan.AsWriter().WaitToWriteAsync()).Throws<FormatException>();
        await Assert.That(async () => await chan.AsWriter().WriteAsync(1)).Throws<ChannelClosedException>();
        await Assert.That(chan.Receive(out _)).IsFalse();
    }

    [Test]
    [Arguments(0)]
    [Arguments(5)]
    public async Task AReaderBecomesAChannel(int capacity)
    {
        Channel<int> source = Channel.CreateBounded<int>(2);
        ReceiveChan<int> chan = source.Reader.ToChan(capacity);
        TaskCompletionSource<int> sum = NewSource<int>();
        Go.Run(() => sum.SetResult(chan.Sum()));
        for (int i = 1; i <= 500; i++)
        {
            await source.Writer.WriteAsync(i);
        }
        source.Writer.Complete();
        await Assert.That(await sum.Task.WaitAsync(s_limit)).IsEqualTo(500 * 501 / 2);

        source = Channel.CreateUnbounded<int>();
        source.Writer.TryWrite(1);
        source.Writer.Complete(new FormatException("broken"));
        ChannelReader<int> back = source.Reader.ToChan(capacity).AsReader();
        await Assert.That(await back.ReadAsync().AsTask().WaitAsync(s_limit)).IsEqualTo(1);
        await Assert.That(async () => await back.WaitToReadAsync()).Throws<FormatException>();

        using CancellationTokenSource cancel = new();
        chan = Channel.CreateUnbounded<int>().Reader.ToChan(capacity, cancel.Token);
        TaskCompletionSource<bool> ended = NewSource<bool>();
        Go.Run(() => ended.SetResult(chan.Receive(out _)));
        await cancel.CancelAsync();
        await Assert.That(await ended.Task.WaitAsync(s_limit)).IsFalse();
    }

    [Test]
    [Arguments(0)]
    [Arguments(5)]
    public async Task AStreamBecomesAChannel(int capacity)
    {
        int disposed = 0;
        async IAsyncEnumerable<int> Count(
            int count, Exception? error, [EnumeratorCancellation] CancellationToken token = default)
        {
            try
            {
                for (int i = 1; i <= count; i++)
                {
                    await Task.Yield();
                    yield return i;
                }
                if (error is not null)
                {
                    throw error;
                }
                await Task.Delay(count == 1 ? Timeout.Infinite : 0, token);
            }
            finally
            {
                Interlocked.Increment(ref disposed);
            }
        }
        ReceiveChan<int> chan = Count(500, null).ToChan(capacity);
        await Assert.That(await Go.RunAsync(() => chan.Sum()).WaitAsync(s_limit)).IsEqualTo(500 * 501 / 2);

        ChannelReader<int> back = Count(2, new FormatException("broken")).ToChan(capacity).AsReader();
        await Assert.That(await back.ReadAsync().AsTask().WaitAsync(s_limit)).IsEqualTo(1);
        await Assert.That(await back.ReadAsync().AsTask().WaitAsync(s_limit)).IsEqualTo(2);
        await Assert.That(async () => await back.WaitToReadAsync()).Throws<FormatException>();

        // The token reaches the stream, and who waits to send as well.
        foreach (int count in (int[])[1, 100])
        {
            (Context context, Action cancel) = Context.Background.WithCancel();
            chan = Count(count, null).ToChan(capacity, context.Token);
            await Assert.That(await Go.RunAsync(() => chan.Receive()).WaitAsync(s_limit)).IsEqualTo(1);
            cancel();
            await Go.RunAsync(() => chan.Sum()).WaitAsync(s_limit);
        }
        await Assert.That(SpinWait.SpinUntil(() => Volatile.Read(ref disposed) == 4, s_limit)).IsTrue();
        await Assert.That(() => ((IAsyncEnumerable<int>)null!).ToChan()).Throws<ArgumentNullException>();
        await Assert.That(() => Count(1, null).ToChan(-1)).Throws<ArgumentOutOfRangeException>();
    }

    [Test]
    public async Task NullIsRefused()
    {
        await Assert.That(() => ((Chan<int>)null!).AsReader()).Throws<ArgumentNullException>();
        await Assert.That(() => default(SendChan<int>).AsWriter()).Throws<ArgumentNullException>();
        await Assert.That(() => default(ReceiveChan<int>).AsReader()).Throws<ArgumentNullException>();
        await Assert.That(() => default(ReceiveChan<int>).ReadAllAsync()).Throws<ArgumentNullException>();
        await Assert.That(() => ((ChannelReader<int>)null!).ToChan()).Throws<ArgumentNullException>();
        await Assert.That(() => Channel.CreateUnbounded<int>().Reader.ToChan(-1))
            .Throws<ArgumentOutOfRangeException>();
        await Assert.That(() => default(SendChan<int>).Close()).Throws<InvalidOperationException>();
        await Assert.That(default(SendChan<int>).TrySend(1)).IsFalse();
        await Assert.That(default(ReceiveChan<int>).TryReceive(out _)).IsFalse();
        await Assert.That((SendChan<int>)new Chan<int>(3) is { IsNull: false, Capacity: 3 }).IsTrue();
    }

    /// <summary>What awaits it goes on elsewhere: a test that went on in the goroutine would keep
    /// it.</summary>
    private static TaskCompletionSource<T> NewSource<T>() =>
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static void SendAndClose(Chan<string> chan, int count)
    {
        for (int i = 0; i < count; i++)
        {
            chan.Send($"element {i}");
        }
        chan.Close();
    }
}
