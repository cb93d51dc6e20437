// A socket address as the kernel has it, in 112 bytes, and as .NET has it.
//
//   sockaddr_in    family 2, port 2 (big-endian), address 4, zeros 8
//   sockaddr_in6   family 2, port 2 (big-endian), flow 4, address 16, scope 4
//   sockaddr_un    family 2, path up to 108, ended by a zero; a zero first: a name in the abstract space
//
// An IPv4 peer of an IPv6 socket is shown as the IPv4 address that it is.

using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using Weft.Runtime;

namespace Weft;

[InlineArray(MaxLength)]
internal struct RawAddress
{
    internal const int MaxLength = 112;

    private const int MaxPath = 107;
    private const int PathAt = 2;
    private const int LengthV4 = 16;
    private const int LengthV6 = 28;

    private byte _first;

    /// <summary>The family that a socket for this end point has.</summary>
    internal static int Family(EndPoint endPoint) => endPoint.AddressFamily switch
    {
        AddressFamily.InterNetwork => Posix.AF_INET,
        AddressFamily.InterNetworkV6 => Posix.AF_INET6,
        _ => Posix.AF_UNIX,
    };

    /// <summary>Writes it; the length. For a socket of that family: an IPv4 address becomes one that is
    /// mapped into IPv6. Throws ArgumentException for a path that is too long.</summary>
    internal static int Write(EndPoint endPoint, int family, Span<byte> to)
    {
        to.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(to, (ushort)family);
        if (endPoint is IPEndPoint ip)
        {
            BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)ip.Port);
            if (family == Posix.AF_INET)
            {
                _ = ip.Address.TryWriteBytes(to[4..], out _);
                return LengthV4;
            }
            IPAddress address = ip.AddressFamily == AddressFamily.InterNetwork
                ? ip.Address.MapToIPv6()
                : ip.Address;
            _ = address.TryWriteBytes(to[8..], out _);
            BinaryPrimitives.WriteUInt32LittleEndian(to[24..], (uint)address.ScopeId);
            return LengthV6;
        }
        string path = PathOf(endPoint);
        int bytes = Encoding.UTF8.GetByteCount(path);
        if (bytes > MaxPath)
        {
            throw new ArgumentException($"A unix socket's path has {MaxPath} bytes at most: '{path}'.");
        }
        _ = Encoding.UTF8.GetBytes(path, to[PathAt..]);
        if (path.StartsWith('@'))
        {
            to[PathAt] = 0; // Go writes the abstract space so.
            return PathAt + bytes;
        }
        return PathAt + bytes + 1;
    }

    /// <summary>Reads it; null when there is none.</summary>
    internal static EndPoint? Read(ReadOnlySpan<byte> from)
    {
        if (from.Length < PathAt)
        {
            return null;
        }
        int family = BinaryPrimitives.ReadUInt16LittleEndian(from);
        if (family == Posix.AF_INET && from.Length >= LengthV4)
        {
            return new IPEndPoint(
                new IPAddress(from[4..8]), BinaryPrimitives.ReadUInt16BigEndian(from[2..]));
        }
        if (family == Posix.AF_INET6 && from.Length >= LengthV6)
        {
            IPAddress address = new(from[8..24], BinaryPrimitives.ReadUInt32LittleEndian(from[24..]));
            return new IPEndPoint(
                address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address,
                BinaryPrimitives.ReadUInt16BigEndian(from[2..]));
        }
        if (family != Posix.AF_UNIX)
        {
            return null;
        }
        ReadOnlySpan<byte> path = from[PathAt..];
        bool isAbstract = path.Length > 1 && path[0] == 0;
        if (!isAbstract && path.IndexOf((byte)0) is int end and >= 0)
        {
            path = path[..end];
        }
        return path.IsEmpty
            ? null
            : new UnixDomainSocketEndPoint(
                isAbstract ? "\0" + Encoding.UTF8.GetString(path[1..]) : Encoding.UTF8.GetString(path));
    }

    /// <summary>The path of a unix end point, @ first for the abstract space.</summary>
    internal static string PathOf(EndPoint endPoint) => endPoint.ToString()!;
}
