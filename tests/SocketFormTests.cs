// Which receives of a socket in non-blocking mode wait in Weft's poller (asm/sockets.c, is_synchronous): those
// of synchronous calls, and no others.

using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class SocketFormTests
{
    // As .NET lays them out for a synchronous call: the vector behind the header.
    [StructLayout(LayoutKind.Sequential)]
    private unsafe struct Message
    {
        internal byte* Address;
        internal byte** Vectors;
        internal byte* Control;
        internal int AddressSize;
        internal int VectorCount;
        internal int ControlSize;
        internal int Flags;
        internal byte* Buffer;
        internal nuint Size;
    }

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_ReceiveMessage")]
    private static unsafe partial int ReceiveMessage(nint socket, Message* message, int flags, long* count);

    private static readonly byte[] s_byte = [7];

    /// <summary>A pair of which the first is in non-blocking mode, as one that was used asynchronously.
    /// </summary>
    private static (Socket Receiver, Socket Sender) UsedBefore(Crew crew)
    {
        (Socket receiver, Socket sender) = SocketOutcomes.Pair();
        _ = sender.Send(s_byte);
        crew.Equal(Go.Await(receiver.ReceiveAsync(new byte[1])), 1, "received before");
        return (receiver, sender);
    }

    private static Task Later(Action action) => Go.RunAsync(() =>
    {
        Go.Sleep(TimeSpan.FromMilliseconds(20));
        action();
    });

    [Test]
    [Arguments("array")]
    [Arguments("span")]
    [Arguments("stream")]
    public async Task ASynchronousReceiveWaitsInThePoller(string how)
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Socket receiver, Socket sender) = UsedBefore(crew);
            using NetworkStream stream = new(receiver, ownsSocket: true);
            for (int i = 0; i < 5; i++)
            {
                long waits = SocketWait.Count;
                Task sent = Later(() => sender.Send(s_byte));
                byte[] buffer = new byte[9];
                int count = how switch
                {
                    "array" => receiver.Receive(buffer),
                    "span" => receiver.Receive(buffer.AsSpan(3)),
                    _ => stream.Read(buffer, 0, 5),
                };
                crew.Equal(count, 1, "received");
                crew.Expect(SocketWait.Count > waits, "waited in the poller");
                Go.Await(sent);
            }
            sender.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    // They may not: what completes them may come after them.
    [Test]
    [Arguments("memory")]
    [Arguments("list")]
    [Arguments("two")]
    [Arguments("from")]
    [Arguments("message")]
    [Arguments("arguments")]
    [Arguments("list-arguments")]
    public async Task AnAsynchronousReceiveDoesNot(string how)
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Socket receiver, Socket sender) = UsedBefore(crew);
            byte[] buffer = new byte[9];
            long waits = SocketWait.Count;
            Task<int> received = how switch
            {
                "memory" => receiver.ReceiveAsync(buffer.AsMemory()).AsTask(),
                "list" => receiver.ReceiveAsync([new ArraySegment<byte>(buffer)]),
                "two" => receiver.ReceiveAsync([new(buffer, 0, 1), new(buffer, 1, 1)]),
                "from" => Count(receiver.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0))),
                "message" => Count(receiver.ReceiveMessageFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0))),
                "arguments" => WithArguments(receiver, buffer, isList: false),
                _ => WithArguments(receiver, buffer, isList: true),
            };
            crew.Equal(SocketWait.Count - waits, 0, "waits in the poller");
            crew.Expect(!received.IsCompleted, "is not complete");
            _ = sender.Send(s_byte);
            crew.Equal(Go.Await(received), 1, "received");
            receiver.Dispose();
            sender.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments("array")]
    [Arguments("list")]
    public async Task OneThatMayNotWaitDoesNot(string how)
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Socket receiver, Socket sender) = UsedBefore(crew);
            receiver.Blocking = false;
            byte[] buffer = new byte[9];
            long waits = SocketWait.Count;
            int count = how == "array"
                ? receiver.Receive(buffer, SocketFlags.None, out SocketError error)
                : receiver.Receive([new ArraySegment<byte>(buffer)], SocketFlags.None, out error);
            crew.Equal(count, 0, "received");
            crew.Equal(error, SocketError.WouldBlock, "its answer");
            crew.Equal(SocketWait.Count - waits, 0, "waits in the poller");
            receiver.Dispose();
            sender.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    // An eighth of its time-out it waits in the poller, then .NET does.
    [Test]
    public async Task WhatComesLateIsReceivedAllTheSame()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Socket receiver, Socket sender) = UsedBefore(crew);
            receiver.ReceiveTimeout = 2_000;
            long waits = SocketWait.Count;
            Task sent = Go.RunAsync(() =>
            {
                Go.Sleep(TimeSpan.FromMilliseconds(500));
                _ = sender.Send(s_byte);
            });
            crew.Equal(receiver.Receive(new byte[1]), 1, "received");
            crew.Equal(SocketWait.Count - waits, 1, "waits in the poller");
            Go.Await(sent);
            receiver.Dispose();
            sender.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    // No form is promised. Who has that one and may not wait is late, not lost: after a second, or an eighth of
    // its time-out, it hears that there is nothing. By then nothing has been sent.
    [Test]
    [Arguments(0, 5_000)]
    [Arguments(1_600, 800)]
    public async Task WhatOnlyLooksSynchronousComesBack(int timeOutMs, int sentAfterMs)
    {
        if (timeOutMs > 0)
        {
            SocketOutcomes.SkipWithoutTimeOuts();
        }
        const int nothingYet = 0x10006; // Of the base library's errors.
        string? failure = Crew.Run(1, crew =>
        {
            (Socket receiver, Socket sender) = UsedBefore(crew);
            receiver.ReceiveTimeout = timeOutMs;
            ManualResetEventSlim isBack = new();
            crew.Go(() =>
            {
                if (!isBack.Wait(sentAfterMs))
                {
                    _ = sender.Send(s_byte);
                }
            });
            long waits = SocketWait.Count;
            crew.Equal(Receive(receiver), nothingYet, "its answer");
            crew.Equal(SocketWait.Count - waits, 1, "waits in the poller");
            isBack.Set();
            receiver.Dispose();
            sender.Dispose();
        });

        await Assert.That(failure).IsNull();

        static unsafe int Receive(Socket socket)
        {
            byte* buffer = stackalloc byte[1];
            long count;
            Message message = new() { VectorCount = 1, Buffer = buffer, Size = 1 };
            message.Vectors = &message.Buffer;
            return ReceiveMessage(socket.Handle, &message, 0, &count);
        }
    }

    private static async Task<int> Count(Task<SocketReceiveFromResult> received) =>
        (await received).ReceivedBytes;

    private static async Task<int> Count(Task<SocketReceiveMessageFromResult> received) =>
        (await received).ReceivedBytes;

    private static Task<int> WithArguments(Socket socket, byte[] buffer, bool isList)
    {
        TaskCompletionSource<int> received = new();
        SocketAsyncEventArgs arguments = new();
        if (isList)
        {
            arguments.BufferList = [new ArraySegment<byte>(buffer)];
        }
        else
        {
            arguments.SetBuffer(buffer);
        }
        arguments.Completed += (_, done) =>
        {
            received.SetResult(done.BytesTransferred);
            done.Dispose();
        };
        if (!socket.ReceiveAsync(arguments))
        {
            received.SetResult(-1);
        }
        return received.Task;
    }
}
