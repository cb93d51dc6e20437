// Thousands of requests at once to a server that answers after a second: by HttpClient.Send, which blocks, on
// goroutines; and by await in a program without Weft. Each with a server process of its own.

using System.Diagnostics;
using System.Globalization;

namespace Weft.Bench;

internal static class HttpBench
{
    private const double NsPerSecond = 1e9;

    internal static Question[] Questions => [Of("http_10k_2p", 9_500, false), Of("https_2k_2p", 2_000, true)];

    // 20,000 descriptors are a usual limit, and a connection that is being made may have two for a moment.
    private static Question Of(string name, int count, bool tls)
    {
        string them = $"{count:N0} requests {(tls ? "by TLS " : "")}at once, answered after 1 s";
        Row[] rows =
        [
            new($"{name}_send", "s", $"{them}: HttpClient.Send on goroutines"),
            new($"{name}_threads", "threads", "most meanwhile"),
            new($"{name}_await", "s", "await SendAsync, in a program without Weft"),
        ];
        return new Question(name, rows, () => Sample(count, tls), OwnProcess: true);
    }

    private static double[] Sample(int count, bool tls)
    {
        double send = 0;
        int threads = 0;
        WithServer(tls, port => threads = Threads.Most(() => send = Drive.On(2, () => Send(port, count, tls))));
        double wait = 0;
        WithServer(tls, port => wait = Bare.Number(
            "fetch",
            port.ToString(CultureInfo.InvariantCulture),
            count.ToString(CultureInfo.InvariantCulture),
            tls ? "https" : "http"));
        return [send, threads, wait];
    }

    private static double Send(int port, int count, bool tls)
    {
        using HttpClient client = HttpLoad.MakeClient();
        string address = HttpLoad.Address(port, tls);
        Action request = () =>
        {
            using HttpRequestMessage request = new(HttpMethod.Get, address);
            using HttpResponseMessage response = client.Send(request);
            response.EnsureSuccessStatusCode();
        };
        return Drive.Time([.. Enumerable.Repeat(request, count)]) / NsPerSecond;
    }

    private static void WithServer(bool tls, Action<int> use)
    {
        using Process server = Bare.Start(tls ? "https" : "http");
        try
        {
            use(int.Parse(server.StandardOutput.ReadLine()!, CultureInfo.InvariantCulture));
        }
        finally
        {
            server.Kill();
            server.WaitForExit();
        }
    }
}
