// Many requests at once, each on a connection of its own: by HttpClient.Send on goroutines in weft-bench, and by
// await HttpClient.SendAsync in weft-bench-bare, a program without Weft. Compiled into both.

using System.Diagnostics;

namespace Weft.Bench;

internal static class HttpLoad
{
    internal static HttpClient MakeClient()
    {
        SocketsHttpHandler handler = new() { UseProxy = false };
        // Signed by nobody: made by the server for this run.
        handler.SslOptions.RemoteCertificateValidationCallback =
            (_, certificate, _, _) => certificate?.Subject == "CN=127.0.0.1";
        return new HttpClient(handler) { Timeout = TimeSpan.FromMinutes(5) };
    }

    internal static string Address(int port, bool tls) => $"{(tls ? "https" : "http")}://127.0.0.1:{port}/";

    /// <summary>Seconds for so many at once.</summary>
    internal static async Task<double> Await(int port, int count, bool tls)
    {
        using HttpClient client = MakeClient();
        string address = Address(port, tls);
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, count).Select(_ => Task.Run(async () =>
        {
            using HttpRequestMessage request = new(HttpMethod.Get, address);
            using HttpResponseMessage response = await client.SendAsync(request);
            response.EnsureSuccessStatusCode();
        })));
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
