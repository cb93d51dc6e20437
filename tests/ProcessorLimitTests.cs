// How many processors a process may use, from cgroup files that the test writes, and that Go.MaxProcs follows.

using System.Diagnostics;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class ProcessorLimitTests
{
    [Test]
    [Arguments("150000 100000\n", 2)]
    [Arguments("250000 100000\n", 3)]
    [Arguments("400000 100000\n", 4)]
    [Arguments("10000 100000\n", 2)] // Never fewer than two by a share.
    [Arguments("max 100000\n", int.MaxValue)]
    [Arguments("", int.MaxValue)]
    [Arguments("nonsense\n", int.MaxValue)]
    public async Task TheShareIsRoundedUpAndTwoAtLeast(string max, int share)
    {
        using FakeGroups groups = new(v2: true);
        groups.Write("pod/cpu.max", max);

        await Assert.That(groups.Read().Share()).IsEqualTo(share);
    }

    [Test]
    public async Task TheSmallestShareOfAGroupAndThoseAboveItCounts()
    {
        using FakeGroups groups = new(v2: true);
        groups.Write("cpu.max", "max 100000\n");
        groups.Write("pod/cpu.max", "300000 100000\n");
        groups.Write("pod/box/cpu.max", "500000 100000\n");

        await Assert.That(groups.Read("/pod/box").Share()).IsEqualTo(3);
    }

    [Test]
    public async Task AChangeIsSeen()
    {
        using FakeGroups groups = new(v2: true);
        groups.Write("pod/cpu.max", "300000 100000\n");
        ProcessorLimit limit = groups.Read();
        groups.Write("pod/cpu.max", "700000 100000\n");

        await Assert.That(limit.Share()).IsEqualTo(7);
    }

    [Test]
    [Arguments("350000\n", 4)]
    [Arguments("-1\n", int.MaxValue)]
    public async Task Version1HasItsOwnFiles(string quota, int share)
    {
        using FakeGroups groups = new(v2: false);
        groups.Write("pod/cpu.cfs_quota_us", quota);
        groups.Write("pod/cpu.cfs_period_us", "100000\n");

        await Assert.That(groups.Read().Share()).IsEqualTo(share);
    }

    [Test]
    public async Task WithoutCgroupsTheAffinityAloneCounts()
    {
        ProcessorLimit limit = new("/nowhere");

        await Assert.That(limit.Share()).IsEqualTo(int.MaxValue);
        await Assert.That(limit.Count()).IsGreaterThan(0);
    }

    [Test]
    public async Task MaxProcsFollowsTheAffinity()
    {
        Skip.When(Environment.ProcessorCount < 2, "one processor: there is nothing to take away");
        ChildResult child = ChildProcess.Run("follow-affinity", [], new() { ["WEFT_MAXPROCS"] = "" });

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        await Assert.That(child.Output).IsEqualTo("1, all, kept 1, all\n");
    }

    internal static int FollowAffinity(string[] _) => WeftHost.Run(() =>
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }
        using Process self = Process.GetCurrentProcess();
        nint all = self.ProcessorAffinity;
        int most = Go.MaxProcs;
        string Waits(int wanted)
        {
            for (int i = 0; i < 2000 && Go.MaxProcs != wanted; i++)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(10));
            }
            return Go.MaxProcs == 1 ? "1" : Go.MaxProcs == most ? "all" : $"{Go.MaxProcs}";
        }
        self.ProcessorAffinity = all & -all;
        Console.Write($"{Waits(1)}, ");
        self.ProcessorAffinity = all;
        Console.Write($"{Waits(most)}, ");
        Go.MaxProcs = 1; // The program's own number stays.
        Go.Sleep(TimeSpan.FromSeconds(2.5));
        Console.Write($"kept {Go.MaxProcs}, ");
        Go.SetDefaultMaxProcs();
        Console.WriteLine(Waits(most));
    });

    /// <summary>A folder that looks like /proc/self, and one that looks like a mounted hierarchy.</summary>
    private sealed class FakeGroups : IDisposable
    {
        private readonly string _root = Directory.CreateTempSubdirectory("weft-groups-").FullName;
        private readonly bool _v2;

        internal FakeGroups(bool v2)
        {
            _v2 = v2;
            Write("mountinfo", v2
                ? $"30 20 0:26 / {_root} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
                : $"30 20 0:26 / {_root}/none rw - cgroup2 cgroup2 rw\n"
                    + $"31 20 0:27 / {_root} rw,nosuid shared:9 - cgroup cgroup rw,cpuacct,cpu\n");
        }

        internal void Write(string file, string text)
        {
            string path = Path.Combine(_root, file);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }

        internal ProcessorLimit Read(string group = "/pod")
        {
            Write("cgroup", _v2 ? $"0::{group}\n" : $"5:cpuset:/elsewhere\n4:cpuacct,cpu:{group}\n0::/none\n");
            return new ProcessorLimit(_root);
        }

        public void Dispose() => Directory.Delete(_root, recursive: true);
    }
}
