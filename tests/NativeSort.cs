// A native function that calls back: libc's qsort.

using System.Runtime.InteropServices;

namespace Weft.Tests;

internal static unsafe class NativeSort
{
    /// <summary>Sorts numbers that depend on the seed; whether they are in order then.</summary>
    internal static bool SortsRight(int seed, delegate* unmanaged<int*, int*, int> compare)
    {
        int[] numbers = [.. Enumerable.Range(0, 200).Select(n => ((n * 7919) + seed) % 1009)];
        fixed (int* first = numbers)
        {
            QuickSort(first, (nuint)numbers.Length, sizeof(int), compare);
        }
        return numbers.Zip(numbers.Skip(1)).All(pair => pair.First <= pair.Second);
    }

    [DllImport("libc", EntryPoint = "qsort")]
    private static extern void QuickSort(
        void* first, nuint count, nuint size, delegate* unmanaged<int*, int*, int> compare);
}
