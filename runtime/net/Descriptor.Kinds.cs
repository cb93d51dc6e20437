// Where reads and writes differ with what the descriptor is: DescriptorKind.

using Weft.Runtime;

namespace Weft;

internal sealed unsafe partial class Descriptor
{
    private nint ReadNow(byte* buffer, nint count) => Kind == DescriptorKind.SharedSocket
        ? Os.ReceiveNow(_fd, buffer, count)
        : Os.Read(_fd, buffer, count);

    private nint WriteNow(byte* buffer, nint count) => Kind == DescriptorKind.SharedSocket
        ? Os.SendNow(_fd, buffer, count)
        : Os.Write(_fd, buffer, count);

    /// <summary>Whether something empty is to be sent all the same.</summary>
    private bool IsMessage(bool isEmpty) => isEmpty && Kind == DescriptorKind.Datagrams;

    private nint WriteEmpty()
    {
        while (true)
        {
            nint n = Os.Write(_fd, null, 0);
            nint error = n >= 0 ? 0 : Again(n, PollMode.Write);
            if (n >= 0 || error != 0)
            {
                return error;
            }
        }
    }

    private static nint Length(nint* vector, int count)
    {
        nint sum = 0;
        for (int i = 0; i < count; i++)
        {
            sum += vector[(2 * i) + 1];
        }
        return sum;
    }

    private nint WriteAll(byte* buffer, nint count)
    {
        if (_pd != null)
        {
            PollDescriptor.Forget(_pd, PollMode.Write);
            nint stopped = Stopped(PollMode.Write);
            if (stopped != 0)
            {
                return stopped;
            }
        }
        if (IsMessage(count == 0))
        {
            return WriteEmpty();
        }
        for (nint done = 0; done < count;)
        {
            nint n = _pd == null
                ? Os.WriteBlocking(_fd, buffer + done, count - done)
                : WriteNow(buffer + done, Math.Min(count - done, Os.LongestTransfer));
            if (n >= 0)
            {
                done += n;
                continue;
            }
            nint error = Again(n, PollMode.Write);
            if (error != 0)
            {
                return error;
            }
        }
        return 0;
    }
}
