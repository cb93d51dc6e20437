using Weft;

namespace WeftWorker1;

/// <summary>Makes a job each second; goroutines work on them, in blocking code. On Ctrl-C or SIGTERM no more
/// jobs are made, and those that have begun are done.</summary>
internal sealed class Worker(ILogger<Worker> logger) : BackgroundService
{
    private const int Workers = 10;

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Go.RunAsync(() => Work(stoppingToken));

    private void Work(CancellationToken stopping)
    {
        Chan<int> jobs = new();
        WaitGroup workers = new();
        for (int i = 0; i < Workers; i++)
        {
            workers.Go(() =>
            {
                foreach (int job in jobs) // Until the channel is closed and empty.
                {
                    Do(job);
                }
            });
        }
        Ticker ticker = new(TimeSpan.FromSeconds(1));
        try
        {
            for (int job = 1; ticker.C.Receive(out _, stopping); job++)
            {
                jobs.Send(job, stopping);
            }
        }
        catch (OperationCanceledException)
        {
            // Nothing more is to be made.
        }
        finally
        {
            ticker.Stop();
            jobs.Close();
            workers.Wait();
        }
    }

    private void Do(int job)
    {
        Thread.Sleep(200); // What it waits for; the thread runs other goroutines meanwhile.
        logger.LogInformation("Job {Job} is done.", job);
    }
}
