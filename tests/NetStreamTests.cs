// A Conn under the library's own code: readers and writers, TLS, HttpClient, asynchronous callers.

using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class NetStreamTests
{
    [Test]
    public async Task ReadersAndWritersOfTextWorkOnIt()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair("unix");
            crew.Go(() =>
            {
                using StreamWriter writer = new(client);
                for (int i = 0; i < 1000; i++)
                {
                    writer.WriteLine($"line {i}");
                    if (i % 100 == 0)
                    {
                        writer.Flush();
                    }
                }
            });
            using StreamReader reader = new(server);
            for (int i = 0; i < 1000; i++)
            {
                crew.Equal(reader.ReadLine(), $"line {i}", "line");
            }
            crew.Equal(reader.ReadLine(), null, "the end");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AsynchronousCallersNeverBlock()
    {
        (Conn client, Conn server) = Loopback.Pair();
        byte[] buffer = new byte[100];
        ValueTask<int> read = server.ReadAsync(buffer);
        bool early = read.IsCompleted;
        await client.WriteAsync("hello"u8.ToArray());
        int count = await read;
        using CancellationTokenSource source = new();
        Task<int> cancelled = server.ReadAsync(buffer, source.Token).AsTask();
        await source.CancelAsync();

        await Assert.That(early).IsFalse();
        await Assert.That(count).IsEqualTo(5);
        await Assert.That(async () => await cancelled).Throws<OperationCanceledException>();
        await client.WriteAsync("again"u8.ToArray());
        await Assert.That(await server.ReadAsync(buffer)).IsEqualTo(5);
        Task<int> closed = server.ReadAsync(buffer).AsTask();
        await server.DisposeAsync();
        await Assert.That(async () => await closed).Throws<ObjectDisposedException>();
        await client.DisposeAsync();
    }

    [Test]
    public async Task AskingForTheResultOfAReadParksAGoroutine()
    {
        const int readers = 20; // Sysmon may start a machine or two for calls that the system holds up.
        string? failure = Crew.Run(1, crew =>
        {
            List<Conn> clients = [];
            List<Conn> servers = [];
            WaitGroup done = new();
            int machines = Scheduler.MachineCount;
            int waiting = 0;
            for (int i = 0; i < readers; i++)
            {
                (Conn one, Conn other) = Loopback.Pair();
                clients.Add(one);
                servers.Add(other);
                done.Go(() =>
                {
                    ValueTask<int> read = other.ReadAsync(new byte[10]);
                    crew.Expect(!read.IsCompleted, "complete before there is anything");
                    Interlocked.Increment(ref waiting);
                    crew.Equal(read.GetAwaiter().GetResult(), 1, "count");
                });
            }
            while (Volatile.Read(ref waiting) < readers)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(1));
            }
            Go.Sleep(TimeSpan.FromMilliseconds(20)); // The last one is about to.
            crew.Expect(Scheduler.MachineCount - machines < readers / 2, "each blocked a machine");
            foreach (Conn client in clients)
            {
                client.Write("x"u8);
                client.Dispose();
            }
            done.Wait();
            Conn server = servers[0];
            ValueTask<int> end = server.ReadAsync(new byte[10]);
            server.WaitReadable();
            crew.Expect(end.IsCompleted || end.IsCompleted, "not complete at the end");
            crew.Equal(end.Result, 0, "the end");
            servers.ForEach(each => each.Dispose());
            ValueTask<int> failed = server.ReadAsync(new byte[10]);
            _ = crew.Throws<ObjectDisposedException>(() => _ = failed.Result, "closed");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TlsWorksOnIt()
    {
        Skip.Unless(Qemu.HasTls, Qemu.NoTls);
        string? failure = Crew.Run(2, crew =>
        {
            using X509Certificate2 certificate = Certificate.Make();
            using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            crew.Go(() =>
            {
                for (int i = 0; i < 8; i++)
                {
                    Conn conn = listener.Accept();
                    crew.Go(() => ServeTls(conn, certificate));
                }
            });
            WaitGroup clients = new();
            clients.Add(8);
            for (int i = 0; i < 8; i++)
            {
                int seed = i;
                crew.Go(() =>
                {
                    DialTls(crew, Loopback.At(listener), seed);
                    clients.Done();
                });
            }
            clients.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    private static void ServeTls(Conn conn, X509Certificate2 certificate)
    {
        using SslStream tls = new(conn);
        tls.AuthenticateAsServer(certificate, false, SslProtocols.None, false);
        byte[] buffer = new byte[20_000];
        int count;
        while ((count = tls.Read(buffer, 0, buffer.Length)) > 0)
        {
            tls.Write(buffer, 0, count);
        }
    }

    private static void DialTls(Crew crew, string address, int seed)
    {
        using SslStream tls = new(Net.Dial("tcp", address), false, IsOurs);
        tls.AuthenticateAsClient("localhost");
        Random random = new(seed);
        for (int i = 0; i < 20; i++)
        {
            byte[] sent = new byte[1 + random.Next(20_000)];
            byte[] received = new byte[sent.Length];
            random.NextBytes(sent);
            tls.Write(sent);
            tls.ReadExactly(received);
            crew.Expect(sent.AsSpan().SequenceEqual(received), $"message {i} of {seed} is wrong");
        }
    }

    /// <summary>Whether it is one of ours.</summary>
    internal static bool IsOurs(
        object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors) =>
        certificate?.Subject == "CN=localhost";

    [Test]
    public async Task HttpClientSendsFromAThousandGoroutinesAtOnce()
    {
        ChildResult child = ChildProcess.Run("net-clients", ["1000", "3"]);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        await Assert.That(child.Output).IsEqualTo("3000 right\n");
    }

    /// <summary>Arguments: goroutines, requests each. A small server that answers with the path it was asked
    /// for; clients that check it.</summary>
    internal static int Clients(string[] args) => WeftHost.Run(() =>
    {
        int goroutines = int.Parse(args[0], CultureInfo.InvariantCulture);
        int requests = int.Parse(args[1], CultureInfo.InvariantCulture);
        Go.MaxProcs = 2;
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        string address = Loopback.At(listener);
        Go.Run(() =>
        {
            while (true)
            {
                Go.Run(Answer, listener.Accept());
            }
        });
        using SocketsHttpHandler handler = new()
        {
            ConnectCallback = (context, token) => new ValueTask<Stream>(Net.Dial("tcp", address, token)),
            UseProxy = false,
        };
        using HttpClient http = new(handler) { Timeout = Timeout.InfiniteTimeSpan };
        int right = 0;
        WaitGroup ended = new();
        for (int i = 0; i < goroutines; i++)
        {
            int id = i;
            ended.Go(() =>
            {
                for (int request = 0; request < requests; request++)
                {
                    string path = $"/{id}/{request}";
                    using HttpRequestMessage message = new(HttpMethod.Get, "http://weft.test" + path);
                    using HttpResponseMessage response = http.Send(message);
                    using StreamReader reader = new(response.Content.ReadAsStream());
                    if (response.StatusCode == HttpStatusCode.OK && reader.ReadToEnd() == path)
                    {
                        Interlocked.Increment(ref right);
                    }
                }
            });
        }
        ended.Wait();
        Console.WriteLine($"{right} right");
        Environment.Exit(0);
        return 0;
    });

    private static void Answer(Conn conn)
    {
        using (conn)
        {
            using StreamReader reader = new(conn);
            while (reader.ReadLine() is string request)
            {
                while (reader.ReadLine() is { Length: > 0 })
                {
                }
                string path = request.Split(' ')[1];
                conn.Write(System.Text.Encoding.ASCII.GetBytes(
                    $"HTTP/1.1 200 OK\r\nContent-Length: {path.Length}\r\n\r\n{path}"));
            }
        }
    }
}
