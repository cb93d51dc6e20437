// The heap by itself, against a sorted list.

using Weft.Runtime;

namespace Weft.Tests;

internal sealed class TimerHeapTests
{
    private sealed class Node : TimerNode
    {
        internal override void Fire(long now)
        {
        }
    }

    [Test]
    [Arguments(1)]
    [Arguments(5)]
    [Arguments(300)]
    [Arguments(20_000)]
    [Arguments(300_000)]
    public async Task WhatIsAddedMovedAndRemovedComesOutInOrder(int count)
    {
        Scheduler.EnsureStarted();
        string result = AddMoveAndRemove(count, new Random(count));

        await Assert.That(result).IsEqualTo("");
    }

    // A heap that the scheduler does not know: its processor is the last there could be.
    private static unsafe string AddMoveAndRemove(int count, Random random)
    {
        nint memory = Os.Reserve(Os.PageSize);
        Processor* p = (Processor*)memory;
        p->Id = Layout.MaxProcessors - 1;
        TimerHeap.Create(p);
        TimerHeap heap = TimerHeap.Of(p->Id);
        Node[] nodes = [.. Enumerable.Range(0, count).Select(_ => new Node())];
        foreach (Node node in nodes)
        {
            node.When = random.Next(count);
            _ = heap.Update(node);
        }
        for (int i = 0; i < count * 2; i++)
        {
            Node node = nodes[random.Next(count)];
            node.When = random.Next(4) == 0 ? TimerNode.Never : random.Next(count);
            bool earlier = node.When < p->NextTimer;
            if (heap.Update(node) == heap != earlier)
            {
                return "Update does not say whether the earliest time has become earlier";
            }
        }
        heap.CheckInvariants();
        long[] expected = [.. nodes.Select(n => n.When).Where(w => w != TimerNode.Never).Order()];
        List<long> actual = [];
        for (long now = 0; now < count; now += 1 + random.Next(3))
        {
            while (heap.TakeDue(now, TimerHeap.SleepersAtOnce, out Goroutine* sleepers, out TimerNode? node))
            {
                if (sleepers != null || node == null || node.When > now || node.Heap != null)
                {
                    return "not what was due";
                }
                actual.Add(node.When);
            }
            heap.CheckInvariants();
            if (p->NextTimer <= now)
            {
                return "something due was left";
            }
            now = count > 300 ? now + (count / 10) : now;
        }
        while (heap.TakeDue(count, TimerHeap.SleepersAtOnce, out _, out TimerNode? node))
        {
            actual.Add(node!.When);
        }
        return heap.Count != 0 ? "not empty" : actual.SequenceEqual(expected) ? "" : "out of order";
    }
}
