// /metrics, in the text format of Prometheus 0.0.4.

using System.Globalization;
using System.Text;
using Weave.Serve;
using Weft;

namespace Weave.Http.Handlers;

internal sealed class Metrics : Handler
{
    /// <summary>Set before the first request.</summary>
    internal HttpSite Site { get; set; } = null!;

    internal Server Server { get; set; } = null!;

    /// <summary>All that Weft measures, if it does.</summary>
    internal MeterText? Meter { get; set; }

    internal override void Handle(Exchange exchange)
    {
        if (Common.IsRead(exchange))
        {
            exchange.Respond(200, "text/plain; version=0.0.4; charset=utf-8"u8, Encoding.UTF8.GetBytes(Text()));
        }
    }

    private string Text()
    {
        StringBuilder text = new();
        RuntimeStats stats = Go.Stats();
        Add("weft_goroutines", "gauge", "Goroutines that exist.", stats.Goroutines);
        Add("weft_processors", "gauge", "Go.MaxProcs.", stats.Processors);
        Add("weft_processors_idle", "gauge", "Processors without anything to run.", stats.IdleProcessors);
        Add("weft_machines", "gauge", "OS threads that run goroutines.", stats.Machines);
        Add("weft_machines_idle", "gauge", "Machines that sleep.", stats.IdleMachines);
        Add("weft_machines_blocked", "gauge", "Machines in a native call that blocks.", stats.BlockedMachines);
        Add("weft_runs_total", "counter", "Times that a goroutine was given a processor.", stats.Runs);
        Add("weft_steals_total", "counter", "Times that a processor took from another's queue.", stats.Steals);
        Add("weft_polls_total", "counter", "Times that the network was polled.", stats.Polls);
        Add("weave_connections", "gauge", "Connections that are open.", Server.Count);
        Add("weave_connections_total", "counter", "Connections accepted.", Server.Accepted);
        Add("weave_sent_bytes_total", "counter", "Bytes sent, heads included.", Site.Counters.BytesSent);
        Describe("weave_responses_total", "counter", "Responses by status.");
        foreach (int status in Site.Counters.Statuses)
        {
            _ = text.Append(
                CultureInfo.InvariantCulture,
                $"weave_responses_total{{code=\"{status}\"}} {Site.Counters[status]}\n");
        }

        Meter?.WriteTo(text);
        return text.ToString();

        void Describe(string name, string kind, string help) =>
            _ = text.Append($"# HELP {name} {help}\n# TYPE {name} {kind}\n");

        void Add(string name, string kind, string help, long value)
        {
            Describe(name, kind, help);
            _ = text.Append(CultureInfo.InvariantCulture, $"{name} {value}\n");
        }
    }
}
