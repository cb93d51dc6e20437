// weave echo: sends back what each connection sends. As little as a server can do; for measuring the
// network, and the TLS of .NET on goroutines.

using System.Runtime.CompilerServices;

namespace Weave.Serve;

internal static class EchoCommand
{
    private const int BufferSize = 64 * 1024;
    private const int BuffersKept = 256;

    internal static int Run(ServerOptions options)
    {
        Pool<byte[]> buffers = new(
            () => GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true), BuffersKept);
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
            byte[] buffer = buffers.Take();
            try
            {
                int count = Transport.Read(buffer);
                Transport.Write(buffer.AsSpan(0, count));
                return count > 0;
            }
            finally
            {
                buffers.Give(buffer);
            }
        }
    }
}
