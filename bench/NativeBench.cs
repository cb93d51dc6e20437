// What it costs to call a C function that does nothing: in a program without Weft (bare/), on a thread,
// and on a goroutine whose stack has grown already.

namespace Weft.Bench;

internal static class NativeBench
{
    internal static Question[] Questions =>
    [
        Question.One("pinvoke_bare", "ns", "P/Invoke of an empty function, in a program without Weft", () => Bare.Number()),
        Question.One("pinvoke_thread", "ns", "the same with Weft, on a thread", NativeCalls.Time),
        Question.One(
            "pinvoke_goroutine", "ns", "the same on a goroutine", () => Drive.On(1, NativeCalls.Time)),
    ];
}
