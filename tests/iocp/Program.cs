// The completion port alone: time limits, Break, operations that end, are cancelled, or are many. Prints a line
// for each check; the exit code is the number of those that failed.

using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using TerraFX.Interop.Windows;
using Weft.Runtime;
using static TerraFX.Interop.Windows.Windows;

int failed = 0;
Expect(Iocp.Start() == 0, "a port is made");
TimeLimits();
Breaks();
Operations();
Cancellation();
FewAtATime();
Many();
Console.WriteLine(failed == 0 ? "right" : $"{failed} wrong");
return failed;

void Expect(bool condition, string what)
{
    Console.WriteLine($"{(condition ? "passed" : "FAILED")} {what}");
    failed += condition ? 0 : 1;
}

unsafe void TimeLimits()
{
    PollReport report;
    long start = Stopwatch.GetTimestamp();
    Expect(Iocp.Poll(&report, 1, 0) == 0, "nothing is reported");
    Expect(Stopwatch.GetElapsedTime(start).TotalMilliseconds < 1000, "Poll(0) does not wait");
    start = Stopwatch.GetTimestamp();
    Expect(Iocp.Poll(&report, 1, 50_000_000) == 0, "nothing is reported in 50 ms");
    Expect(Stopwatch.GetElapsedTime(start).TotalMilliseconds >= 49, "it waits for so long");
}

unsafe void Breaks()
{
    PollReport report;
    Iocp.Break();
    Iocp.Break();
    Expect(Iocp.Poll(&report, 1, 0) == 0, "a Poll that does not wait leaves a Break be");
    long start = Stopwatch.GetTimestamp();
    Expect(Iocp.Poll(&report, 1, 5_000_000_000) == 0, "one that would wait ends");
    Expect(Stopwatch.GetElapsedTime(start).TotalSeconds < 4, "at once");
    start = Stopwatch.GetTimestamp();
    Expect(Iocp.Poll(&report, 1, 50_000_000) == 0, "the next one waits");
    Expect(Stopwatch.GetElapsedTime(start).TotalMilliseconds >= 49, "two Breaks are one");
    Thread other = new(() =>
    {
        Thread.Sleep(50);
        Iocp.Break();
    });
    other.Start();
    Expect(Iocp.Poll(&report, 1, -1) == 0, "a Break ends a Poll without a limit");
    other.Join();
}

unsafe void Operations()
{
    (Socket near, Socket far) = Pair();
    const ulong name = 0x5_0000_0007;
    Expect(Iocp.Add(near.Handle, name) == 0, "a socket is added");
    IocpOperation* operation = NewOperation();
    PollReport report;
    Receive(near, operation, name, null, 0);
    Expect(Iocp.Poll(&report, 1, 0) == 0, "nothing has arrived");
    _ = far.Send("hello"u8);
    Expect(Iocp.Poll(&report, 1, 5_000_000_000) == 1, "an arrival is reported");
    Expect(report.Name == name && report.Events == PollEvents.Read, "under its name, for reading");
    Expect(operation->Status == 0 && operation->Bytes == 0, "as a read of nothing that succeeded");

    byte* buffer = (byte*)NativeMemory.AllocZeroed(16);
    Receive(near, operation, name + 1, buffer, 16);
    Expect(Iocp.Poll(&report, 1, 5_000_000_000) == 1, "a read is reported");
    Expect(report.Name == name + 1, "under the operation's name, not the handle's");
    Expect(operation->Bytes == 5 && new Span<byte>(buffer, 5).SequenceEqual("hello"u8), "with its bytes");

    operation->Prepare(name, PollEvents.Write);
    WSABUF part = new() { len = 5, buf = (sbyte*)buffer };
    uint sent;
    int result = WSASend(
        (SOCKET)near.Handle, &part, 1, &sent, 0, &operation->Overlapped, null);
    Expect(result == 0 || WSAGetLastError() == WSA.WSA_IO_PENDING, "a write is started");
    Expect(Iocp.Poll(&report, 1, 5_000_000_000) == 1, "a write is reported");
    Expect(report.Name == name && report.Events == PollEvents.Write, "for writing");
    byte[] answer = new byte[16];
    Expect(far.Receive(answer) == 5, "and has been made");
    near.Dispose();
    far.Dispose();
}

unsafe void Cancellation()
{
    (Socket near, Socket far) = Pair();
    Expect(Iocp.Add(near.Handle, 3) == 0, "another socket is added");
    Expect(Iocp.Remove(near.Handle) == 0, "Remove with nothing under way succeeds");
    IocpOperation* operation = NewOperation();
    Receive(near, operation, 3, null, 0);
    Expect(Iocp.Remove(near.Handle) == 0, "Remove cancels what is under way");
    PollReport report;
    Expect(Iocp.Poll(&report, 1, 5_000_000_000) == 1 && report.Name == 3, "which is reported still");
    Expect(operation->Status == STATUS.STATUS_CANCELLED, "as cancelled");
    near.Dispose();
    far.Dispose();
}

unsafe void FewAtATime()
{
    (Socket near, Socket far) = Pair();
    Expect(Iocp.Add(near.Handle, 9) == 0, "a third is added");
    byte* buffer = (byte*)NativeMemory.AllocZeroed(10);
    for (int i = 0; i < 10; i++)
    {
        Receive(near, NewOperation(), (ulong)i, buffer + i, 1);
    }
    _ = far.Send("0123456789"u8);
    PollReport* reports = stackalloc PollReport[2];
    ulong names = 0;
    int count = 0;
    for (int i = 0; count < 10 && i < 100; i++)
    {
        int got = Iocp.Poll(reports, 2, 1_000_000_000);
        for (int j = 0; j < got; j++)
        {
            names |= 1ul << (int)reports[j].Name;
        }
        count += got;
    }
    Expect(count == 10 && names == (1ul << 10) - 1, "ten reads, two reports at a time: each once");
    near.Dispose();
    far.Dispose();
}

unsafe void Many()
{
    const int sockets = 50;
    const int rounds = 40;
    List<(Socket Near, Socket Far)> pairs = [];
    IocpOperation*[] operations = new IocpOperation*[sockets];
    for (int i = 0; i < sockets; i++)
    {
        pairs.Add(Pair());
        _ = Iocp.Add(pairs[i].Near.Handle, (ulong)i);
        operations[i] = NewOperation();
        Receive(pairs[i].Near, operations[i], (ulong)i, null, 0);
    }
    Thread sender = new(() =>
    {
        for (int round = 0; round < rounds; round++)
        {
            foreach ((Socket _, Socket far) in pairs)
            {
                _ = far.Send("x"u8);
            }
        }
    });
    sender.Start();
    PollReport* reports = stackalloc PollReport[16];
    byte[] buffer = new byte[rounds];
    int received = 0;
    long start = Stopwatch.GetTimestamp();
    while (received < sockets * rounds && Stopwatch.GetElapsedTime(start).TotalSeconds < 30)
    {
        int count = Iocp.Poll(reports, 16, 1_000_000_000);
        for (int i = 0; i < count; i++)
        {
            int number = (int)reports[i].Name;
            received += pairs[number].Near.Receive(buffer);
            Receive(pairs[number].Near, operations[number], (ulong)number, null, 0);
        }
    }
    sender.Join();
    Expect(received == sockets * rounds, $"{received} of {sockets * rounds} bytes through {sockets} sockets");
}

unsafe IocpOperation* NewOperation() => (IocpOperation*)NativeMemory.AllocZeroed((nuint)sizeof(IocpOperation));

unsafe void Receive(Socket socket, IocpOperation* operation, ulong name, byte* buffer, int size)
{
    operation->Prepare(name, PollEvents.Read);
    WSABUF part = new() { len = (uint)size, buf = (sbyte*)buffer };
    uint flags = 0;
    int result = WSARecv(
        (SOCKET)socket.Handle, &part, 1, null, &flags, &operation->Overlapped, null);
    if (result != 0 && WSAGetLastError() != WSA.WSA_IO_PENDING)
    {
        Expect(false, $"a read is started: error {WSAGetLastError()}");
    }
}

(Socket Near, Socket Far) Pair()
{
    using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
    listener.Listen();
    Socket far = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    far.Connect(listener.LocalEndPoint!);
    return (listener.Accept(), far);
}
