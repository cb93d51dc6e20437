// The caller, which checks what it gets: an answer to each job, the right one, and one only.

using System.Diagnostics;
using System.Globalization;
using NATS.Client.JetStream;
using Weft;

namespace Work;

internal sealed class Caller(JobQueue queue, string name, int jobs)
{
    private const int Senders = 100;

    private readonly int[] _answers = new int[jobs];
    private int _answered;
    private int _twice;
    private int _wrong;

    /// <summary>Sends all jobs, and waits for the answers.</summary>
    internal int Run(CancellationToken stop)
    {
        long start = Stopwatch.GetTimestamp();
        Go.Run(SendAll);
        foreach (INatsJSMsg<string> answer in queue.TakeAnswers(name, stop))
        {
            Take(answer);
            if (_answered * 10 % jobs == 0)
            {
                Console.WriteLine($"{_answered} answered");
            }
            if (_answered == jobs)
            {
                break;
            }
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return Report(string.Create(CultureInfo.InvariantCulture, $"caller: {seconds:0.0} s: "));
    }

    /// <summary>What a caller gets that was started anew: all that the stream has for it.</summary>
    internal int Check(CancellationToken stop)
    {
        foreach (INatsJSMsg<string> answer in queue.TakeAnswers(name, stop))
        {
            Take(answer);
            if (answer.Metadata?.NumPending == 0)
            {
                break;
            }
        }
        return Report("check: ");
    }

    private void SendAll()
    {
        ErrGroup senders = new();
        senders.SetLimit(Senders);
        for (int i = 0; i < jobs; i++)
        {
            int number = i;
            senders.Go(() => queue.Send(name, number, Job.Text(number)));
        }
        senders.Wait();
    }

    private void Take(INatsJSMsg<string> answer)
    {
        int number = int.Parse(answer.Subject[(answer.Subject.LastIndexOf('.') + 1)..]);
        if (answer.Data != Job.Answer(Job.Text(number)))
        {
            _wrong++;
        }
        if (_answers[number]++ == 0)
        {
            _answered++;
        }
        else
        {
            _twice++;
        }
    }

    private int Report(string what)
    {
        Console.WriteLine(
            $"{what}{jobs} jobs, {_answered} answered, {jobs - _answered} lost, {_twice} answered twice,"
            + $" {_wrong} wrong");
        return _answered == jobs && _twice == 0 && _wrong == 0 ? 0 : 1;
    }
}
