// Where the address of something on the stack may not go, and where it may.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Examples;

internal sealed unsafe class KeptAddress
{
    private static int* s_pointer;
    private static nint s_number;
    private static Node s_node;
    private static readonly int*[] s_array = new int*[4];
    private static readonly nint[] s_numbers = new nint[4];
    private static readonly List<nint> s_list = [0];
    private static Node* s_head;
    private int* _pointer;
    private nint Number { get; set; }

    internal struct Node
    {
        public Node* Next;
        public int* Value;
        public fixed int Buffer[4];

        internal void Own(int value)
        {
            Value = &value; // Wherever this node is, perhaps on the stack.
            s_pointer = &value; // WEFT101
        }
    }

    [InlineArray(4)]
    internal struct Four
    {
        private int _first;
    }

    internal void WrongFields(int parameter, KeptAddress other)
    {
        int local = 1;
        Node node = default;
        s_pointer = &local; // WEFT101
        _pointer = &parameter; // WEFT101
        this._pointer = &node.Buffer[2]; // WEFT101
        other._pointer = node.Buffer; // WEFT101
        s_number = (nint)(&local); // WEFT101
        Number = (nint)(&node); // WEFT101
        s_node.Value = &local; // WEFT101
        s_head->Value = &local; // WEFT101
        s_head = &node; // WEFT101
    }

    internal static void WrongLater(bool which, int count)
    {
        int* buffer = stackalloc int[count];
        int* second = buffer + 4;
        s_pointer = second; // WEFT101
        s_pointer = which ? &second[2] : null; // WEFT101
        long number = (long)buffer;
        s_number = (nint)number & ~15; // WEFT101
        s_number = new IntPtr(second); // WEFT101
        int* late;
        late = second;
        s_pointer = late; // WEFT101
        Volatile.Write(ref s_number, (nint)late); // WEFT101
        _ = Interlocked.Exchange(ref s_numbers[1], (nint)late); // WEFT101
    }

    internal static void WrongReferences(int count)
    {
        int local = 0;
        ref int reference = ref local;
        s_pointer = (int*)Unsafe.AsPointer(ref local); // WEFT101
        s_pointer = (int*)Unsafe.AsPointer(ref reference); // WEFT101
        Span<int> span = stackalloc int[count];
        s_pointer = (int*)Unsafe.AsPointer(ref span[0]); // WEFT101
        s_pointer = (int*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(span[1..])); // WEFT101
        fixed (int* pointer = span)
        {
            s_pointer = pointer; // WEFT101
        }
        Four four = default;
        s_pointer = (int*)Unsafe.AsPointer(ref four[1]); // WEFT101
    }

    internal static void WrongStructs()
    {
        int local = 0;
        Node node = default;
        node.Value = &local;
        s_node = node; // WEFT101
        s_pointer = node.Value; // WEFT101
        s_node = new Node { Value = &local }; // WEFT101
        Node* made = (Node*)NativeMemory.Alloc((nuint)sizeof(Node));
        made->Value = &local; // WEFT101
        *made = node; // WEFT101
        made[0].Value = &local; // WEFT101
        NativeMemory.Free(made);
    }

    internal static void WrongCollections(Chan<nint> channel)
    {
        int local = 0;
        nint number = (nint)(&local);
        s_array[0] = &local; // WEFT101
        s_list[0] = number; // WEFT101
        int*[] pointers = { &local }; // WEFT101
        nint[] numbers = [1, number]; // WEFT101
        List<nint> list = new() { number }; // WEFT101
        KeptAddress kept = new() { _pointer = &local }; // WEFT101
        var pair = new { First = number }; // WEFT101
        channel.Send(number); // WEFT101
        _ = Select.Wait(channel.SendCase(number)); // WEFT101
        Go.Run(static n => { }, number); // WEFT101
        Go.Run(static n => { }, (number, 1)); // WEFT101
        Go.Run(static n => { }, new Node { Value = &local }); // WEFT101
        GC.KeepAlive((pointers, numbers, list, kept, pair));
    }

    internal static void WrongCaptures(List<int> list)
    {
        int local = 0;
        int* pointer = &local;
        nint number = (nint)pointer;
        list.ForEach(n => *pointer += n); // WEFT101
        Action<int> add = delegate (int n) { *(int*)number += n; }; // WEFT101
        list.ForEach(add);
        list.ForEach(Add);
        int* outer = null;
        list.ForEach(n => outer = &n); // WEFT101
        GC.KeepAlive((nint)outer);

        void Add(int n) => *pointer += n; // WEFT101
    }

    internal static void WrongGoroutines(int* given)
    {
        Go.Run(() => // The address is on the stack of this function, which may move.
        {
            int local = 0;
            s_pointer = &local; // WEFT101
        });
        int outer = 0;
        int* pointer = &outer;
        Go.Run(() => *pointer += *given, StackOptions.Fixed()); // WEFT101
        Go.Run(
            () =>
            {
                int local = 0;
                s_pointer = &local; // WEFT101
            },
            StackOptions.Movable);
    }

    internal static void RightGoroutines(int* given)
    {
        Go.Run(
            () =>
            {
                int local = 0;
                s_pointer = &local;
                OnlyOnFixed();
            },
            StackOptions.Fixed());
        Go.OnSystemStack(() =>
        {
            int local = 0;
            s_pointer = &local;
        });
        new Thread(() =>
        {
            int local = 0;
            s_pointer = &local;
        }).Start();
        Go.Run(OnlyOnFixed, StackOptions.Fixed(1024 * 1024));
        Go.Run(Inner, StackOptions.Fixed());

        static void Inner()
        {
            int local = 0;
            s_pointer = &local;
        }
    }

    private static void AlsoCalled()
    {
        int local = 0;
        s_pointer = &local; // WEFT101
    }

    private static void Named()
    {
        int local = 0;
        s_pointer = &local;
    }

    internal static void RightNamed()
    {
        Go.Run(Named, StackOptions.Fixed());
        Go.Run(AlsoCalled, StackOptions.Fixed());
        AlsoCalled();
    }

    private static void OnlyOnFixed() => AlsoCalled();

    internal static int RightLocals(int parameter, int count)
    {
        int local = 1;
        int* pointer = &local;
        int* other = stackalloc int[count];
        Node node = default;
        node.Value = &parameter; // A struct on the stack itself.
        Node second = new() { Next = &node, Value = other };
        second.Next->Value = pointer;
        int** inner = &pointer;
        *inner = other;
        int** pointers = stackalloc int*[] { &local, &parameter };
        pointers[0] = &parameter;
        Span<nint> span = stackalloc nint[4];
        span[0] = (nint)pointer;
        return Use(pointer, &node) + Count(span) + *second.Value + Inside();

        int Inside() => *other; // No delegate: its variables are on the stack.
    }

    internal static nint RightNumbers(Node* given)
    {
        int local = 1;
        int* pointer = &local;
        s_number = (nint)pointer & 15;
        s_number = (nint)(pointer - (int*)given);
        s_number = *pointer;
        s_number = (int)(nint)pointer; // Half of it.
        s_node.Value = given->Value;
        given->Value = pointer; // It may point to the caller's stack.
        Console.WriteLine((nint)pointer);
        if (s_number == (nint)pointer)
        {
            s_number = 0;
        }
        return (nint)pointer;
    }

    internal static void RightMemory(byte[] array, ref int given, Span<int> span)
    {
        s_pointer = (int*)NativeMemory.Alloc(4);
        s_pointer = (int*)Unsafe.AsPointer(ref given);
        s_pointer = (int*)Unsafe.AsPointer(ref span[0]);
        fixed (byte* pointer = array)
        {
            s_pointer = (int*)pointer;
        }
        fixed (int** pointer = &s_pointer)
        {
            s_number = (nint)pointer;
        }
        int* made = (int*)NativeMemory.Alloc(4);
        made += 1;
        s_pointer = made;
        int shared = 0;
        Action change = () => shared++;
        s_pointer = (int*)Unsafe.AsPointer(ref shared); // In an object, which is another mistake.
        change();
    }

    private static int Use(int* pointer, Node* node) => *pointer + *node->Value;

    private static int Count(Span<nint> span) => span.Length;
}
