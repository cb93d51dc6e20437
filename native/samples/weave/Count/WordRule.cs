namespace Weave.Count;

/// <summary>Which runs of bytes between white space are words. GNU wc changed its mind: see the
/// help of `weave count`.</summary>
internal enum WordRule
{
    /// <summary>Those with a printable ASCII byte in them.</summary>
    Printable,

    /// <summary>All.</summary>
    Any,
}
