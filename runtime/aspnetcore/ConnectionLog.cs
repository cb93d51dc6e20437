// What the transport says to the application's log.

using System.Net;
using Microsoft.Extensions.Logging;

namespace Weft.AspNetCore;

internal static partial class ConnectionLog
{
    [LoggerMessage(1, LogLevel.Warning, "{EndPoint}: no connection could be accepted; it is tried again.")]
    internal static partial void AcceptFailed(ILogger log, EndPoint endPoint, Exception exception);

    [LoggerMessage(2, LogLevel.Error, "{ConnectionId}: a callback of ConnectionClosed failed.")]
    internal static partial void ClosedHandlerFailed(ILogger log, string connectionId, Exception exception);
}
