// What the network costs: a ping-pong of 64 bytes between two goroutines over loopback TCP; the same on 16
// connections for each processor, and on thousands, at once; and the memory of a
// connection that has answered once and waits for more, with a deadline, as a server's keep-alive
// connections do. Both ends are in this process, so the client's objects are in that figure too.

using System.Diagnostics;

namespace Weft.Bench;

internal static class NetBench
{
    private const int RoundTrips = 100_000;
    private const int Connections = 5_000; // Two descriptors each.
    private const int Many = 9_500; // 20,000 descriptors are a usual limit.
    private const int OnEach = 16;
    private const int WarmUp = 50;
    private const int Length = 64;
    private static readonly TimeSpan s_crowdLasts = TimeSpan.FromMilliseconds(400);

    internal static Question[] Questions =>
    [
        .. Drive.OnEach(processors =>
        [
            Question.One($"net_echo_64_{processors}p", "ns", "64 bytes there and back over loopback TCP",
                () => Drive.On(processors, Echo)),
            Crowd($"net_echo_{processors}p", OnEach * processors, processors, ownProcess: false),
            Crowd($"net_echo_10k_{processors}p", Many, processors, ownProcess: true),
        ]),
        new Question(
            "net_idle_conn",
            [new("net_idle_conn", "B", $"resident, each of {Connections:N0} idle connections with a goroutine")],
            () => Drive.On(1, () => new[] { Idle() }),
            OwnProcess: true),
    ];

    private static Question Crowd(string name, int connections, int processors, bool ownProcess) => new(
        name,
        [
            new(name, "req/s", $"64 bytes there and back on {connections:N0} connections at once"),
            new($"{name}_p99", "us", "there and back, 99th percentile"),
        ],
        () => Drive.On(processors, () => Crowd(connections)),
        ownProcess);

    private static double[] Crowd(int connections)
    {
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        List<Conn> clients = Connect(listener, connections);
        List<double>[] times = [.. clients.Select(_ => new List<double>())];
        int next = 0;
        bool stop = false;
        _ = Timer.AfterFunc(s_crowdLasts, () => Volatile.Write(ref stop, true));
        double time = Drive.Time(connections, () =>
        {
            int mine = Interlocked.Increment(ref next) - 1;
            Span<byte> buffer = stackalloc byte[Length];
            while (!Volatile.Read(ref stop))
            {
                long start = Stopwatch.GetTimestamp();
                clients[mine].Write(buffer);
                clients[mine].ReadExactly(buffer);
                times[mine].Add(Drive.Since(start) / 1000);
            }
        });
        clients.ForEach(client => client.Dispose());
        double[] all = [.. times.SelectMany(each => each).Order()];
        return [all.Length / time * 1e9, Drive.Percentile(all, 0.99)];
    }

    private static double Echo()
    {
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        WaitGroup ended = new();
        ended.Go(() =>
        {
            using Conn conn = listener.Accept();
            Span<byte> buffer = stackalloc byte[Length];
            for (int count = conn.Read(buffer); count > 0; count = conn.Read(buffer))
            {
                conn.Write(buffer[..count]);
            }
        });
        double time;
        using (Conn conn = Net.Dial("tcp", $"127.0.0.1:{listener.Port}"))
        {
            Span<byte> buffer = stackalloc byte[Length];
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < RoundTrips; i++)
            {
                conn.Write(buffer);
                conn.ReadExactly(buffer);
            }
            time = Drive.Since(start) / RoundTrips;
        }
        ended.Wait();
        return time;
    }

    private static double Idle()
    {
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        Connect(listener, WarmUp).ForEach(each => each.Dispose());
        Go.Sleep(TimeSpan.FromMilliseconds(10));
        GC.Collect();
        long before = Environment.WorkingSet;
        List<Conn> clients = Connect(listener, Connections);
        GC.Collect();
        double each = (double)(Environment.WorkingSet - before) / Connections;
        clients.ForEach(client => client.Dispose());
        return each;
    }

    /// <summary>Clients that have each been answered once.</summary>
    private static List<Conn> Connect(Listener listener, int count)
    {
        List<Conn> clients = [];
        Span<byte> message = stackalloc byte[Length];
        for (int i = 0; i < count; i++)
        {
            Conn client = Net.Dial("tcp", $"127.0.0.1:{listener.Port}");
            Go.Run(Serve, listener.Accept());
            client.Write(message);
            client.ReadExactly(message);
            clients.Add(client);
        }
        return clients;
    }

    private static void Serve(Conn conn)
    {
        Span<byte> buffer = stackalloc byte[Length];
        conn.SetReadDeadline(TimeSpan.FromMinutes(10));
        while (conn.TryRead(buffer, out int count) == System.Net.Sockets.SocketError.Success && count > 0)
        {
            conn.Write(buffer[..count]);
            conn.SetReadDeadline(TimeSpan.FromMinutes(10));
        }
        conn.Dispose();
    }
}
