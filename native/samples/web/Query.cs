using System.Diagnostics;
using Weft;

namespace Web;

/// <summary>The mode without a server: what many goroutines at once need.</summary>
internal static class Query
{
    internal static int Run(int count, Items items)
    {
        _ = items.Find(1, CancellationToken.None);
        long start = Stopwatch.GetTimestamp();
        WaitGroup done = new();
        int found = 0;
        int threads = 0;
        for (int i = 0; i < count; i++)
        {
            int id = i % 1000 + 1;
            done.Go(() =>
            {
                if (items.Find(id, CancellationToken.None) is not null
                    && Interlocked.Increment(ref found) % 50 == 0)
                {
                    threads = Math.Max(threads, Directory.GetDirectories("/proc/self/task").Length);
                }
            });
        }
        done.Wait();
        Console.WriteLine(
            $"{found} of {count} goroutines found their item in"
            + $" {Stopwatch.GetElapsedTime(start).TotalSeconds:0.00} s, on at most {threads} threads");
        return found == count ? 0 : 1;
    }
}
