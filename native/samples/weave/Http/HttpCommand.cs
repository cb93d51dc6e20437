// weave http: from options to a running server.

using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Weave.Files;
using Weave.Http.Files;
using Weave.Http.Handlers;
using Weave.Serve;

namespace Weave.Http;

internal static class HttpCommand
{
    internal static int Run(
        ServerOptions serving, HttpOptions options, string? directory, string? log, string? debug)
    {
        SafeFileHandle? root = null;
        if (directory is not null)
        {
            int descriptor = Posix.OpenDirectory(FileName.FromArgument(directory));
            if (descriptor < 0)
            {
                return Fail(directory, descriptor);
            }

            root = new SafeFileHandle(descriptor, ownsHandle: true);
        }

        int logDescriptor = log is null or "-"
            ? Posix.StandardOutput
            : Posix.OpenToAppend(FileName.FromArgument(log));
        if (logDescriptor < 0)
        {
            return Fail(log!, logDescriptor);
        }

        AccessLog? accessLog = log is null ? null : new AccessLog(logDescriptor);
        Metrics metrics = new();
        Router router = new(metrics, root is null ? null : new FileHandler(root));
        HttpSite site = new(options, router, accessLog);
        Server server = new(
            serving with { WatchPeriod = WatchPeriod(options) },
            (server, transport) => HttpConnection.Begin(site, server, transport))
        {
            Tick = site.Tick,
            Beside = debug is null ? null : () => StartDebug(debug, options, metrics),
        };
        metrics.Site = site;
        metrics.Server = server;
        using MeterText? meter = debug is null ? null : new MeterText();
        metrics.Meter = meter;
        int result = Acceptor.Serve(server, serving);
        if (result == Commands.Success)
        {
            accessLog?.Close();
        }

        return result;
    }

    /// <summary>A second server, for who looks inside. Without it the first one goes on.</summary>
    private static void StartDebug(string address, HttpOptions options, Metrics metrics)
    {
        ServerOptions serving = new() { Address = address, WatchPeriod = WatchPeriod(options) };
        HttpSite site = new(options, new Debug(metrics), log: null);
        Server server = new(serving, (server, transport) => HttpConnection.Begin(site, server, transport))
        {
            Tick = site.Tick,
        };
        try
        {
            Acceptor acceptor = Acceptor.Listen(serving);
            acceptor.Announce("debugging");
            server.Start(acceptor);
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            Output.WriteError($"weave: --debug: {e.Message}\n");
        }
    }

    /// <summary>A deadline may be a quarter late, or a second.</summary>
    private static TimeSpan WatchPeriod(HttpOptions options)
    {
        TimeSpan shortest = new[] { options.IdleTime, options.HeadTime, options.TransferTime }.Min();
        return TimeSpan.FromMilliseconds(Math.Clamp(shortest.TotalMilliseconds / 4, 10, 1000));
    }

    private static int Fail(string name, int error)
    {
        Output.WriteError($"weave: {name}: {Marshal.GetPInvokeErrorMessage(-error)}\n");
        return Commands.Failure;
    }
}
