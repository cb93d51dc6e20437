// The frames in which the goroutines of GcTorture wait.

using System.Runtime.CompilerServices;

namespace Weft.Tests;

internal sealed unsafe class GcTortureFrames(int goroutines) : GcTorture(goroutines)
{
    private struct Pair<T>
    {
        internal T First;
        internal long Number;
        internal T Second;
    }

    protected override void Round(int id, long number, uint random)
    {
        switch ((random >> 8) % 11)
        {
            case 0: Deep((int)(random >> 16) % 40, id, number); break;
            case 1: Generic(new TortureValue(number), id, v => v.Number, number); break;
            case 2: Generic((Text(number), number), id, p => p.Item1 == Text(p.Item2) ? p.Item2 : -1, number); break;
            case 3: Interior(id, number); break;
            case 4: Pinned(id, number); break;
            case 5: OnTheStack(id, number); break;
            case 6: Catch(id, number); break;
            case 7: Finally(id, number, isThrown: false); break;
            case 8: Finally(id, number, isThrown: true); break;
            case 9: Registers(id, number); break;
            default: StaleWords(id, number); break;
        }
    }

    private static string Text(long number) => "n" + number;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Park(int id)
    {
        if (Gates[id].Receive(out TortureValue value))
        {
            value.Verify(((long)id << 24) | (value.Number & 0xffffff), "gate");
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Deep(int depth, int id, long number)
    {
        TortureValue value = new(number + depth);
        if (depth == 0)
        {
            Park(id);
        }
        else
        {
            Deep(depth - 1, id, number);
        }
        value.Verify(number + depth, "deep");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Generic<T>(T value, int id, Func<T, long> numberOf, long number)
    {
        Pair<T> pair = new() { First = value, Number = number, Second = value };
        ref Pair<T> byref = ref pair;
        Park(id);
        Expect(
            numberOf(byref.First) == number && numberOf(pair.Second) == number && byref.Number == number, "generic");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Interior(int id, long number)
    {
        long[] array = [1, number, 3, ~number];
        ref long byref = ref array[1];
        Span<long> rest = array.AsSpan(2);
        Span<long> none = array.AsSpan(4); // Begins behind the last element.
        Park(id); // Nothing but these refers to the array.
        Expect(byref == number && rest[1] == ~number && rest.Length == 2 && none.IsEmpty, "interior");
        byref++;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Pinned(int id, long number)
    {
        byte[] buffer = new byte[100];
        buffer.AsSpan().Fill((byte)number);
        fixed (byte* start = buffer)
        {
            Park(id);
            Expect(start[99] == (byte)number && Unsafe.AreSame(ref buffer[0], ref *start), "pinned");
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void OnTheStack(int id, long number)
    {
        int count = 8 + (int)(number & 63);
        long* numbers = stackalloc long[count];
        for (int i = 0; i < count; i++)
        {
            numbers[i] = number + i;
        }
        TortureValue first = new(number);
        TortureValue second = new(number + 3);
        Park(id);
        for (int i = 0; i < count; i++)
        {
            Expect(numbers[i] == number + i, "on the stack");
        }
        first.Verify(number, "first");
        second.Verify(number + 3, "second");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Catch(int id, long number)
    {
        TortureValue outer = new(number);
        try
        {
            throw new InvalidOperationException(Text(number));
        }
        catch (InvalidOperationException e) when (Matches(outer, number))
        {
            TortureValue inner = new(number + 2);
            Park(id);
            inner.Verify(number + 2, "catch");
            Expect(e.Message == Text(number), "message");
        }
        outer.Verify(number, "after catch");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Matches(TortureValue value, long number)
    {
        value.Verify(number, "filter");
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Finally(int id, long number, bool isThrown)
    {
        TortureValue outer = new(number);
        try
        {
            try
            {
                TortureValue inner = new(number + 1);
                Park(id);
                inner.Verify(number + 1, "try");
                if (isThrown)
                {
                    throw new InvalidOperationException();
                }
            }
            finally
            {
                TortureValue last = new(number + 2);
                Park(id);
                last.Verify(number + 2, "finally");
                outer.Verify(number, "outer of finally");
            }
        }
        catch (InvalidOperationException)
        {
            outer.Verify(number, "outer of catch");
            Park(id);
        }
        outer.Verify(number, "outer");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Registers(int id, long number)
    {
        TortureValue a = new(number), b = new(number + 1), c = new(number + 2), d = new(number + 3);
        TortureValue e = new(number + 4), f = new(number + 5), g = new(number + 6);
        for (int i = 0; i < 2; i++)
        {
            Park(id);
            a.Verify(number, "a");
            b.Verify(number + 1, "b");
            c.Verify(number + 2, "c");
            d.Verify(number + 3, "d");
            e.Verify(number + 4, "e");
            f.Verify(number + 5, "f");
            g.Verify(number + 6, "g");
        }
    }

    /// <summary>Words that were references once: nobody may follow them.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void StaleWords(int id, long number)
    {
        nint* words = stackalloc nint[16];
        for (int i = 0; i < 16; i++)
        {
            object garbage = new byte[100];
            words[i] = Unsafe.As<object, nint>(ref garbage) + (i * 8);
        }
        TortureValue value = new(number);
        Park(id);
        value.Verify(number, "beside stale words");
        GC.KeepAlive(words[0] == 0 ? value : null);
    }
}
