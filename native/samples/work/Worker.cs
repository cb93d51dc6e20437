// A worker process: many goroutines receive jobs from one channel, and block as they like.
//
//   server --> ConsumeAsync --ToChan--> channel --> goroutine: work, answer, acknowledge
//                                               --> goroutine: work, answer, acknowledge
//
// A job that fails is not acknowledged, so it comes again, here or at another worker. How often, the server
// knows: MaxDeliver of its consumer would give up one that fails every time.

using NATS.Client.Core;
using NATS.Client.JetStream;
using Weft;

namespace Work;

internal sealed class Worker(JobQueue queue, string name)
{
    private static readonly AckOpts s_confirmed = new() { DoubleAck = true };

    private int _answered;
    private int _again;
    private int _dropped;
    private int _failed;
    private int _threads;

    /// <summary>Takes jobs until the token is cancelled, and returns when those that it has are done and
    /// acknowledged.</summary>
    internal int Run(int goroutines, CancellationToken stop)
    {
        ReceiveChan<INatsJSMsg<string>> jobs = queue.TakeJobs(ahead: Math.Max(1, goroutines / 4), stop);
        using (GoScope workers = new())
        {
            for (int i = 0; i < goroutines; i++)
            {
                workers.Go(() => HandleAll(jobs));
            }
        }
        // The channel is closed: because we stop, or because the stream has failed, which is thrown here.
        _ = Go.Await(jobs.AsReader().WaitToReadAsync(CancellationToken.None));
        Console.WriteLine(
            $"worker {name}: {_answered} answered, {_again} taken over, {_dropped} answers dropped,"
            + $" {_failed} failed; {goroutines} goroutines, {_threads} threads");
        return 0;
    }

    private void HandleAll(ReceiveChan<INatsJSMsg<string>> jobs)
    {
        foreach (INatsJSMsg<string> job in jobs)
        {
            Chan<Unit> isDone = new();
            Go.Run(() => SayInProgress(job, isDone));
            try
            {
                Handle(job);
            }
            catch (Exception e)
            {
                _ = Interlocked.Increment(ref _failed);
                Console.Error.WriteLine($"worker {name}: {job.Subject}: {e.Message}");
            }
            finally
            {
                isDone.Close();
            }
        }
    }

    private void Handle(INatsJSMsg<string> job)
    {
        if (job.Metadata?.NumDelivered > 1)
        {
            _ = Interlocked.Increment(ref _again);
        }
        bool isFirst = queue.Answer(job, Job.Do(job.Data!));
        Go.Await(job.AckAsync(s_confirmed));
        if (!isFirst)
        {
            _ = Interlocked.Increment(ref _dropped);
        }
        else if (Interlocked.Increment(ref _answered) % 100 == 0)
        {
            _threads = Math.Max(_threads, Directory.GetDirectories("/proc/self/task").Length);
        }
    }

    /// <summary>Begins the server's AckWait anew, again and again, until the channel is closed.</summary>
    private static void SayInProgress(INatsJSMsg<string> job, Chan<Unit> isDone)
    {
        while (Select.Wait(isDone.ReceiveCase(), Time.After(JobQueue.AckWait / 3).ReceiveCase()) == 1)
        {
            try
            {
                Go.Await(job.AckProgressAsync());
            }
            catch (NatsException)
            {
                // Without a connection. If that lasts, another worker gets the job.
            }
        }
    }
}
