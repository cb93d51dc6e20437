// A program whose main is a goroutine.

using Weft.Runtime;

namespace Weft;

/// <summary>Runs a program's main function as a goroutine.</summary>
public static class WeftHost
{
    /// <summary>
    /// Runs <paramref name="main"/> in a goroutine and blocks the calling thread until it returns. Other
    /// goroutines are not waited for: the program is expected to return the result from its own main. On
    /// SIGQUIT (Ctrl-\) the process writes what every goroutine does to standard error, as
    /// <see cref="Go.Dump(System.IO.TextWriter)"/>, and ends with exit code 2: from the first call on, also
    /// after main has returned, and also if the signal was ignored when the program started. An end of the
    /// process that comes after the signal waits for that. Handlers that the program has for SIGQUIT are
    /// called as well; nobody waits for them, and they cannot cancel it.
    /// </summary>
    /// <param name="main">The program.</param>
    /// <returns>What main returns.</returns>
    /// <exception cref="ArgumentNullException">Main is null.</exception>
    /// <exception cref="InvalidOperationException">The caller is a goroutine already.</exception>
    public static int Run(Func<int> main)
    {
        ArgumentNullException.ThrowIfNull(main);
        if (Go.IsGoroutine)
        {
            throw new InvalidOperationException("WeftHost.Run: the caller is a goroutine already.");
        }
        Scheduler.EnsureStarted();
        QuitReport.Install();
        int result = 0;
        WaitGroup done = new();
        done.Go(() => result = main());
        done.Wait();
        return result;
    }

    /// <summary>The same for a main that returns nothing; the exit code is 0.</summary>
    /// <param name="main">The program.</param>
    /// <returns>0.</returns>
    /// <exception cref="ArgumentNullException">Main is null.</exception>
    public static int Run(Action main)
    {
        ArgumentNullException.ThrowIfNull(main);
        return Run(() =>
        {
            main();
            return 0;
        });
    }
}
