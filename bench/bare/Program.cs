// What a P/Invoke costs in a program without Weft. Prints one number, in ns, for weft-bench.

using System.Globalization;
using Weft.Bench;

_ = NativeCalls.Time();
Console.WriteLine(NativeCalls.Time().ToString("R", CultureInfo.InvariantCulture));
