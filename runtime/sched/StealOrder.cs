// A walk over all processors that starts anywhere and visits each once: steps of a size coprime to their
// number. Two thieves rarely take the same path, and no list has to be shuffled.

namespace Weft.Runtime;

internal struct StealOrder
{
    private readonly uint _count;
    private readonly uint _step;
    private uint _visited;

    internal StealOrder(uint count, uint random)
    {
        _count = count;
        Position = random % count;
        _step = 1 + ((random >> 8) % count);
        while (GreatestCommonDivisor(_step, count) != 1)
        {
            _step++;
        }
    }

    internal uint Position { get; private set; }

    internal readonly bool Done => _visited == _count;

    internal void Advance()
    {
        _visited++;
        Position = (Position + _step) % _count;
    }

    private static uint GreatestCommonDivisor(uint a, uint b)
    {
        while (b != 0)
        {
            (a, b) = (b, a % b);
        }
        return a;
    }
}
