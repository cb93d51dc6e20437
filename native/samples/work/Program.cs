// Work on several machines, by way of a queue:
//
//   work worker SERVER NAME GOROUTINES   takes jobs and answers them, until SIGTERM or Ctrl-C
//   work caller SERVER NAME JOBS         sends jobs and waits for the answers
//   work check SERVER NAME JOBS          what a caller of that name would find if it were started anew

using System.Runtime.InteropServices;
using NATS.Client.Core;
using Weft;

namespace Work;

internal static class Program
{
    private static int Main(string[] args) => WeftHost.Run(() => Run(args));

    private static int Run(string[] args)
    {
        if (args is not ["worker" or "caller" or "check", string server, string name, string number]
            || !int.TryParse(number, out int count) || count <= 0)
        {
            Console.Error.WriteLine("usage: work worker|caller|check SERVER NAME COUNT");
            return 2;
        }
        using CancellationTokenSource stop = new();
        using PosixSignalRegistration terminate = OnSignal(PosixSignal.SIGTERM, stop);
        using PosixSignalRegistration interrupt = OnSignal(PosixSignal.SIGINT, stop);
        try
        {
            using JobQueue queue = new(server, name);
            return args[0] switch
            {
                "worker" => new Worker(queue, name).Run(count, stop.Token),
                "caller" => new Caller(queue, name, count).Run(stop.Token),
                _ => new Caller(queue, name, count).Check(stop.Token),
            };
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 0; // Before there was anything to do.
        }
        catch (NatsException e)
        {
            Console.Error.WriteLine($"work: {e.Message}");
            return 1;
        }
    }

    private static PosixSignalRegistration OnSignal(PosixSignal signal, CancellationTokenSource stop) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            stop.Cancel();
        });
}
