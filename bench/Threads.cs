// How many threads this process has, at most, while something runs.

namespace Weft.Bench;

internal sealed class Threads
{
    private readonly Thread _watcher;
    private int _most;
    private bool _stop;

    private Threads()
    {
        _watcher = new Thread(Watch) { IsBackground = true };
        _watcher.Start();
    }

    /// <summary>Runs the function; the most threads seen meanwhile, of which one looked.</summary>
    internal static int Most(Action function)
    {
        Threads threads = new();
        function();
        Volatile.Write(ref threads._stop, true);
        threads._watcher.Join();
        return threads._most - 1;
    }

    private void Watch()
    {
        while (!Volatile.Read(ref _stop))
        {
            _most = Math.Max(_most, Directory.GetDirectories("/proc/self/task").Length);
            Thread.Sleep(10);
        }
    }
}
