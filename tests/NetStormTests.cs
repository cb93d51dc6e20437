// The network while the world is unkind: collections all the time, signals to every machine, processors that
// come and go.

using Weft.Runtime;

namespace Weft.Tests;

internal sealed class NetStormTests
{
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task NothingIsLostWhileTheCollectorRuns(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            bool ended = false;
            crew.CollectUntil(() => Volatile.Read(ref ended));
            Traffic(crew, connections: 30, messages: 30);
            Volatile.Write(ref ended, true);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task NothingIsLostInAStormOfSignals(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            bool ended = false;
            crew.Thread(() =>
            {
                while (!Volatile.Read(ref ended))
                {
                    Scheduler.PreemptAll();
                    Thread.SpinWait(2000);
                }
            });
            Traffic(crew, connections: 30, messages: 50);
            Volatile.Write(ref ended, true);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task NothingIsLostWhileProcessorsComeAndGo()
    {
        string? failure = Crew.Run(2, crew =>
        {
            bool ended = false;
            crew.Go(() =>
            {
                for (int i = 0; !Volatile.Read(ref ended); i++)
                {
                    Go.MaxProcs = 1 + (i % 4);
                    Go.Sleep(TimeSpan.FromMilliseconds(1));
                }
            });
            Traffic(crew, connections: 30, messages: 50);
            Volatile.Write(ref ended, true);
        });

        await Assert.That(failure).IsNull();
    }

    // Stacks that grow, references that move, objects that are new, while everybody waits now and then.
    private static void Traffic(Crew crew, int connections, int messages)
    {
        Listener listener = Loopback.EchoServer(crew);
        WaitGroup clients = new();
        clients.Add(connections);
        for (int i = 0; i < connections; i++)
        {
            int seed = i;
            crew.Start(asThread: i % 10 == 0, () =>
            {
                using (Conn conn = Net.Dial("tcp", Loopback.At(listener)))
                {
                    for (int message = 0; message < messages && !crew.Failed; message++)
                    {
                        byte[] sent = [.. Enumerable.Range(seed, 1 + (message % 50)).Select(each => (byte)each)];
                        byte[] received = new byte[sent.Length];
                        conn.SetReadDeadline(TimeSpan.FromSeconds(30));
                        conn.Write(sent);
                        conn.ReadExactly(received);
                        crew.Expect(sent.AsSpan().SequenceEqual(received), $"message {message} of {seed}");
                    }
                }
                clients.Done();
            });
        }
        clients.Wait();
        listener.Close();
    }
}
