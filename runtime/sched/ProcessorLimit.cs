// How many processors the process may use at this moment: as many as its affinity has, and no more than its
// cgroup's share of their time. Go: what GOMAXPROCS follows since 1.25.
//
//   affinity     sched_getaffinity of the main thread
//   cgroup v2    cpu.max of the process's group and of each above it:     "150000 100000", "max 100000"
//   cgroup v1    cpu.cfs_quota_us and cpu.cfs_period_us, likewise:        "150000" and "100000", "-1"
//
// A part of a processor counts as a whole one, and the share never makes it fewer than two, as in Go: with
// one alone, whoever computes would keep all others waiting, and a share is used up in bursts anyway.
//
// Where the files are is looked up once, by the base library. Reading them again is two or three raw system
// calls, so sysmon can do it (Scheduler.FollowLimit.cs). A process that is moved to another group keeps
// looking at its first one, as Go does. Locks: none; one reader at a time.

using Microsoft.Win32.SafeHandles;

namespace Weft.Runtime;

internal sealed unsafe class ProcessorLimit
{
    private const int FewestByShare = 2;
    private const int LongestNumber = 64;

    private readonly List<(SafeFileHandle Quota, SafeFileHandle? Period)> _groups = [];

    /// <summary>Looks for the process's cgroup under <paramref name="proc"/>, /proc/self but in tests. A
    /// system without cgroups, or one that hides them, has no share.</summary>
    internal ProcessorLimit(string proc)
    {
        try
        {
            if (Find(File.ReadAllLines(Path.Combine(proc, "cgroup")),
                File.ReadAllLines(Path.Combine(proc, "mountinfo"))) is (string mount, string group, bool v2))
            {
                Open(mount, group, v2);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What is known by then is used.
        }
    }

    /// <summary>What it is now; 0 where the system does not say.</summary>
    internal int Count()
    {
        int count = Os.CountAllowedProcessors();
        return count <= 0 ? 0 : Math.Min(count, Share());
    }

    /// <summary>The smallest share of all groups, in processors.</summary>
    internal int Share()
    {
        int share = int.MaxValue;
        long* numbers = stackalloc long[2];
        foreach ((SafeFileHandle quota, SafeFileHandle? period) in _groups)
        {
            int found = Read(quota, numbers, 2);
            found += period is not null && found == 1 ? Read(period, numbers + 1, 1) : 0;
            if (found == 2 && numbers[0] > 0 && numbers[1] > 0)
            {
                long whole = (numbers[0] + numbers[1] - 1) / numbers[1];
                share = (int)Math.Min(share, Math.Max(whole, FewestByShare));
            }
        }
        return share;
    }

    /// <summary>The numbers that the file begins with: "max" and what is negative count as none.</summary>
    private static int Read(SafeFileHandle file, long* numbers, int most)
    {
        byte* text = stackalloc byte[LongestNumber];
        nint length = Os.ReadAt((int)file.DangerousGetHandle(), text, LongestNumber, 0);
        int found = 0;
        bool inside = false;
        for (nint i = 0; i < length; i++)
        {
            bool digit = text[i] is >= (byte)'0' and <= (byte)'9';
            if (!digit && text[i] is not ((byte)' ' or (byte)'\n'))
            {
                return 0;
            }
            if (digit && !inside)
            {
                if (found == most)
                {
                    return found;
                }
                numbers[found++] = 0;
            }
            inside = digit;
            if (digit)
            {
                numbers[found - 1] = (numbers[found - 1] * 10) + (text[i] - '0');
            }
        }
        return found;
    }

    /// <summary>Where the hierarchy is mounted that limits the process's time, its group in it, and whether
    /// it is of version 2. One of version 1 with the cpu controller comes first: both may be there, and then
    /// version 2 has none.</summary>
    private static (string Mount, string Group, bool V2)? Find(string[] groups, string[] mounts)
    {
        // NUMBER:CONTROLLER,CONTROLLER:PATH
        string? Path(Func<string, bool> has) => groups.Select(line => line.Split(':', 3))
            .FirstOrDefault(parts => parts.Length == 3 && has(parts[1]))?[2];
        string? v1 = Path(controllers => controllers.Split(',').Contains("cpu"));
        string? path = v1 ?? Path(controllers => controllers.Length == 0);
        foreach (string line in mounts)
        {
            // ID PARENT DEVICE ROOT MOUNT OPTIONS ... - TYPE SOURCE OPTIONS
            string[] halves = line.Split(" - ", 2);
            string[] first = halves[0].Split(' ');
            string[] second = halves.Length < 2 ? [] : halves[1].Split(' ');
            bool wanted = first.Length > 4 && second.Length > 2 && (v1 is not null
                ? second[0] == "cgroup" && second[2].Split(',').Contains("cpu")
                : second[0] == "cgroup2");
            if (wanted && path is not null)
            {
                string root = first[3].TrimEnd('/');
                bool inside = path.StartsWith(root, StringComparison.Ordinal) && !path.Contains("..");
                return (first[4], inside ? path[root.Length..] : "", v1 is null);
            }
        }
        return null;
    }

    private void Open(string mount, string group, bool v2)
    {
        string at = group.TrimEnd('/');
        while (true)
        {
            string directory = mount + at;
            string quota = Path.Combine(directory, v2 ? "cpu.max" : "cpu.cfs_quota_us");
            if (File.Exists(quota)) // The topmost group has none.
            {
                _groups.Add((File.OpenHandle(quota), v2 ? null
                    : File.OpenHandle(Path.Combine(directory, "cpu.cfs_period_us"))));
            }
            if (at.Length == 0)
            {
                return;
            }
            at = at[..at.LastIndexOf('/')];
        }
    }
}
