// Console's standard input on goroutines: who reads a pipe or a terminal parks, and both are left as they
// were.

using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class ConsoleWaitTests
{
    private const int LineLength = 300;

    [Test]
    [Arguments("line")]
    [Arguments("stream")]
    public async Task WhoReadsStandardInputFromAPipeParks(string kind)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!, ["--child", "console-input", kind])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        string? first = await process.StandardOutput.ReadLineAsync();
        await process.StandardInput.WriteLineAsync("a line");
        string rest = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();

        await Assert.That(first).IsEqualTo("parked");
        await Assert.That(rest).IsEqualTo("a line\n");
        await Assert.That(process.ExitCode).IsEqualTo(0);
    }

    [Test]
    [Arguments(1)]
    [Arguments(4)]
    public async Task ManyLinesIntoAPipeThatNobodyReadsYetTakeFewThreads(int procs)
    {
        const int count = 400;
        string command = $"{{ \"$0\" --child console-output {count}; echo $?; }} | (sleep 0.5; cat)";
        ChildResult child = ChildProcess.Execute(
            "/bin/sh",
            ["-c", command, Environment.ProcessPath!],
            environment: new() { ["WEFT_MAXPROCS"] = $"{procs}" });
        string[] lines = child.Output.TrimEnd().Split('\n');

        await Assert.That(lines[^1]).IsEqualTo("0");
        await Assert.That(lines.Length).IsEqualTo(count + 1);
        await Assert.That(lines.Distinct().Count()).IsEqualTo(count + 1);
        await Assert.That(lines.SkipLast(1).All(line => line.Length == LineLength)).IsTrue();
        await Assert.That(int.Parse(child.Error)).IsLessThan(count / 4); // Threads, at the most.
    }

    /// <summary>Each of so many goroutines prints a line, more than a pipe takes. Says how many threads there
    /// were.</summary>
    internal static int PrintLines(string[] args) => WeftHost.Run(() =>
    {
        int count = int.Parse(args[0]);
        int most = 0;
        WaitGroup done = new();
        for (int i = 0; i < count; i++)
        {
            string line = $"{i} ".PadRight(LineLength, 'x');
            done.Go(() => Console.WriteLine(line));
        }
        for (int i = 0; i < 20; i++)
        {
            most = Math.Max(most, Scheduler.MachineCount);
            Thread.Sleep(10);
        }
        done.Wait();
        Console.Error.Write(most);
        return 0;
    });

    // One after the other on the same terminal; the last one ends while a goroutine waits there.
    [Test]
    public async Task WhoReadsATerminalParksAndItIsLeftAsItWas()
    {
        using PseudoTerminal terminal = PseudoTerminal.Open();
        Skip.When(!terminal.IsOpen, "no pseudo-terminals here");
        string before = terminal.Mode();
        const string commands =
            "for kind in line stream file leave leave-file mode; do \"$1\" --child console-input $kind; done";
        ProcessStartInfo start = new(
            "/bin/sh", ["-c", $"exec <> \"$0\"; {commands}", terminal.Name, Environment.ProcessPath!])
        {
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        List<string> lines = [];
        while (await process.StandardOutput.ReadLineAsync() is string line)
        {
            if (line == "parked" && lines.Count < 6)
            {
                terminal.Write("typed\n"u8);
            }
            lines.Add(line);
        }
        await process.WaitForExitAsync();

        await Assert.That(string.Join(' ', lines))
            .IsEqualTo("parked typed parked typed parked typed parked parked blocking");
        await Assert.That(terminal.Mode()).IsEqualTo(before);
    }

    /// <summary>Says when the one who reads has parked, and no thread is blocked; then copies a line.
    /// </summary>
    internal static int Program(string[] args)
    {
        if (args[0] == "mode")
        {
            Console.WriteLine(Os.IsNonBlocking(0) == 0 ? "blocking" : "not blocking");
            return 0;
        }
        return WeftHost.Run(() =>
        {
            bool leaves = args[0].StartsWith("leave", StringComparison.Ordinal);
            using Stream output = Console.OpenStandardOutput();
            string line = "";
            WaitGroup done = new();
            done.Go(() => line = Read(args[0]));
            while (Scheduler.NetworkWaiters == 0 || Go.Stats().BlockedMachines != 0)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(1));
            }
            output.Write("parked\n"u8);
            if (!leaves)
            {
                done.Wait();
                output.Write(Encoding.UTF8.GetBytes(line + "\n"));
            }
            return 0;
        });
    }

    private static string Read(string kind)
    {
        if (kind is "line" or "leave")
        {
            return Console.ReadLine() ?? "";
        }
        using Stream input = kind == "stream" ? Console.OpenStandardInput() : PollFile.OpenStandardInput();
        byte[] bytes = new byte[100];
        int count = input.Read(bytes);
        return Encoding.UTF8.GetString(bytes, 0, count).TrimEnd('\n');
    }

    /// <summary>A pair of descriptors: what is written to the one is typed at the other.</summary>
    private sealed partial class PseudoTerminal : IDisposable
    {
        private const int NoControllingTerminal = 0x100;
        private const int ReadWrite = 2;
        private const uint SetLock = 0x40045431;
        private const uint GetNumber = 0x80045430;

        private int _typing = -1;
        private int _other = -1;

        internal string Name { get; private set; } = "";

        internal bool IsOpen => _other >= 0;

        internal static unsafe PseudoTerminal Open()
        {
            PseudoTerminal terminal = new();
            int number = 0;
            terminal._typing = Open("/dev/ptmx", ReadWrite | NoControllingTerminal);
            if (terminal._typing >= 0 && Control(terminal._typing, SetLock, &number) == 0
                && Control(terminal._typing, GetNumber, &number) == 0)
            {
                terminal.Name = $"/dev/pts/{number}";
                terminal._other = Open(terminal.Name, ReadWrite | NoControllingTerminal);
            }
            return terminal;
        }

        internal unsafe void Write(ReadOnlySpan<byte> bytes)
        {
            fixed (byte* first = bytes)
            {
                if (Write(_typing, first, bytes.Length) != bytes.Length)
                {
                    throw new IOException("write to a pseudo-terminal");
                }
            }
        }

        /// <summary>All of struct termios.</summary>
        internal unsafe string Mode()
        {
            byte* mode = stackalloc byte[60];
            int error = GetMode(_other, mode);
            return error == 0 ? Convert.ToHexString(new ReadOnlySpan<byte>(mode, 60)) : "none";
        }

        public void Dispose()
        {
            _ = Close(_other);
            _ = Close(_typing);
        }

        [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
        private static partial int Open(string path, int flags);

        [LibraryImport("libc", EntryPoint = "ioctl")]
        private static unsafe partial int Control(int fd, nuint request, int* value);

        [LibraryImport("libc", EntryPoint = "tcgetattr")]
        private static unsafe partial int GetMode(int fd, byte* mode);

        [LibraryImport("libc", EntryPoint = "write")]
        private static unsafe partial nint Write(int fd, byte* bytes, nint count);

        [LibraryImport("libc", EntryPoint = "close")]
        private static partial int Close(int fd);
    }
}
