/* A library that gives a descriptor and has functions that do not block: an event descriptor of the kernel's stands
 * for it. The goroutine waits without a thread, and reads when there is something.
 *
 * Prints:
 *   the events 1 to 5 were seen, 15 in all
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <weft.h>

static int events;

/* read(2), for a goroutine; the descriptor is non-blocking. Try first: mostly there is something. */
static ssize_t read_waiting(int fd, void *buffer, size_t size)
{
    for (;;) {
        ssize_t got = read(fd, buffer, size);
        if (got >= 0 || errno != EAGAIN)
            return got;
        weft_fd_wait(fd, WEFT_READABLE, WEFT_FOREVER);
    }
}

static void make_events(void *argument)
{
    (void)argument;
    for (uint64_t i = 1; i <= 5; i++) {
        weft_sleep(500000);
        if (write(events, &i, sizeof i) != sizeof i)
            perror("write");
    }
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    uint64_t sum = 0;
    events = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    weft_go(make_events, NULL);
    while (sum < 15) {
        uint64_t some;
        if (read_waiting(events, &some, sizeof some) != sizeof some)
            return 1;
        sum += some;
    }
    printf("the events 1 to 5 were seen, %d in all\n", (int)sum);
    return close(events);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
