// Go's networks and address strings, as end points.
//
//   tcp, tcp4, tcp6, udp, udp4, udp6     "host:port"; host: nothing, a name, 127.0.0.1, [::1], [fe80::1%2]
//   unix                                 a path; "@name" in Linux's abstract space
//
// Ports are numbers; Go looks names like "http" up in /etc/services as well. A name is looked up by the
// system's resolver, in a native call: it blocks a thread, not the program, and cannot be cut short. So where
// the wait may have to end another goroutine looks up, and goes on alone when it does (as in Go).

using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using Weft.Runtime;

namespace Weft;

internal readonly struct NetAddress
{
    private NetAddress(string network, AddressFamily only, bool isStream)
    {
        Network = network;
        Only = only;
        IsStream = isStream;
    }

    internal string Network { get; }

    /// <summary>The family that the network is limited to, or Unspecified.</summary>
    internal AddressFamily Only { get; }

    internal bool IsStream { get; }

    internal int SocketType => IsStream ? Posix.SOCK_STREAM : Posix.SOCK_DGRAM;

    /// <summary>Throws ArgumentException for a network that it does not know.</summary>
    internal static NetAddress Parse(string network, bool streams)
    {
        ArgumentNullException.ThrowIfNull(network);
        return network switch
        {
            "tcp" when streams => new(network, AddressFamily.Unspecified, true),
            "tcp4" when streams => new(network, AddressFamily.InterNetwork, true),
            "tcp6" when streams => new(network, AddressFamily.InterNetworkV6, true),
            "unix" when streams => new(network, AddressFamily.Unix, true),
            "udp" => new(network, AddressFamily.Unspecified, false),
            "udp4" => new(network, AddressFamily.InterNetwork, false),
            "udp6" => new(network, AddressFamily.InterNetworkV6, false),
            "unixgram" => new(network, AddressFamily.Unix, false),
            _ => throw new ArgumentException($"The network '{network}' is not known here.", nameof(network)),
        };
    }

    /// <summary>What the address means, in the order to try; one at least. An empty host is all of this
    /// host to listen on, and this host itself to dial. Throws ArgumentException and SocketException; where
    /// the deadline, a time of Os.NowNs, or the token ends a look-up, TimedOut and
    /// OperationCanceledException.</summary>
    internal EndPoint[] Resolve(
        string address, bool listens, long deadline = TimerNode.Never, CancellationToken token = default)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (Only == AddressFamily.Unix)
        {
            return address.Length > 0
                ? [new UnixDomainSocketEndPoint(address[0] == '@' ? "\0" + address[1..] : address)]
                : throw Malformed(address, "the path is empty");
        }
        (string host, int port) = Split(address);
        if (host.Length == 0)
        {
            return [new IPEndPoint(EmptyHost(listens), port)];
        }
        if (IPAddress.TryParse(host, out IPAddress? literal))
        {
            return Only == AddressFamily.Unspecified || Only == literal.AddressFamily
                ? [new IPEndPoint(literal, port)]
                : throw Malformed(address, $"it is no address of {Network}");
        }
        IPAddress[] found = LookUp(host, Only, deadline, token);
        if (found.Length == 0)
        {
            throw new SocketException((int)SocketError.HostNotFound, $"{host}: no address of {Network}");
        }
        // IPv4 first, as Go prefers where it takes one address only.
        return [.. found.OrderBy(each => each.AddressFamily == AddressFamily.InterNetwork ? 0 : 1)
            .Select(each => new IPEndPoint(each, port))];
    }

    private static IPAddress[] LookUp(string host, AddressFamily only, long deadline, CancellationToken token)
    {
        if (deadline == TimerNode.Never && !token.CanBeCanceled)
        {
            return Dns.GetHostAddresses(host, only);
        }
        string what = $"look up {host}";
        Chan<object> answers = new(1); // Nobody may be there to take it.
        ReceiveCase<object> answer = new(answers);
        ReceiveCase<DateTimeOffset>? time = null;
        if (deadline != TimerNode.Never)
        {
            long left = deadline - Os.NowNs();
            if (left <= 0)
            {
                throw NetError.Of(Descriptor.ErrorExpired, what, token);
            }
            time = new(Time.After(TimeSpan.FromTicks((left / TimeSpan.NanosecondsPerTick) + 1)));
        }
        if (token.IsCancellationRequested)
        {
            throw NetError.OfWait(Descriptor.ErrorCancelled, what, token);
        }
        Go.Run(() => answers.Send(Answer(host, only)));
        switch (Select.WaitOrCancel([answer, time], token))
        {
            case 0:
                if (answer.Value is Exception failure)
                {
                    ExceptionDispatchInfo.Throw(failure);
                }
                return (IPAddress[])answer.Value;

            case 1:
                throw NetError.Of(Descriptor.ErrorExpired, what, token);

            default:
                throw NetError.OfWait(Descriptor.ErrorCancelled, what, token);
        }
    }

    /// <summary>The addresses, or the exception.</summary>
    private static object Answer(string host, AddressFamily only)
    {
        try
        {
            return Dns.GetHostAddresses(host, only);
        }
        catch (Exception e)
        {
            return e;
        }
    }

    private IPAddress EmptyHost(bool listens)
    {
        bool v4 = Only == AddressFamily.InterNetwork;
        if (!listens)
        {
            return Only == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Loopback : IPAddress.Loopback;
        }
        return v4 || (Only == AddressFamily.Unspecified && !HasV6()) ? IPAddress.Any : IPAddress.IPv6Any;
    }

    private static bool HasV6()
    {
        nint fd = Os.Socket(Posix.AF_INET6, Posix.SOCK_STREAM);
        if (fd >= 0)
        {
            _ = Os.CloseFile((int)fd);
        }
        return fd >= 0;
    }

    private static (string Host, int Port) Split(string address)
    {
        int colon = address.LastIndexOf(':');
        if (colon < 0)
        {
            throw Malformed(address, "the port is missing");
        }
        string host = address[..colon];
        if (host.StartsWith('['))
        {
            host = host.EndsWith(']') ? host[1..^1] : throw Malformed(address, "']' is missing");
        }
        else if (host.Contains(':'))
        {
            throw Malformed(address, "an IPv6 address stands in brackets");
        }
        ReadOnlySpan<char> digits = address.AsSpan(colon + 1);
        CultureInfo culture = CultureInfo.InvariantCulture;
        return ushort.TryParse(digits, NumberStyles.None, culture, out ushort port)
            ? (host, port)
            : throw Malformed(address, "the port is no number from 0 to 65535");
    }

    private static ArgumentException Malformed(string address, string why) =>
        new($"The address '{address}' cannot be used: {why}.", nameof(address));
}
