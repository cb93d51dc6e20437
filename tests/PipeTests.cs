// Net.Pipe: as Go's net.Pipe. The list is that of its tests and of nettest; the programs are our own.

using System.Net.Sockets;
using System.Text;

namespace Weft.Tests;

internal sealed class PipeTests
{
    private static readonly TimeSpan s_far = TimeSpan.FromHours(1);

    private static SocketError CodeOf(Action action)
    {
        try
        {
            action();
            return SocketError.Success;
        }
        catch (IOException e)
        {
            return ((SocketException)e.InnerException!).SocketErrorCode;
        }
        catch (ObjectDisposedException)
        {
            return SocketError.OperationAborted;
        }
    }

    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task AWriteEndsWhenAllIsRead(bool asThread)
    {
        string? failure = Crew.Run(2, crew =>
        {
            (PipeConn a, PipeConn b) = Net.Pipe();
            bool written = false;
            crew.Start(asThread, () =>
            {
                a.Write("hello, world"u8);
                Volatile.Write(ref written, true);
                a.Write(Encoding.ASCII.GetBytes("xyz"), 1, 1);
                a.Close();
            });
            crew.Start(asThread, () =>
            {
                byte[] buffer = new byte[5];
                crew.Equal(b.Read(buffer), 5, "the first read");
                crew.Equal(Encoding.ASCII.GetString(buffer), "hello", "the first part");
                Crew.LetOthersRun();
                crew.Expect(!Volatile.Read(ref written), "the write has ended");
                crew.Equal(b.Read(new byte[100]), 7, "the rest");
                crew.Equal(b.ReadByte(), 'y', "the second write");
                crew.Equal(b.ReadByte(), -1, "the end");
                crew.Equal(CodeOf(() => b.WriteByte(1)), SocketError.Shutdown, "a write to a closed end");
                b.Close();
                crew.Equal(CodeOf(() => b.ReadByte()), SocketError.OperationAborted, "a read of a closed end");
                crew.Equal(CodeOf(() => b.WriteByte(1)), SocketError.OperationAborted, "a write of a closed end");
            });
        });
        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WritesAreWhole()
    {
        string? failure = Crew.Run(4, crew =>
        {
            (PipeConn a, PipeConn b) = Net.Pipe();
            WaitGroup group = new();
            for (int i = 0; i < 10; i++)
            {
                byte[] mine = [.. Enumerable.Repeat((byte)i, 50)];
                group.Go(() => a.Write(mine));
            }
            crew.Go(() =>
            {
                group.Wait();
                a.Close();
            });
            byte[] all = new byte[1000];
            int count = 0;
            for (int n; (n = b.Read(all.AsSpan(count, Math.Min(7, all.Length - count)))) > 0; count += n)
            {
            }
            crew.Equal(count, 500, "all bytes");
            for (int i = 0; i < 500; i++)
            {
                crew.Equal(all[i], all[i - (i % 50)], "a write in another");
            }
        });
        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ACloseEndsWhatWaits()
    {
        string? failure = Crew.Run(2, crew =>
        {
            for (int i = 0; i < 2; i++)
            {
                bool other = i == 1;
                (PipeConn a, PipeConn b) = Net.Pipe();
                crew.GoAndPark(Weft.Runtime.ParkReason.Select, () => crew.Equal(
                    CodeOf(() => crew.Equal(a.ReadByte(), -1, "a byte")),
                    other ? SocketError.Success : SocketError.OperationAborted, "a read"));
                crew.GoAndPark(Weft.Runtime.ParkReason.Select, () => crew.Equal(
                    CodeOf(() => a.WriteByte(1)),
                    other ? SocketError.Shutdown : SocketError.OperationAborted, "a write"));
                (other ? b : a).Close();
                (other ? b : a).Close();
                crew.Throws<ObjectDisposedException>(() => a.SetDeadline(s_far), "a deadline");
            }
        });
        await Assert.That(failure).IsNull();
    }

    [Test]
    public void Deadlines() => WeftTest.Run(() =>
    {
        (PipeConn a, PipeConn b) = Net.Pipe();
        DateTimeOffset start = WeftTimeProvider.Instance.GetUtcNow();
        void Expect(Action action, SocketError code, double seconds)
        {
            SocketError found = CodeOf(action);
            double passed = (WeftTimeProvider.Instance.GetUtcNow() - start).TotalSeconds;
            if (found != code || passed != seconds)
            {
                throw new InvalidOperationException($"{found} instead of {code}, at {passed} instead of {seconds} s");
            }
        }
        a.SetReadDeadline(TimeSpan.FromSeconds(1));
        a.SetWriteDeadline(TimeSpan.FromSeconds(2));
        Expect(() => a.ReadByte(), SocketError.TimedOut, 1);
        Expect(() => a.ReadByte(), SocketError.TimedOut, 1);
        Expect(() => a.WriteByte(1), SocketError.TimedOut, 2);
        a.SetDeadline(TimeSpan.Zero);
        Expect(() => a.ReadByte(), SocketError.TimedOut, 2);
        a.SetDeadline(s_far);
        Go.Run(() =>
        {
            Go.Sleep(TimeSpan.FromSeconds(1));
            a.SetReadDeadline(TimeSpan.FromSeconds(1));
        });
        Expect(() => a.ReadByte(), SocketError.TimedOut, 4); // While it waits.
        a.SetDeadline(Timeout.InfiniteTimeSpan);
        a.ReadTimeout = 500;
        Expect(() => a.ReadByte(), SocketError.TimedOut, 4.5);
        Expect(() => a.ReadByte(), SocketError.TimedOut, 5);
        a.ReadTimeout = Timeout.Infinite;
        a.SetReadDeadline(Timeout.InfiniteTimeSpan);
        Go.Run(() =>
        {
            Go.Sleep(s_far);
            b.Write("x"u8);
        });
        Expect(() => a.ReadByte(), SocketError.Success, 3605);
        a.Close();
        b.Close();
    });
}
