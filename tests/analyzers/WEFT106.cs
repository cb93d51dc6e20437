namespace Weft.Examples;

internal sealed class CaseTwice(ReceiveCase<int> property, Chan<int> channel)
{
    private readonly ReceiveCase<int> _case = property;

    private ReceiveCase<int> New => channel.ReceiveCase();

    internal void Wrong(SendCase<int> send, ReceiveCase<int> receive, CancellationToken token)
    {
        _ = Select.Wait(send, receive, send); // WEFT106
        _ = Select.Wait(token, send, receive, receive); // WEFT106
        _ = Select.TryWait(_case, this._case); // WEFT106
        _ = Select.Run(send, send); // WEFT106
        _ = Select.TryRun(send, receive, send); // WEFT106
    }

    internal void Right(SendCase<int> send, CaseTwice other, SelectCase[] cases)
    {
        ReceiveCase<int> receive = channel.ReceiveCase();
        _ = Select.Wait(send, receive, _case, other._case);
        _ = Select.Wait(New, New);
        _ = Select.Wait(channel.ReceiveCase(), channel.ReceiveCase());
        _ = Select.Wait(cases[0], cases[1]);
        _ = Select.Wait(null, null, send);
        _ = Select.Wait(send, receive);
        _ = Select.Wait(send, receive);
    }
}
