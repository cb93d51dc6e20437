// The snippets of runtime/INSIDE.md, as they stand there, in programs around them. InsideTests compares the two
// texts, and runs these.

using System.Diagnostics;

namespace Weft.Tests;

internal static class InsideSnippets
{
    internal static void Trace(string path, string request)
    {
        using FileStream file = File.Create(path);
        Go.StartTrace(file);
        Handle(request);
        Go.StopTrace();
    }

    internal static void Record(string path, string request, TimeSpan limit)
    {
        using FlightRecorder recorder = Go.FlightRecorder();
        long start = Stopwatch.GetTimestamp();
        Handle(request);
        if (Stopwatch.GetElapsedTime(start) > limit)
        {
            using FileStream file = File.Create(path);
            recorder.WriteTo(file, TimeSpan.FromSeconds(5));
        }
    }

    internal static void Profile(string path)
    {
        using FileStream file = File.Create(path);
        Go.WriteProfile(GoProfile.Goroutines, file);
    }

    internal static void BlockProfile(Stream file, string request)
    {
        Go.BlockProfileRate = 10_000;
        Handle(request);
        Go.BlockProfileRate = 0;
        Go.WriteProfile(GoProfile.Block, file);
    }

    internal static long Measured(string request)
    {
        using WeftMetrics metrics = new();
        Handle(request);
        return Go.Stats().Runs;
    }

    private static void Handle(string request)
    {
        using (Go.TraceRegion("parse"))
        {
            Parse(request);
        }
        if (Go.IsTracing)
        {
            Go.TraceLog($"{request.Length} characters");
        }
    }

    private static void Parse(string request) =>
        Go.Sleep(TimeSpan.FromMilliseconds(request.Length));
}
