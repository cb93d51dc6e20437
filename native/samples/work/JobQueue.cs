// What the processes share: two streams of NATS JetStream, which the server keeps on its disk.
//
//   caller --> JOBS     jobs.CALLER.NUMBER     a job stays until a worker has acknowledged it
//   caller <-- ANSWERS  answers.CALLER.NUMBER  the first answer to a job; a second one is dropped
//
// A worker publishes the answer, and only then acknowledges the job. If it is killed in between, or says
// nothing for AckWait, another worker gets the job and answers again: the server delivers a job at least
// once. So an answer has an id, the name of its job, and the server keeps one answer of each id. Callers need
// not sort out second ones; one that was started anew could not, as it does not know what it has had.
//
// Rejected: to acknowledge first (the job is lost if its worker is killed then); to answer to an inbox of the
// caller's instead of a stream (the answer is lost if the caller is away at that moment).

using NATS.Client.Core;
using NATS.Client.JetStream;
using NATS.Client.JetStream.Models;
using Weft;

namespace Work;

/// <summary>A connection to the server, with both streams in place. Its calls block the goroutine.</summary>
internal sealed class JobQueue : IDisposable
{
    /// <summary>How long the server waits for a word about a job, before it gives it to another worker.
    /// Short, so that the jobs of a worker that is gone do not wait long; who needs longer for a job says so
    /// in time.</summary>
    internal static readonly TimeSpan AckWait = TimeSpan.FromSeconds(2);

    private const string Jobs = "JOBS";
    private const string Answers = "ANSWERS";
    private const int Tries = 10;

    /// <summary>For how long the server knows an id. A worker that was away for longer, and then answers what
    /// another one has answered, is not found out.</summary>
    private static readonly TimeSpan s_idsKnown = TimeSpan.FromMinutes(10);

    private static readonly TimeSpan s_answersKept = TimeSpan.FromHours(1);

    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);

    private readonly NatsConnection _connection;
    private readonly NatsJSContext _streams;

    internal JobQueue(string server, string name)
    {
        _connection = new NatsConnection(new NatsOpts { Url = server, Name = name });
        _streams = new NatsJSContext(_connection);
        Create(new StreamConfig(Jobs, ["jobs.>"])
        {
            Retention = StreamConfigRetention.Workqueue,
            DuplicateWindow = s_idsKnown,
        });
        Create(new StreamConfig(Answers, ["answers.>"])
        {
            MaxAge = s_answersKept,
            DuplicateWindow = s_idsKnown,
        });
    }

    public void Dispose() => Go.Await(_connection.DisposeAsync());

    /// <summary>Puts a job in: once, however often this is called.</summary>
    internal void Send(string caller, int number, string text) => Publish($"jobs.{caller}.{number}", text);

    /// <summary>Answers a job. False: it was answered before, and the server has dropped this one.</summary>
    internal bool Answer(INatsJSMsg<string> job, string text) =>
        Publish($"answers.{job.Subject["jobs.".Length..]}", text);

    /// <summary>Jobs for this process, until the token is cancelled; then those that are here, and the end.
    /// </summary>
    /// <param name="ahead">How many may be here before somebody receives them. AckWait has begun for them: no
    /// more than are done in a part of it.</param>
    /// <param name="stop">No more jobs.</param>
    internal ReceiveChan<INatsJSMsg<string>> TakeJobs(int ahead, CancellationToken stop)
    {
        ConsumerConfig workers = new("workers")
        {
            AckPolicy = ConsumerConfigAckPolicy.Explicit,
            AckWait = AckWait,
            MaxAckPending = -1, // Of all workers together; each limits its own.
        };
        INatsJSConsumer consumer = Ask(() => _streams.CreateOrUpdateConsumerAsync(Jobs, workers, stop));
        NatsJSConsumeOpts options = new() { MaxMsgs = ahead, DrainOnCancel = true };
        // The token is for ConsumeAsync only: ToChan would drop the job that it has in its hands.
        return consumer.ConsumeAsync<string>(opts: options, cancellationToken: stop)
            .ToChan(cancellationToken: CancellationToken.None);
    }

    /// <summary>The answers to a caller, from the first on and in the order in which they came.</summary>
    internal ReceiveChan<INatsJSMsg<string>> TakeAnswers(string caller, CancellationToken stop)
    {
        NatsJSOrderedConsumerOpts options = new() { FilterSubjects = [$"answers.{caller}.*"] };
        INatsJSConsumer consumer = Ask(() => _streams.CreateOrderedConsumerAsync(Answers, options, stop));
        return consumer.ConsumeAsync<string>(cancellationToken: stop).ToChan(cancellationToken: stop);
    }

    /// <summary>Waits for the server; asks again if no reply comes. Nothing that is asked here does harm if it
    /// is done twice.</summary>
    private static T Ask<T>(Func<ValueTask<T>> request)
    {
        for (int tries = 1; ; tries++)
        {
            try
            {
                return Go.Await(request());
            }
            catch (NatsException) when (tries < Tries)
            {
                Thread.Sleep(s_pause);
            }
        }
    }

    private void Create(StreamConfig stream) => Ask(() => _streams.CreateOrUpdateStreamAsync(stream));

    /// <summary>Returns when the server has it. False: it had one of that subject before, which is this one
    /// if only the reply was lost.</summary>
    private bool Publish(string subject, string text)
    {
        NatsJSPubOpts options = new() { MsgId = subject };
        PubAckResponse stored = Ask(() => _streams.PublishAsync(subject, text, opts: options));
        return stored.Error is null ? !stored.Duplicate : throw new NatsJSApiException(stored.Error);
    }
}
