// The base library's look-ups of names, on goroutines: so many at once, and the others stand in line.
//
// A look-up blocks its thread, in the C library, for as long as the name servers take: five seconds and
// more where none answers. A server that looks up a name for each request would have a thread for each of
// them then, and a socket, until Go.MaxThreads is reached, and no thread is left for anybody else. So there
// is a limit, as in Go: 500, or what the limit of descriptors leaves. Who comes later parks, and the first
// to come goes on first. Weft's own Net looks names up by the base library too.
//
// Threads that run no goroutine are not held back: they have their thread already, and who waits for one (a
// task on the thread pool) may be in line itself. Neither are goroutines that may not park.
//
// Rejected: a resolver of our own (nsswitch.conf, mDNS, what a company has in its plug-ins); getaddrinfo_a
// (threads of its own, 20 at most, and no order of arrival).

#include "waits.h"

// Those who look up hold it; how many may, C# says at start (sched/LookUps.cs).
static struct monitor gate = { .guard = PTHREAD_MUTEX_INITIALIZER };

HIDDEN struct monitor *weft_lookup_gate(void)
{
    return &gate;
}

// Not while somebody waits for a place.
HIDDEN void weft_limit_lookups(int limit)
{
    gate.more = limit - 1;
}

// What is linked in the place of libSystem.Native's functions, with their contracts. Their result is all that
// their callers look at, so errno need not be kept.

#define IN_LINE(call)                                                                   \
    do {                                                                                \
        if (weft_may_park() == NULL)                                                    \
            return call;                                                                \
        weft_monitor_acquire(&gate, NO_LIMIT);                                          \
        int32_t result = call;                                                          \
        weft_monitor_release(&gate);                                                    \
        return result;                                                                  \
    } while (0)

int32_t __real_SystemNative_GetHostEntryForName(const uint8_t *name, int32_t family, void *entry);
HIDDEN int32_t __wrap_SystemNative_GetHostEntryForName(const uint8_t *name, int32_t family, void *entry)
{
    IN_LINE(__real_SystemNative_GetHostEntryForName(name, family, entry));
}

int32_t __real_SystemNative_GetNameInfo(
    const uint8_t *address, int32_t size, int8_t is_v6, uint8_t *host, int32_t host_size, uint8_t *service,
    int32_t service_size, int32_t flags);
HIDDEN int32_t __wrap_SystemNative_GetNameInfo(
    const uint8_t *address, int32_t size, int8_t is_v6, uint8_t *host, int32_t host_size, uint8_t *service,
    int32_t service_size, int32_t flags)
{
    IN_LINE(__real_SystemNative_GetNameInfo(
        address, size, is_v6, host, host_size, service, service_size, flags));
}
