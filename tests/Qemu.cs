using System.Runtime.InteropServices;

namespace Weft.Tests;

/// <summary>The tests of another processor run under qemu's user mode here (`./build.sh arm64`). It is not the
/// kernel: some of what tests need it does not have.</summary>
internal static class Qemu
{
    /// <summary>The verb sets this, for qemu to find the libraries.</summary>
    internal static bool IsHere { get; } = Environment.GetEnvironmentVariable("QEMU_LD_PREFIX") is not null;

    /// <summary>Whether there is an OpenSSL; Debian's cross packages have none (runtime/PLATFORMS.md).</summary>
    internal static bool HasTls { get; } = !IsHere || NativeLibrary.TryLoad("libssl.so.3", out _);

    internal const string NoTls = "qemu: there is no libssl for that processor";

    /// <summary>Why what needs tens of thousands of goroutines is not tested.</summary>
    internal const string FewMappings = "qemu: guards take mappings there, and there are not enough for so many";

    /// <summary>What a limit is there, where code runs some ten times slower.</summary>
    internal static TimeSpan Limit(TimeSpan here) => IsHere ? 4 * here : here;

    /// <summary>What a program has printed, without what qemu adds when a signal ends it.</summary>
    internal static string WithoutItsLines(string text) => !IsHere ? text : string.Join(
        '\n', text.Split('\n').Where(line => !line.StartsWith("qemu: uncaught target signal", StringComparison.Ordinal)));
}
