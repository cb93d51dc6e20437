// The verbs that serve.

using System.CommandLine;
using System.Globalization;
using Weave.Http;
using Weave.Http.Parsing;
using Weave.Serve;

namespace Weave;

internal static partial class Commands
{
    private const string AddressHelp = """
        Where to listen: HOST:PORT, :PORT for all addresses of this machine, or unix:PATH. Port 0
        is a free one. The first line on standard output says which it is.
        """;

    private const string HttpHelp = """
        Serves the files of a directory with HTTP/1.1, and /metrics for Prometheus. Without a
        directory / is a short text, and /echo sends the body of a POST back. SIGTERM and SIGINT
        end it: what is in progress is finished.
        """;

    private static readonly Option<double> s_drain = Seconds(
        "--drain", 10, "How long connections may take to end after SIGTERM; then the exit code is 1.");

    private static readonly Option<int> s_connections = Number(
        "--max-connections", 100_000, "Connections at once; more wait to be accepted.");

    private static readonly Option<string[]> s_tls = new("--tls")
    {
        Description = "Speak TLS, with a certificate and its key, both PEM files.",
        HelpName = "CERT> <KEY",
        Arity = new ArgumentArity(2, 2),
        AllowMultipleArgumentsPerToken = true,
    };

    private static Argument<string> Address() => new("ADDR") { Description = AddressHelp };

    private static Command Http()
    {
        Argument<string> address = Address();
        Argument<string?> directory = new("DIR")
        {
            Description = "The directory. Nothing outside is served, whatever links lead there.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Option<string?> log = new("--log")
        {
            Description = "Append a line for each request to a file, or to standard output if it is -.",
            HelpName = "FILE",
        };
        Option<string?> debug = new("--debug")
        {
            Description = "Serve /debug/pprof/ on this address: profiles, and traces. For who may see all.",
            HelpName = "ADDR",
        };
        Option<double> idle = Seconds("--idle-timeout", 60, "From one request to the next.");
        Option<double> head = Seconds("--head-timeout", 10, "For the head of a request.");
        Option<double> transfer = Seconds(
            "--transfer-timeout", 30, "For each 64 KB of a body, in both directions.");
        Option<int> headBytes = Number("--max-head", 16 * 1024, "Bytes of a request's head.");
        Option<int> bodyBytes = Number("--max-body", 16 * 1024 * 1024, "Bytes of a request's body.");
        Option<int> requests = Number("--max-requests", int.MaxValue, "Requests on one connection.");

        Command command = new("http", HttpHelp)
        {
            address, directory, log, debug, s_tls, s_drain, s_connections, idle, head, transfer, headBytes,
            bodyBytes, requests,
        };
        command.SetAction(result =>
        {
            HttpOptions options = new()
            {
                Head = new HeadLimits
                {
                    Head = result.GetRequiredValue(headBytes),
                    RequestLine = Math.Min(new HeadLimits().RequestLine, result.GetRequiredValue(headBytes)),
                },
                Body = result.GetRequiredValue(bodyBytes),
                Requests = result.GetRequiredValue(requests),
                IdleTime = TimeSpan.FromSeconds(result.GetRequiredValue(idle)),
                HeadTime = TimeSpan.FromSeconds(result.GetRequiredValue(head)),
                TransferTime = TimeSpan.FromSeconds(result.GetRequiredValue(transfer)),
            };
            return HttpCommand.Run(
                Serving(result, address), options, result.GetValue(directory), result.GetValue(log),
                result.GetValue(debug));
        });
        return command;
    }

    private static Command Echo()
    {
        Argument<string> address = Address();
        Command command = new("echo", "Sends back what each connection sends.")
        {
            address, s_tls, s_drain, s_connections,
        };
        command.SetAction(result => EchoCommand.Run(Serving(result, address)));
        return command;
    }

    private static Command Proxy()
    {
        Argument<string> address = Address();
        Argument<string> target = new("TARGET") { Description = "Where each connection leads to." };
        Option<double> dial = Seconds("--dial-timeout", 10, "For connecting to the target.");
        Command command = new("proxy", "Carries bytes between each connection and a target.")
        {
            address, target, s_tls, s_drain, s_connections, dial,
        };
        command.SetAction(result => ProxyCommand.Run(
            Serving(result, address),
            result.GetRequiredValue(target),
            TimeSpan.FromSeconds(result.GetRequiredValue(dial))));
        return command;
    }

    private static ServerOptions Serving(ParseResult result, Argument<string> address)
    {
        string[]? files = result.GetValue(s_tls);
        return new ServerOptions
        {
            Address = result.GetRequiredValue(address),
            Tls = files is { Length: 2 } ? new TlsFiles(files[0], files[1]) : null,
            DrainTime = TimeSpan.FromSeconds(result.GetRequiredValue(s_drain)),
            Connections = result.GetRequiredValue(s_connections),
        };
    }

    private static Option<double> Seconds(string name, double value, string description) => new(name)
    {
        Description = description,
        HelpName = "SECONDS",
        DefaultValueFactory = _ => value,
        CustomParser = argument =>
        {
            string text = argument.Tokens[0].Value;
            if (double.TryParse(
                    text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds)
                && seconds is > 0 and <= 1e6)
            {
                return seconds;
            }

            argument.AddError($"'{text}' is not a number of seconds from 0 to 1000000");
            return 0;
        },
    };

    private static Option<int> Number(string name, int value, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        DefaultValueFactory = _ => value,
        CustomParser = argument =>
        {
            string text = argument.Tokens[0].Value;
            if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                && number > 0)
            {
                return number;
            }

            argument.AddError($"'{text}' is not a number from 1 to {int.MaxValue}");
            return 0;
        },
    };
}
