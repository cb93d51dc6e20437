// Memory as C11's release, acquire and relaxed steps see it. Each place keeps all that was stored in it, in
// order; each thread has a view, of how new what it reads of each place has to be at least.
//
//   place    [ 0 ][ 1 ][ 2 ][ 3 ]        a load may find any store from the thread's view on
//                   ^view
//
//   a load                moves the view to the store that it found
//   an acquire load       and takes over what the store carries
//   a store               becomes the newest; carries what the thread had seen at its last fence
//   a release store       carries what the thread has seen
//   an exchange           finds the newest; carries also what that one carries. A compare-exchange that fails is
//                         an acquire load
//   a fence for all       is one in each thread, somewhere between two of its steps
//   a fence               takes over what all loads before it found, and what all fences before it had seen
//
// An exchange of .NET's is a full barrier on paper. On arm64 it is one instruction with acquire and release
// (casal, swpal, ldaddal). C11 would let a later load pass such a step; the processor does not, if it stores
// something: herd's model of it says so since 2018 ("po; ([A];amo;[L]); po" in aarch64.cat), and Linux relies on
// it. What is checked is C11's, where a model or --documented does not say otherwise. Volatile.Read and
// Volatile.Write are acquire and release, with nothing between a store and a later load.
//
// Code comes here by the rewriter, with a number that says where in the source it is. Memory that is not the
// model's is used directly.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Weft.Models;

internal static unsafe partial class Explorer
{
    private const int StaticBytes = 16 * 1024;
    private const int Bytes = 96 * 1024;
    private const int ObjectBytes = 1024;
    private const int MostObjects = 4;
    private const int AllBytes = Bytes + (MostObjects * ObjectBytes);
    private const int MostStale = 3;
    private const int MostShown = 400;

    private static readonly byte* s_memory = (byte*)NativeMemory.AllocZeroed(Bytes);
    private static readonly byte* s_image = (byte*)NativeMemory.AllocZeroed(StaticBytes);
    private static readonly Place?[] s_places = new Place?[AllBytes];
    private static readonly List<Place> s_used = [];
    private static readonly Stack<Place> s_free = new();
    private static readonly View s_fences = new();
    private static readonly byte[] s_users = new byte[AllBytes];
    private static readonly bool[] s_written = new bool[AllBytes];
    private static readonly List<(int Start, int End, string Name)> s_regions = [];
    private static readonly List<Step> s_trace = [];

    private static int s_allocated = StaticBytes;
    private static (nint Address, int Size)[] s_objects = []; // Their places come behind the others.
    private static string[] s_allowedRaces = [];

    private readonly record struct Step(
        int Thread, int Site, nint Offset, string Kind, ulong Before, ulong After, int Stale);

    /// <summary>Where in the source each step is: method, kind and field; and file and line.</summary>
    internal static (string What, string Where)[] Sites { get; set; } = [];

    /// <summary>Which of them are to be plain, or no barrier.</summary>
    internal static bool[] Weak { get; set; } = [];

    /// <summary>Whether each exchange is a full barrier.</summary>
    internal static bool AreExchangesFull { get; set; }

    private static bool s_areExchangesFull; // In this run.

    // --- the model's memory ---

    /// <summary>Zeros, until the run ends.</summary>
    internal static T* Allocate<T>(string name, int count = 1)
        where T : unmanaged
    {
        int size = (sizeof(T) * count + 63) & ~63;
        if (s_allocated + size > Bytes)
        {
            throw new InvalidOperationException("The model needs more memory than there is.");
        }
        T* memory = (T*)(s_memory + s_allocated);
        s_regions.Add((s_allocated, s_allocated + size, name));
        s_allocated += size;
        return memory;
    }

    /// <summary>Where the rewriter puts a static field.</summary>
    public static void* Static(int offset) => s_memory + offset;

    /// <summary>What the static fields are at the start of each run: what their types' initializers have made
    /// them.</summary>
    internal static void KeepStatics() => Buffer.MemoryCopy(s_memory, s_image, StaticBytes, StaticBytes);

    private static void ResetMemory()
    {
        foreach (Place place in s_used)
        {
            if (place.Offset >= Bytes)
            {
                SetRaw(place.Offset, place.Size, place.Stores[0].Bits); // As it was before the run.
            }
            place.Clear();
            s_places[place.Offset] = null;
            s_free.Push(place);
        }
        s_used.Clear();
        s_regions.Clear();
        s_trace.Clear();
        s_fences.Clear();
        Buffer.MemoryCopy(s_image, s_memory, StaticBytes, StaticBytes);
        NativeMemory.Clear(s_memory + StaticBytes, (nuint)(s_allocated - StaticBytes));
        s_allocated = StaticBytes;
    }

    /// <summary>Makes the fields of objects, or the elements of arrays of words, the model's memory, from now on.
    /// They are pinned for good. Each run finds them as they are now: so neither SetUp nor AtEnd changes them.
    /// </summary>
    internal static void Adopt(params object[] adopted)
    {
        ResetMemory(); // What other objects' fields were must not be put back into these.
        Assert(adopted.Length <= MostObjects, "Too many objects.");
        s_objects = [.. adopted.Select(Pin)];
    }

    private static (nint Address, int Size) Pin(object adopted)
    {
        (nint Address, int Size) place = default;
        ManualResetEventSlim isPinned = new();
        new Thread(() =>
        {
            fixed (byte* fields = &Unsafe.As<Fields>(adopted).First)
            {
                // The size with the header and the method table, and where that says it.
                int size = *(int*)(*(nint*)(fields - sizeof(nint)) + sizeof(int)) - (2 * sizeof(nint));
                size += adopted is Array words ? words.Length * sizeof(long) : 0;
                place = ((nint)fields, size);
                isPinned.Set();
                Thread.Sleep(Timeout.Infinite);
            }
        })
        { IsBackground = true }.Start();
        isPinned.Wait();
        Assert(place.Size <= ObjectBytes, "The object is too large.");
        return place;
    }

    private sealed class Fields
    {
        internal byte First;
    }

    private static void ForgetShared()
    {
        Array.Clear(s_users);
        Array.Clear(s_written);
    }

    // --- what rewritten code calls ---

    public static T Load<T>(ref T at, int site) =>
        IsShared(ref at, out nint offset) ? From<T>(Read(offset, Unsafe.SizeOf<T>(), site, false, true)) : at;

    public static void Store<T>(ref T at, T value, int site)
    {
        if (IsShared(ref at, out nint offset))
        {
            Write(offset, Unsafe.SizeOf<T>(), Bits(value), site, false, true);
            return;
        }
        at = value;
    }

    /// <summary>A load of the assembly's that is no race, and no acquire.</summary>
    internal static T Look<T>(ref T at) => throw new NotSupportedException("It becomes LookAt.");

    public static T LookAt<T>(ref T at, int site) =>
        IsShared(ref at, out nint offset) ? From<T>(Read(offset, Unsafe.SizeOf<T>(), site, false, false)) : at;

    public static T VolatileRead<T>(ref T at, int site) =>
        IsShared(ref at, out nint offset) ? From<T>(Read(offset, Unsafe.SizeOf<T>(), site, !Weak[site], false)) : at;

    public static void VolatileWrite<T>(ref T at, T value, int site)
    {
        if (IsShared(ref at, out nint offset))
        {
            Write(offset, Unsafe.SizeOf<T>(), Bits(value), site, !Weak[site], false);
            return;
        }
        at = value;
    }

    public static T CompareExchange<T>(ref T at, T value, T expected, int site)
    {
        if (IsShared(ref at, out nint offset))
        {
            return From<T>(Compare(offset, Unsafe.SizeOf<T>(), Bits(value), Bits(expected), site));
        }
        T before = at;
        if (Bits(before) == Bits(expected))
        {
            at = value;
        }
        return before;
    }

    public static T Exchange<T>(ref T at, T value, int site)
    {
        if (IsShared(ref at, out nint offset))
        {
            return From<T>(Change(offset, Unsafe.SizeOf<T>(), (_, bits) => bits, Bits(value), site));
        }
        T before = at;
        at = value;
        return before;
    }

    /// <summary>Returns what it is afterwards.</summary>
    public static T Add<T>(ref T at, T value, int site)
    {
        ulong before = IsShared(ref at, out nint offset)
            ? Change(offset, Unsafe.SizeOf<T>(), (old, bits) => old + bits, Bits(value), site) : Bits(at);
        T after = From<T>(before + Bits(value));
        if (offset < 0)
        {
            at = after;
        }
        return after;
    }

    /// <summary>Returns what it was before.</summary>
    public static T And<T>(ref T at, T value, int site)
    {
        if (IsShared(ref at, out nint offset))
        {
            return From<T>(Change(offset, Unsafe.SizeOf<T>(), (old, bits) => old & bits, Bits(value), site));
        }
        T before = at;
        at = From<T>(Bits(before) & Bits(value));
        return before;
    }

    public static T Increment<T>(ref T at, int site) => Add(ref at, From<T>(1), site);

    public static T Decrement<T>(ref T at, int site) => Add(ref at, From<T>(ulong.MaxValue), site);

    public static void MemoryBarrier(int site)
    {
        if (!s_isActive || Weak[site])
        {
            return;
        }
        Fence(s_current);
        s_trace.Add(new Step(s_current.Id, site, -1, "barrier", 0, 0, 0));
    }

    public static void MemoryBarrierProcessWide(int site)
    {
        if (!s_isActive || Weak[site])
        {
            return;
        }
        Point(); // The others are somewhere.
        Fence(s_current);
        foreach (Worker worker in s_workers)
        {
            Fence(worker);
        }
        Fence(s_current);
        s_trace.Add(new Step(s_current.Id, site, -1, "barriers", 0, 0, 0));
    }

    // --- steps ---

    private static ulong Read(nint offset, int size, int site, bool acquire, bool plain)
    {
        Place place = Touch(offset, size, site, writes: false);
        Worker me = s_current;
        int newest = place.Stores.Count - 1;
        int stale = Choose(Math.Min(newest - me.Seen[place], MostStale) + 1, costs: true);
        ulong bits = Find(me, place, newest - stale, acquire);
        NoteStep(me, place, site, writes: false, plain);
        s_trace.Add(new Step(me.Id, site, offset, acquire ? "acquire" : "load", bits, 0, stale));
        return bits;
    }

    private static void Write(nint offset, int size, ulong bits, int site, bool release, bool plain)
    {
        Place place = Touch(offset, size, site, writes: true);
        Worker me = s_current;
        ulong before = place.Newest.Bits;
        NoteStep(me, place, site, writes: true, plain);
        Append(me, place, bits, View.Copy(release ? me.Seen : me.Released));
        s_trace.Add(new Step(me.Id, site, offset, release ? "release" : "store", before, bits, 0));
    }

    private static ulong Change(nint offset, int size, Func<ulong, ulong, ulong> change, ulong bits, int site)
    {
        Place place = Touch(offset, size, site, writes: true);
        Worker me = s_current;
        bool weak = Weak[site];
        FenceOfExchange(me, weak);
        ulong before = Find(me, place, place.Stores.Count - 1, !weak);
        NoteStep(me, place, site, writes: true, plain: false);
        AppendExchanged(me, place, Narrow(change(before, bits), size), weak);
        FenceOfExchange(me, weak);
        s_trace.Add(new Step(me.Id, site, offset, "exchange", before, place.Newest.Bits, 0));
        return before;
    }

    private static ulong Compare(nint offset, int size, ulong bits, ulong expected, int site)
    {
        Place place = Touch(offset, size, site, writes: true);
        Worker me = s_current;
        bool weak = Weak[site];
        int newest = place.Stores.Count - 1;
        int oldest = Math.Max(me.Seen[place], newest - MostStale);
        Span<int> found = stackalloc int[MostStale + 1];
        int count = 0;
        for (int i = newest; i >= oldest; i--)
        {
            if (i == newest || place.Stores[i].Bits != expected)
            {
                found[count++] = i;
            }
        }
        int index = found[Choose(count, costs: true)];
        ulong before = Find(me, place, index, !weak);
        bool succeeds = before == expected;
        NoteStep(me, place, site, writes: succeeds, plain: false);
        if (succeeds)
        {
            FenceOfExchange(me, weak);
            AppendExchanged(me, place, bits, weak);
            FenceOfExchange(me, weak);
        }
        s_trace.Add(new Step(
            me.Id, site, offset, succeeds ? "exchange" : "in vain", before, bits, newest - index));
        return before;
    }

    private static Place Touch(nint offset, int size, int site, bool writes)
    {
        int user = 1 << s_current.Id;
        if ((s_users[offset] & user) == 0 || (writes && !s_written[offset]))
        {
            s_users[offset] |= (byte)user;
            s_written[offset] |= writes;
            s_restart |= NeedsChoice(offset);
        }
        if (NeedsChoice(offset))
        {
            Point();
        }
        Place? place = s_places[offset];
        if (place == null)
        {
            place = s_free.Count > 0 ? s_free.Pop() : new Place();
            place.Number = s_used.Count;
            place.Offset = offset;
            place.Size = size;
            place.Field = FieldOf(site);
            place.Stores.Add(new Store(Raw(offset, size), View.Copy(s_nothing), -1));
            s_places[offset] = place;
            s_used.Add(place);
        }
        place.Field = place.Field == "" ? FieldOf(site) : place.Field;
        if (place.Size != size)
        {
            throw new InvalidOperationException($"{Name(offset)} is used in two sizes.");
        }
        return place;
    }

    private static readonly View s_nothing = new();

    private static bool NeedsChoice(nint offset) => s_written[offset] && (s_users[offset] & (s_users[offset] - 1)) != 0;

    private static ulong Find(Worker me, Place place, int index, bool acquire)
    {
        Store store = place.Stores[index];
        me.Seen[place] = index;
        me.Acquired[place] = Math.Max(me.Acquired[place], index);
        if (store.Thread >= 0 && (acquire || store.Thread != me.Id)) // Else it carries nothing new.
        {
            me.Acquired.Join(store.View);
            if (acquire)
            {
                me.Seen.Join(store.View);
            }
        }
        return store.Bits;
    }

    private static void Append(Worker me, Place place, ulong bits, View carried)
    {
        int index = place.Stores.Count;
        carried[place] = index;
        place.Stores.Add(new Store(bits, carried, me.Id));
        me.Seen[place] = index;
        me.Acquired[place] = index;
        SetRaw(place.Offset, place.Size, bits);
    }

    private static void AppendExchanged(Worker me, Place place, ulong bits, bool weak)
    {
        View carried = View.Copy(weak ? me.Released : me.Seen);
        carried.Join(place.Newest.View);
        Append(me, place, bits, carried);
    }

    private static void FenceOfExchange(Worker me, bool weak)
    {
        if (s_areExchangesFull && !weak)
        {
            Fence(me);
        }
    }

    private static void Fence(Worker me)
    {
        me.Seen.Join(me.Acquired);
        me.Seen.Join(s_fences);
        s_fences.Become(me.Seen);
        me.Acquired.Become(me.Seen);
        me.Released.Become(me.Seen);
    }

    private static void NoteStep(Worker me, Place place, int site, bool writes, bool plain)
    {
        me.Seen.Clock(me.Id)++;
        me.Acquired.Clock(me.Id)++;
        int other = place.Note(me.Id, me.Seen, writes, plain, site);
        if (other >= 0 && !s_allowedRaces.Contains(place.Field)
            && !s_allowedRaces.Contains(RegionOf(place.Offset).Name))
        {
            throw new ModelException(
                $"A race on {Name(place.Offset)}: {Sites[site].Where} and {Sites[other].Where} are not ordered.");
        }
    }

    // --- words ---

    private static bool IsShared<T>(ref T at, out nint offset)
    {
        offset = -1;
        if (s_isActive)
        {
            byte* address = (byte*)Unsafe.AsPointer(ref at);
            nint from = (nint)(address - s_memory);
            offset = (nuint)from < Bytes ? from : -1;
            for (int i = 0; i < s_objects.Length && offset < 0; i++)
            {
                nint within = (nint)address - s_objects[i].Address;
                offset = (nuint)within < (nuint)s_objects[i].Size ? Bytes + (i * ObjectBytes) + within : -1;
            }
        }
        return offset >= 0;
    }

    private static byte* AddressOf(nint offset) => offset < Bytes ? s_memory + offset
        : (byte*)s_objects[(offset - Bytes) / ObjectBytes].Address + ((offset - Bytes) % ObjectBytes);

    private static ulong Bits<T>(T value)
    {
        ulong bits = 0;
        Unsafe.WriteUnaligned(ref Unsafe.As<ulong, byte>(ref bits), value);
        return bits;
    }

    private static T From<T>(ulong bits) => Unsafe.As<ulong, T>(ref bits);

    private static ulong Narrow(ulong bits, int size) => size == 8 ? bits : bits & ((1UL << (8 * size)) - 1);

    private static ulong Raw(nint offset, int size)
    {
        ulong bits = 0;
        Buffer.MemoryCopy(AddressOf(offset), &bits, 8, size);
        return bits;
    }

    private static void SetRaw(nint offset, int size, ulong bits) =>
        Buffer.MemoryCopy(&bits, AddressOf(offset), size, size);

    // --- what is shown ---

    private static void Note(Worker me, string what, nint address) =>
        s_trace.Add(new Step(me.Id, -1, address - (nint)s_memory, what, 0, 0, 0));

    private static string FieldOf(int site)
    {
        string what = Sites[site].What;
        int last = what.LastIndexOf(' ');
        return what.EndsWith(" ?") ? "" : what[(last + 1)..];
    }

    private static (int Start, int End, string Name) RegionOf(nint offset) =>
        s_regions.Find(region => region.Start <= offset && offset < region.End);

    private static string Name(nint offset)
    {
        (int start, _, string? name) = RegionOf(offset);
        string field = s_places[offset]?.Field ?? "";
        return name == null ? field : field == "" ? $"{name}+{offset - start:x}" : $"{name}: {field}";
    }

    /// <summary>A pointer into the model's memory by its name, another word as a number.</summary>
    private static string Value(ulong bits)
    {
        nint offset = (nint)bits - (nint)s_memory;
        (int start, _, string? name) = RegionOf(offset);
        return name == null ? $"{bits:x}" : offset == start ? name : $"{name}+{offset - start:x}";
    }

    private static string Trace()
    {
        StringBuilder text = new();
        int left = s_trace.Count - MostShown;
        text.Append(left > 0 ? $"  ({left} steps before these)\n" : "");
        foreach (Step step in s_trace.Skip(left))
        {
            string at = step.Site < 0 ? "" : Sites[step.Site].Where;
            text.Append($"  thread {step.Thread}  {at,-34} {step.Kind,-9}");
            text.Append(step.Offset < 0 ? "" : Name(step.Offset));
            text.Append(step.Kind switch
            {
                "barrier" or "barriers" => "",
                "load" or "acquire" => $" = {Value(step.Before)}",
                "in vain" => $" is {Value(step.Before)}",
                _ when step.Site < 0 => "",
                _ => $": {Value(step.Before)} -> {Value(step.After)}",
            });
            text.Append(step.Stale == 0 ? "\n" : $"   (old: {step.Stale} newer)\n");
        }
        return text.ToString();
    }
}
