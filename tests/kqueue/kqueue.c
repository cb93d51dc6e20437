/* Enough of kqueue(2) over epoll for Weft's backend, where libkqueue is not installed: EVFILT_READ and
 * EVFILT_WRITE with EV_ADD, EV_CLEAR and EV_DELETE, EV_EOF, user data, a time limit. The tests set
 * WEFT_KQUEUE_LIB to the library made of it.
 *
 * One epoll entry for each descriptor, edge-triggered if its filters have EV_CLEAR. What the filters are is
 * in a table by descriptor, under one lock. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { READ = -1, WRITE = -2, ADD = 0x1, DELETE = 0x2, CLEAR = 0x20, END = 0x8000 };

struct kevent {
    uintptr_t ident;
    int16_t filter;
    uint16_t flags;
    uint32_t fflags;
    intptr_t data;
    void *udata;
};

struct entry {
    void *udata[2];
    unsigned char has[2];
    unsigned char clear;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *table;
static int table_size;

int kqueue(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

static struct entry *entry_of(int fd)
{
    if (fd >= table_size) {
        int size = fd + 1024;
        struct entry *larger = realloc(table, (size_t)size * sizeof *table);
        if (larger == NULL)
            return NULL;
        memset(larger + table_size, 0, (size_t)(size - table_size) * sizeof *table);
        table = larger;
        table_size = size;
    }
    return &table[fd];
}

static int change(int kq, const struct kevent *wanted)
{
    int fd = (int)wanted->ident;
    int which = wanted->filter == WRITE;
    struct entry *e = entry_of(fd);
    if (e == NULL) {
        errno = ENOMEM;
        return -1;
    }
    int before = e->has[0] || e->has[1];
    if (wanted->flags & ADD) {
        e->has[which] = 1;
        e->udata[which] = wanted->udata;
        e->clear = (wanted->flags & CLEAR) != 0;
    } else if (wanted->flags & DELETE) {
        if (!e->has[which]) {
            errno = ENOENT;
            return -1;
        }
        e->has[which] = 0;
    }
    struct epoll_event event = { .data.fd = fd };
    event.events = (e->has[0] ? EPOLLIN | EPOLLRDHUP | EPOLLPRI : 0) | (e->has[1] ? EPOLLOUT : 0);
    if (e->clear)
        event.events |= EPOLLET;
    int after = e->has[0] || e->has[1];
    int op = !after ? EPOLL_CTL_DEL : before ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int result = epoll_ctl(kq, op, fd, &event);
    if (result != 0 && before && errno == ENOENT && after) /* Closed meanwhile, and opened again. */
        result = epoll_ctl(kq, EPOLL_CTL_ADD, fd, &event);
    if (result != 0 && after)
        e->has[which] = 0;
    return result;
}

static int report(struct kevent *list, int fd, int filter, uint32_t events)
{
    struct entry *e = &table[fd];
    int which = filter == WRITE;
    if (!e->has[which])
        return 0;
    memset(list, 0, sizeof *list);
    list->ident = (uintptr_t)fd;
    list->filter = (int16_t)filter;
    list->flags = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) ? END : 0;
    list->fflags = (events & EPOLLERR) ? EPIPE : 0; /* Which one: SO_ERROR, which reading clears. */
    list->udata = e->udata[which];
    return 1;
}

int kevent(int kq, const struct kevent *changes, int change_count, struct kevent *list, int room,
           const struct timespec *limit)
{
    struct epoll_event events[64];
    int most = room / 2 < 64 ? room / 2 : 64;
    int count = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < change_count; i++) {
        if (change(kq, &changes[i]) != 0) {
            pthread_mutex_unlock(&lock);
            return -1;
        }
    }
    pthread_mutex_unlock(&lock);
    if (room == 0)
        return 0;
    int ready = epoll_pwait2(kq, events, most > 0 ? most : 1, limit, NULL);
    if (ready < 0)
        return -1;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < ready; i++) {
        const uint32_t ends = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
        int fd = events[i].data.fd;
        if (events[i].events & (EPOLLIN | EPOLLPRI | ends))
            count += report(list + count, fd, READ, events[i].events);
        if (events[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            count += report(list + count, fd, WRITE, events[i].events);
    }
    pthread_mutex_unlock(&lock);
    return count;
}
