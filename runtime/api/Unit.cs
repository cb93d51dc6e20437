// The element of a channel that carries no values.

namespace Weft;

/// <summary>Nothing: for channels of which only the send, or the close, matters. Go: struct{}.</summary>
public readonly record struct Unit;
