// weave proxy: carries bytes between each connection and a target.
//
//   client --goroutine--> target         An end of input is passed on as an end of output, so either side
//   client <--goroutine-- target         may finish before the other. A broken side ends both.
//
// One that does not read holds up the other by itself: its goroutine waits in Write, and reads no more.

using System.Runtime.CompilerServices;
using Weave.Files;
using Weft;

namespace Weave.Serve;

internal static class ProxyCommand
{
    private const int BufferSize = 64 * 1024;

    internal static int Run(ServerOptions options, string target, TimeSpan dialTime)
    {
        Pool<byte[]> buffers = new(() => GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true));
        Server server = new(
            options, (_, transport) => new ProxyConnection(transport, target, dialTime, buffers));
        return Acceptor.Serve(server, options);
    }

    private sealed class ProxyConnection(
        Transport client, string target, TimeSpan dialTime, Pool<byte[]> buffers) : Connection(client)
    {
        internal override void Serve()
        {
            Transport server;
            try
            {
                server = Acceptor.Dial(target, dialTime);
            }
            catch (IOException e)
            {
                Output.WriteError($"weave: {target}: {e.Message}\n");
                return;
            }

            using (server)
            {
                WaitGroup done = new();
                done.Go(() => Carry(Transport, server));
                Carry(server, Transport);
                done.Wait();
            }
        }

        private void Carry(Transport from, Transport to)
        {
            try
            {
                while (from.WaitReadable() && CarrySome(from, to))
                {
                }

                to.CloseWrite();
            }
            catch (Exception e) when (e is IOException or TimeoutException)
            {
                from.Abort();
                to.Abort();
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private bool CarrySome(Transport from, Transport to)
        {
            byte[] buffer = buffers.Get();
            try
            {
                int count = from.Read(buffer);
                to.Write(buffer.AsSpan(0, count));
                return count > 0;
            }
            finally
            {
                buffers.Put(buffer);
            }
        }
    }
}
