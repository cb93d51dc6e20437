// weave echo: sends back what each connection sends. As little as a server can do; for measuring the
// network, and the TLS of .NET on goroutines.

using System.Runtime.CompilerServices;
using Weft;

namespace Weave.Serve;

internal static class EchoCommand
{
    private const int BufferSize = 64 * 1024;

    internal static int Run(ServerOptions options)
    {
        Pool<byte[]> buffers = new(() => GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true));
        Server server = new(options, (server, transport) => new EchoConnection(server, transport, buffers));
        return Acceptor.Serve(server, options);
    }

    private sealed class EchoConnection(Server server, Transport transport, Pool<byte[]> buffers)
        : Connection(transport)
    {
        internal override void Serve()
        {
            // No buffer while there is nothing to read: many connections may wait.
            while (Transport.WaitReadable() && !server.IsDraining && Copy())
            {
            }
        }

        internal override void Drain() => Transport.Wake();

        [MethodImpl(MethodImplOptions.NoInlining)]
        private bool Copy()
        {
            byte[] buffer = buffers.Get();
            try
            {
                int count = Transport.Read(buffer);
                Transport.Write(buffer.AsSpan(0, count));
                return count > 0;
            }
            finally
            {
                buffers.Put(buffer);
            }
        }
    }
}
