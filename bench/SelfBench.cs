// What one goroutine does with channels of its own, and starts in small lots: operation by operation the same
// as native/bench/costs.c does through the C face, so that the difference is the price of that.
// native/bench/run.sh sets them side by side.

using System.Diagnostics;

namespace Weft.Bench;

internal static class SelfBench
{
    private const int Operations = 500_000;
    private const int Capacity = 16;
    private const int AtOnce = 64;

    internal static Question[] Questions =>
    [
        Question.One("self_goroutine", "ns", "Go.Id, on a goroutine", () => Drive.On(1, Id)),
        Question.One("self_chan_1p", "ns", "send and receive by one goroutine, buffered",
            () => Drive.On(1, SendAndReceive)),
        Question.One("self_try_1p", "ns", "try to receive from an empty channel", () => Drive.On(1, Try)),
        Question.One("self_select2_1p", "ns", "send, and select of two receives, by one goroutine",
            () => Drive.On(1, SendAndSelect)),
        Question.One("self_token_1p", "ns", "send and receive by one goroutine, buffered, with a token that has a time",
            () => Drive.On(1, SendAndReceiveInTime)),
        Question.One("self_pingpong_token_1p", "ns", "round trip, unbuffered, with a token that has a time",
            () => Drive.On(1, RoundTripInTime)),
        Question.One("self_spawn64_1p", "ns", "start and wait, 64 at a time",
            () => Drive.On(1, () => SpawnBench.Spawn(AtOnce * 1000, AtOnce))),
    ];

    private static double Id()
    {
        long sum = 0;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Operations; i++)
        {
            sum += Go.Id;
        }
        Drive.Check(sum > 0, "no goroutine");
        return Drive.Since(start) / Operations;
    }

    private static double SendAndReceive()
    {
        Chan<long> channel = new(Capacity);
        long sum = 0;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Operations; i++)
        {
            channel.Send(1);
            sum += channel.Receive();
        }
        Drive.Check(sum == Operations, "messages lost");
        return Drive.Since(start) / Operations;
    }

    private static double SendAndReceiveInTime()
    {
        Chan<long> channel = new(Capacity);
        using CancellationTokenSource source = new(TimeSpan.FromMinutes(1));
        CancellationToken token = source.Token;
        long sum = 0;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Operations; i++)
        {
            channel.Send(1, token);
            sum += channel.Receive(token);
        }
        Drive.Check(sum == Operations, "messages lost");
        return Drive.Since(start) / Operations;
    }

    /// <summary>The other one, who has no token, waits too.</summary>
    private static double RoundTripInTime()
    {
        Chan<long> to = new();
        Chan<long> back = new();
        Go.Run(() =>
        {
            while (to.Receive(out long value))
            {
                back.Send(value);
            }
        });
        using CancellationTokenSource source = new(TimeSpan.FromMinutes(1));
        CancellationToken token = source.Token;
        long sum = 0;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Operations; i++)
        {
            to.Send(1, token);
            sum += back.Receive(token);
        }
        Drive.Check(sum == Operations, "messages lost");
        to.Close();
        return Drive.Since(start) / Operations;
    }

    private static double Try()
    {
        Chan<long> channel = new(Capacity);
        int received = 0;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Operations; i++)
        {
            received += channel.TryReceive(out _) ? 1 : 0;
        }
        Drive.Check(received == 0, "something from nothing");
        return Drive.Since(start) / Operations;
    }

    private static double SendAndSelect()
    {
        Chan<long> channel = new(Capacity);
        Chan<long> other = new();
        ReceiveCase<long> receive = channel.ReceiveCase();
        SelectCase[] cases = [receive, other.ReceiveCase()];
        long sum = 0;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Operations; i++)
        {
            channel.Send(1);
            _ = Select.Wait(cases);
            sum += receive.Value;
        }
        Drive.Check(sum == Operations, "messages lost");
        return Drive.Since(start) / Operations;
    }
}
