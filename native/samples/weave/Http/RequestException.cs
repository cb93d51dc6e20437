namespace Weave.Http;

/// <summary>A request that cannot be answered as it wants to be: what it is answered with, and then the
/// connection ends.</summary>
internal sealed class RequestException(int status) : Exception
{
    internal int Status => status;
}
