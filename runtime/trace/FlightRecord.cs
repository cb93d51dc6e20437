// What the rings still have, as a trace: read at once, from the oldest event on.

namespace Weft.Runtime;

internal static class FlightRecord
{
    /// <summary>What happened since the start, in ticks, and at most so many ns of it.</summary>
    internal static void Write(TraceSource source, Stream stream, long start, long most)
    {
        PerfettoWriter writer = new();
        TraceStory story = new(writer, source) { IsSilent = true };
        using TraceReading reading = new(source, story, TraceRing.Slots, fromOldest: true) { Start = start };
        reading.Open();
        Thread.Sleep(1); // Between two looks at the clocks.
        reading.Times.Sync();
        long now = Ticks.Now();
        long speakAt = Math.Max(reading.CompleteSince(now), now - reading.Times.ToTicks(most));
        source.NameAll(story.Name); // After the rings were copied: it collects.
        reading.Since = speakAt;
        reading.Tell(isLast: true, speakAt);
        story.End(reading.Times.ToNs(Ticks.Now()), source.Figures());
        stream.Write(writer.Written);
        stream.Flush();
    }
}
