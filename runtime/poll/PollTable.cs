// Where descriptors' poll records live: one reserved range, so that an event can name one by its number. They
// are never given back to the system: an event that comes late finds a record, with another tag.
//
// Locks: s_lock guards the free list and the end of the used part. A leaf.

namespace Weft.Runtime;

internal static unsafe class PollTable
{
    private const uint CapacityWanted = 16 * 1024 * 1024;
    private const uint CapacityLeast = 64;
    private const int ShareOfLimit = 8;

    private static ShortLock s_lock;
    private static PollDescriptor* s_base;
    private static PollDescriptor* s_free;
    private static uint s_used;
    private static uint s_capacity;
    private static int s_open;

    /// <summary>How many are in use. For tests.</summary>
    internal static int OpenCount => Volatile.Read(ref s_open);

    /// <summary>How many there may be: fewer where address space is limited. At the start.</summary>
    internal static void ChooseCapacity()
    {
        nint share = AddressSpace.Share(ShareOfLimit);
        s_capacity = CapacityWanted;
        while (s_capacity > CapacityLeast && (nint)s_capacity * sizeof(PollDescriptor) > share)
        {
            s_capacity /= 2;
        }
    }

    /// <summary>Once. 0 or -errno.</summary>
    internal static nint Initialize()
    {
        nint address = Os.Reserve((nint)s_capacity * sizeof(PollDescriptor));
        while (address <= 0 && s_capacity > CapacityLeast)
        {
            s_capacity /= 2;
            address = Os.Reserve((nint)s_capacity * sizeof(PollDescriptor));
        }
        if (address <= 0)
        {
            return -Posix.ENOMEM;
        }
        s_base = (PollDescriptor*)address;
        return 0;
    }

    internal static PollDescriptor* At(uint index)
    {
        Check.Debug(index < s_used, "poll: an event for no descriptor"u8);
        return s_base + index;
    }

    /// <summary>A record that is nobody's; null when there are as many as there can be.</summary>
    internal static PollDescriptor* Take()
    {
        s_lock.Enter();
        PollDescriptor* pd = s_free;
        if (pd != null)
        {
            s_free = pd->Link;
        }
        else if (s_used < s_capacity)
        {
            pd = s_base + s_used;
            pd->Index = s_used++;
        }
        s_open += pd == null ? 0 : 1;
        s_lock.Exit();
        if (pd != null)
        {
            pd->Open();
        }
        return pd;
    }

    /// <summary>Nobody waits on it, or will.</summary>
    internal static void Give(PollDescriptor* pd)
    {
        pd->Retire();
        s_lock.Enter();
        pd->Link = s_free;
        s_free = pd;
        s_open--;
        s_lock.Exit();
    }
}
