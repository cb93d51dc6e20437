// What a program without Weft does, for weft-bench to stand beside. Prints one number.
//
//   weft-bench-bare                     what a P/Invoke costs, in ns
//   weft-bench-bare http|https          serves, and prints the port (HttpServer.cs)
//   weft-bench-bare fetch PORT COUNT http|https    requests by await, in seconds (HttpLoad.cs)

using System.Globalization;
using Weft.Bench;
using Weft.Bench.Bare;

if (args is ["http" or "https"])
{
    await HttpServer.Serve(args[0] == "https");
}
double value;
if (args is ["fetch", string port, string count, string scheme])
{
    CultureInfo culture = CultureInfo.InvariantCulture;
    value = await HttpLoad.Await(int.Parse(port, culture), int.Parse(count, culture), scheme == "https");
}
else
{
    _ = NativeCalls.Time();
    value = NativeCalls.Time();
}
Console.WriteLine(value.ToString("R", CultureInfo.InvariantCulture));
