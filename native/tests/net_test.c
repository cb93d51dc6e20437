/* The network beyond listen, dial, read and write: with right and with wrong arguments.
 *
 *   net_test PROCS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

#define MS INT64_C(1000000)
#define LONG (20000 * MS)

static void outside(void)
{
    void *none = (void *)8;
    weft_addr addr;
    char text[8];
    EQUAL(weft_conn_adopt((weft_conn **)&none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_conn_release(none), WEFT_ESHUTDOWN);
    EQUAL(weft_conn_fd(none), WEFT_ESHUTDOWN);
    EQUAL(weft_conn_local(none, &addr), WEFT_ESHUTDOWN);
    EQUAL(weft_conn_peer(none, &addr), WEFT_ESHUTDOWN);
    EQUAL(weft_conn_close_write(none), WEFT_ESHUTDOWN);
    EQUAL(weft_conn_close_read(none), WEFT_ESHUTDOWN);
    EQUAL(weft_conn_read_deadline(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_conn_write_deadline(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_writev(none, NULL, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_resolve("tcp", "localhost:1", &addr, 1), WEFT_ESHUTDOWN);
    EQUAL(weft_listener_addr(none, &addr), WEFT_ESHUTDOWN);
    EQUAL(weft_listener_deadline(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_listener_fd(none), WEFT_ESHUTDOWN);
    EQUAL(weft_packets_open((weft_packets **)&none, "udp", "127.0.0.1:0"), WEFT_ESHUTDOWN);
    EQUAL(weft_packets_recv(none, text, 1, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_packets_send(none, text, 1, &addr), WEFT_ESHUTDOWN);
    EQUAL(weft_packets_local(none, &addr), WEFT_ESHUTDOWN);
    EQUAL(weft_packets_deadline(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_packets_fd(none), WEFT_ESHUTDOWN);
    EQUAL(weft_packets_close(none), WEFT_ESHUTDOWN);
    EQUAL(weft_reader_make((weft_reader **)&none, none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_reader_read(none, text, 1), WEFT_ESHUTDOWN);
    EQUAL(weft_reader_full(none, text, 1), WEFT_ESHUTDOWN);
    EQUAL(weft_reader_line(none, text, 1), WEFT_ESHUTDOWN);
    EQUAL(weft_reader_free(none), WEFT_ESHUTDOWN);
}

/* Both ends of a TCP connection. */
static void connect_pair(weft_conn **a, weft_conn **b)
{
    weft_listener *listener;
    char address[32];
    EQUAL(weft_listen(&listener, "tcp", "127.0.0.1:0"), 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", weft_listener_port(listener));
    EQUAL(weft_dial(a, "tcp", address, LONG), 0);
    EQUAL(weft_accept(listener, b), 0);
    EQUAL(weft_listener_close(listener), 0);
}

static void addresses(void)
{
    weft_listener *listener;
    weft_conn *a, *b;
    weft_addr local, peer, found[8];
    char text[64], short_text[4], address[64];
    int on = 0;
    socklen_t size = sizeof on;
    EQUAL(weft_listen(&listener, "tcp", "127.0.0.1:0"), 0);
    EQUAL(weft_listener_addr(listener, NULL), WEFT_EINVAL);
    EQUAL(weft_listener_addr(listener, &local), 0);
    EQUAL(weft_addr_text(&local, address, sizeof address), (int)strlen(address));
    snprintf(text, sizeof text, "127.0.0.1:%d", weft_listener_port(listener));
    CHECK(strcmp(address, text) == 0);
    EQUAL(ntohs(((struct sockaddr_in *)local.raw)->sin_port), weft_listener_port(listener));
    CHECK(weft_listener_fd(listener) >= 0);
    EQUAL(weft_dial(&a, "tcp", address, LONG), 0);
    EQUAL(weft_accept(listener, &b), 0);
    EQUAL(weft_conn_local(a, &local), 0);
    EQUAL(weft_conn_peer(b, &peer), 0);
    EQUAL(local.length, peer.length);
    CHECK(memcmp(local.raw, peer.raw, peer.length) == 0);
    EQUAL(weft_conn_peer(a, &peer), 0);
    EQUAL(weft_addr_text(&peer, short_text, sizeof short_text), (int)strlen(address));
    CHECK(strcmp(short_text, "127") == 0);
    EQUAL(weft_addr_text(&peer, NULL, 0), (int)strlen(address));
    EQUAL(weft_addr_text(NULL, text, 1), WEFT_EINVAL);
    EQUAL(weft_addr_text(&peer, NULL, 1), WEFT_EINVAL);
    peer.length = 129;
    EQUAL(weft_addr_text(&peer, text, 1), WEFT_EINVAL);
    EQUAL(weft_conn_local(a, NULL), WEFT_EINVAL);
    EQUAL(weft_conn_peer(NULL, &peer), WEFT_EINVAL);
    EQUAL(weft_conn_local((weft_conn *)listener, &peer), WEFT_EBADF);
    CHECK(getsockopt(weft_conn_fd(a), IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0 && on != 0);
    EQUAL(weft_conn_fd(NULL), WEFT_EINVAL);

    EQUAL(weft_listener_deadline(listener, 2 * MS), 0);
    weft_conn *none;
    EQUAL(weft_accept(listener, &none), WEFT_ETIMEDOUT);
    EQUAL(weft_listener_deadline(NULL, 0), WEFT_EINVAL);
    EQUAL(weft_conn_close(a), 0);
    EQUAL(weft_conn_close(b), 0);
    EQUAL(weft_listener_close(listener), 0);

    int count = weft_resolve("tcp", "localhost:80", found, 8);
    CHECK(count >= 1);
    EQUAL(weft_resolve("udp4", "127.0.0.1:53", found, 0), 1);
    EQUAL(weft_resolve("udp4", "127.0.0.1:53", NULL, 0), 1);
    EQUAL(weft_resolve("tcp6", "[::1]:53", found, 8), 1);
    EQUAL(weft_addr_text(&found[0], text, sizeof text), 8);
    CHECK(strcmp(text, "[::1]:53") == 0);
    EQUAL(weft_resolve("tcp", "127.0.0.1", found, 1), WEFT_EINVAL);
    EQUAL(weft_resolve("smoke", "127.0.0.1:1", found, 1), WEFT_EINVAL);
    EQUAL(weft_resolve(NULL, "127.0.0.1:1", found, 1), WEFT_EINVAL);
    EQUAL(weft_resolve("tcp", "127.0.0.1:1", NULL, 1), WEFT_EINVAL);
    EQUAL(weft_resolve("tcp", "127.0.0.1:1", found, -1), WEFT_EINVAL);
}

static void *writes_forever(void *conn)
{
    char block[65536] = { 0 };
    int64_t result;
    while ((result = weft_write(conn, block, sizeof block)) == (int64_t)sizeof block)
        ;
    return (void *)(intptr_t)result;
}

static void deadlines(void)
{
    weft_conn *a, *b;
    weft_task *task;
    char byte = 'x';
    void *result;
    connect_pair(&a, &b);
    EQUAL(weft_conn_read_deadline(a, 2 * MS), 0);
    EQUAL(weft_read(a, &byte, 1), WEFT_ETIMEDOUT);
    EQUAL(weft_write(a, &byte, 1), 1); /* The other direction goes on. */
    EQUAL(weft_conn_read_deadline(a, -1), 0);
    EQUAL(weft_conn_write_deadline(a, 0), 0);
    EQUAL(weft_write(a, &byte, 1), WEFT_ETIMEDOUT);
    EQUAL(weft_write(b, &byte, 1), 1);
    EQUAL(weft_read(a, &byte, 1), 1);
    EQUAL(weft_conn_write_deadline(a, -1), 0);
    EQUAL(weft_task_go(&task, NULL, writes_forever, a), 0);
    EQUAL(weft_sleep(5 * MS), 0);
    EQUAL(weft_conn_write_deadline(a, 2 * MS), 0); /* The one under way, too. */
    EQUAL(weft_task_join(task, &result), 0);
    EQUAL((intptr_t)result, WEFT_ETIMEDOUT);
    EQUAL(weft_conn_read_deadline(NULL, 0), WEFT_EINVAL);
    EQUAL(weft_conn_write_deadline((weft_conn *)8, 0), WEFT_EBADF);
    EQUAL(weft_conn_close(a), 0);
    EQUAL(weft_conn_close(b), 0);
}

static void half_close(void)
{
    weft_conn *a, *b;
    char text[8];
    connect_pair(&a, &b);
    EQUAL(weft_write(a, "last", 4), 4);
    EQUAL(weft_conn_close_write(a), 0);
    EQUAL(weft_read(b, text, 8), 4);
    EQUAL(weft_read(b, text, 8), 0);
    EQUAL(weft_write(b, "back", 4), 4); /* The other direction goes on. */
    EQUAL(weft_read(a, text, 8), 4);
    CHECK(weft_write(a, "more", 4) < 0);
    EQUAL(weft_conn_close_read(b), 0);
    EQUAL(weft_conn_close_write(NULL), WEFT_EINVAL);
    EQUAL(weft_conn_close_read((weft_conn *)8), WEFT_EBADF);
    EQUAL(weft_conn_close(a), 0);
    EQUAL(weft_conn_close(b), 0);
}

static void *reads_all(void *conn)
{
    unsigned char block[4096];
    uintptr_t sum = 0;
    int64_t count;
    while ((count = weft_read(conn, block, sizeof block)) > 0)
        for (int64_t i = 0; i < count; i++)
            sum += block[i];
    EQUAL(count, 0);
    return (void *)sum;
}

static void vectors(void)
{
    static unsigned char bytes[300000];
    weft_conn *a, *b;
    weft_vec parts[100];
    weft_task *task;
    uintptr_t sum = 0, total = 0;
    void *read;
    connect_pair(&a, &b);
    EQUAL(weft_task_go(&task, NULL, reads_all, b), 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    for (int i = 0; i < 100; i++) {
        parts[i] = (weft_vec){ bytes + 37 * i, (size_t)(i % 10 == 3 ? 0 : i == 50 ? 200000 : 37 * i) };
        total += parts[i].size;
        for (size_t k = 0; k < parts[i].size; k++)
            sum += bytes[37 * i + k];
    }
    EQUAL(weft_writev(a, parts, 100), (int64_t)total);
    EQUAL(parts[50].size, 200000); /* As they were. */
    EQUAL(weft_writev(a, parts, 0), 0);
    EQUAL(weft_writev(a, NULL, 0), 0);
    EQUAL(weft_writev(a, NULL, 1), WEFT_EINVAL);
    EQUAL(weft_writev(a, parts, -1), WEFT_EINVAL);
    parts[0] = (weft_vec){ NULL, 1 };
    EQUAL(weft_writev(a, parts, 1), WEFT_EINVAL);
    parts[0] = (weft_vec){ bytes, (size_t)1 << 40 };
    EQUAL(weft_writev(a, parts, 1), WEFT_EINVAL);
    EQUAL(weft_conn_close_write(a), 0);
    EQUAL(weft_task_join(task, &read), 0);
    EQUAL((uintptr_t)read, sum);
    EQUAL(weft_conn_close(a), 0);
    EQUAL(weft_writev(a, parts, 0), WEFT_EBADF);
    EQUAL(weft_conn_close(b), 0);
}

/* --- waits that are ended from outside ------------------------------------------------------------------------ */

struct ended {
    weft_conn *conn;
    weft_listener *listener;
    weft_packets *packets;
    weft_reader *reader;
    int fd, which, expected;
};

static int64_t wait_for(struct ended *e)
{
    static char block[1 << 20];
    weft_conn *conn;
    int64_t result;
    switch (e->which) {
    case 0: return weft_read(e->conn, block, 1);
    case 1:
        while ((result = weft_write(e->conn, block, sizeof block)) > 0)
            ;
        return result;
    case 2: return weft_accept(e->listener, &conn);
    case 3: return weft_packets_recv(e->packets, block, 1, NULL);
    case 4: return weft_fd_wait(e->fd, WEFT_READABLE, WEFT_FOREVER);
    default: return weft_reader_line(e->reader, block, 10);
    }
}

static void *is_ended(void *argument)
{
    struct ended *e = argument;
    EQUAL(wait_for(e), e->expected);
    if (e->expected == WEFT_EINTR)
        EQUAL(weft_sleep(MS), 0); /* One wait only. */
    else
        EQUAL(wait_for(e), e->expected);
    return e;
}

static void end_from_outside(void)
{
    struct ended e = { 0 };
    weft_conn *peer;
    weft_addr addr;
    int fds[2];
    char text[16];
    CHECK(pipe(fds) == 0);
    e.fd = fds[0];
    EQUAL(weft_listen(&e.listener, "tcp", "127.0.0.1:0"), 0);
    EQUAL(weft_packets_open(&e.packets, "udp", "127.0.0.1:0"), 0);
    for (e.which = 0; e.which < 6; e.which++)
        for (int how = 0; how < 4; how++) {
            weft_task *task;
            connect_pair(&e.conn, &peer);
            EQUAL(weft_reader_make(&e.reader, e.conn, 0), 0);
            EQUAL(weft_write(peer, "half", e.which == 5 ? 4 : 0), e.which == 5 ? 4 : 0);
            e.expected = how % 2 ? WEFT_EINTR : WEFT_ECANCELED;
            EQUAL(weft_task_go(&task, NULL, is_ended, &e), 0);
            if (how >= 2)
                EQUAL(weft_sleep(2 * MS), 0);
            EQUAL(how % 2 ? weft_task_interrupt(task) : weft_task_cancel(task), 0);
            EQUAL(weft_task_join_until(task, NULL, weft_after(LONG)), 0);
            if (e.which == 5) { /* Nothing is lost. */
                EQUAL(weft_write(peer, " a line\n", 8), 8);
                EQUAL(weft_reader_line(e.reader, text, sizeof text), 11);
                CHECK(strcmp(text, "half a line") == 0);
            }
            if (e.which == 0) { /* It can go on. */
                EQUAL(weft_write(peer, "x", 1), 1);
                EQUAL(weft_read(e.conn, text, 1), 1);
            }
            EQUAL(weft_reader_free(e.reader), 0);
            EQUAL(weft_conn_close(e.conn), 0);
            EQUAL(weft_conn_close(peer), 0);
        }
    EQUAL(weft_packets_local(e.packets, &addr), 0);
    EQUAL(weft_packets_send(e.packets, "self", 4, &addr), 4);
    EQUAL(weft_packets_recv(e.packets, text, sizeof text, NULL), 4);
    EQUAL(weft_packets_close(e.packets), 0);
    EQUAL(weft_listener_close(e.listener), 0);
    close(fds[0]), close(fds[1]);
}

/* What needs no wait is done where waits end; a deadline of the connection that has passed ends what needs none, too. */
static void without_a_wait(void *argument)
{
    weft_listener *listener;
    weft_packets *packets;
    weft_conn *a, *b, *third;
    weft_ctx *ctx;
    weft_addr addr;
    weft_vec parts[] = { { "ab", 2 }, { "cd", 2 } };
    char address[32], text[16];
    (void)argument;
    connect_pair(&a, &b);
    EQUAL(weft_listen(&listener, "tcp", "127.0.0.1:0"), 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", weft_listener_port(listener));
    EQUAL(weft_dial(&third, "tcp", address, LONG), 0);
    EQUAL(weft_conn_close(third), 0);
    EQUAL(weft_packets_open(&packets, "udp", "127.0.0.1:0"), 0);
    EQUAL(weft_packets_local(packets, &addr), 0);
    EQUAL(weft_write(b, "xy", 2), 2);
    EQUAL(weft_fd_wait(weft_conn_fd(a), WEFT_READABLE, WEFT_FOREVER), 0);

    EQUAL(weft_ctx_make(&ctx, NULL, WEFT_FOREVER), 0);
    EQUAL(weft_with(ctx, NULL), 0);
    EQUAL(weft_ctx_cancel(ctx), 0);
    EQUAL(weft_fd_wait(weft_conn_fd(a), WEFT_READABLE, WEFT_FOREVER), 0);
    EQUAL(weft_read(a, text, sizeof text), 2);
    EQUAL(weft_read(a, text, sizeof text), WEFT_ECANCELED);
    EQUAL(weft_fd_wait(weft_conn_fd(a), WEFT_READABLE, WEFT_FOREVER), WEFT_ECANCELED);
    EQUAL(weft_write(a, "x", 1), 1);
    EQUAL(weft_writev(a, parts, 2), 4);
    EQUAL(weft_accept(listener, &third), 0);
    EQUAL(weft_conn_close(third), 0);
    EQUAL(weft_accept(listener, &third), WEFT_ECANCELED);
    EQUAL(weft_packets_send(packets, "self", 4, &addr), 4);
    EQUAL(weft_packets_recv(packets, text, sizeof text, &addr), 4);
    EQUAL(addr.length > 0, 1);
    EQUAL(weft_packets_recv(packets, text, sizeof text, NULL), WEFT_ECANCELED);
    EQUAL(weft_dial(&third, "tcp", address, LONG), WEFT_ECANCELED);
    EQUAL(weft_with(NULL, NULL), 0);
    EQUAL(weft_ctx_free(ctx), 0);
    EQUAL(weft_read(b, text, sizeof text), 5);
    CHECK(memcmp(text, "xabcd", 5) == 0);

    EQUAL(weft_write(b, "xy", 2), 2);
    EQUAL(weft_fd_wait(weft_conn_fd(a), WEFT_READABLE, 0), 0);
    EQUAL(weft_conn_deadline(a, 0), 0);
    EQUAL(weft_read(a, text, sizeof text), WEFT_ETIMEDOUT);
    EQUAL(weft_write(a, "x", 1), WEFT_ETIMEDOUT);
    EQUAL(weft_conn_deadline(a, WEFT_FOREVER), 0);
    EQUAL(weft_read(a, text, sizeof text), 2);
    EQUAL(weft_conn_close(a), 0);
    EQUAL(weft_conn_close(b), 0);
    EQUAL(weft_packets_close(packets), 0);
    EQUAL(weft_listener_close(listener), 0);
}

/* --- look-ups that take long ------------------------------------------------------------------------------------ */

static int asked[2], answers[2];

/* In the place of the C library's, for libweft too: of names that end in .example it says who is looked for, and has no
 * answer before the test has. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    char byte;
    if (name == NULL || strstr(name, ".example") == NULL) {
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
        return real(name, service, hints, found);
    }
    *found = NULL;
    return write(asked[1], name, 1) == 1 && read(answers[0], &byte, 1) == 1 ? EAI_NONAME : EAI_FAIL;
}

static void *resolves(void *argument)
{
    weft_addr addr;
    (void)argument;
    return (void *)(intptr_t)weft_resolve("tcp", "resolved.example:80", &addr, 1);
}

static void look_ups(void *argument)
{
    weft_conn *conn;
    weft_task *task;
    void *result;
    char byte;
    (void)argument;
    CHECK(pipe(asked) == 0 && pipe(answers) == 0);
    EQUAL(weft_dial(&conn, "tcp", "dialled.example:80", 20 * MS), WEFT_ETIMEDOUT);
    EQUAL(weft_task_go(&task, NULL, resolves, NULL), 0);
    do
        EQUAL(weft_file_read(asked[0], &byte, 1, -1), 1);
    while (byte != 'r');
    EQUAL(weft_task_cancel(task), 0);
    EQUAL(weft_task_join(task, &result), 0);
    EQUAL((intptr_t)result, WEFT_ECANCELED);
    EQUAL(write(answers[1], "for all", 7), 7); /* They go on. */
    EQUAL((intptr_t)resolves(NULL), -113); /* EHOSTUNREACH */
}

/* --- datagrams ------------------------------------------------------------------------------------------------- */

static void datagrams(void)
{
    weft_packets *a, *b, *six;
    weft_addr to, from, self;
    weft_conn *conn;
    char text[64], address[64];
    static char large[70000];
    EQUAL(weft_packets_open(NULL, "udp", "127.0.0.1:0"), WEFT_EINVAL);
    EQUAL(weft_packets_open(&a, NULL, "127.0.0.1:0"), WEFT_EINVAL);
    EQUAL(weft_packets_open(&a, "udp", NULL), WEFT_EINVAL);
    EQUAL(weft_packets_open(&a, "tcp", "127.0.0.1:0"), WEFT_EINVAL);
    EQUAL(weft_packets_open(&a, "udp", "127.0.0.1:0"), 0);
    EQUAL(weft_packets_open(&b, "udp4", "127.0.0.1:0"), 0);
    EQUAL(weft_packets_local(a, &self), 0);
    EQUAL(weft_packets_local(b, NULL), WEFT_EINVAL);
    EQUAL(weft_packets_local(b, &to), 0);
    CHECK(weft_packets_fd(a) >= 0);
    EQUAL(weft_packets_send(a, "hello", 5, &to), 5);
    if (!UNDER_QEMU) /* To which no bytes at no address are EFAULT. */
        EQUAL(weft_packets_send(a, NULL, 0, &to), 0);
    EQUAL(weft_packets_recv(b, text, sizeof text, &from), 5);
    CHECK(memcmp(text, "hello", 5) == 0);
    EQUAL(from.length, self.length);
    CHECK(memcmp(from.raw, self.raw, self.length) == 0);
    if (!UNDER_QEMU)
        EQUAL(weft_packets_recv(b, text, sizeof text, NULL), 0);
    EQUAL(weft_packets_send(a, "cut", 3, &to), 3);
    EQUAL(weft_packets_recv(b, text, 1, NULL), 1);
    EQUAL(weft_packets_send(a, large, sizeof large, &to), WEFT_EMSGSIZE);
    EQUAL(weft_packets_send(a, NULL, 1, &to), WEFT_EINVAL);
    EQUAL(weft_packets_send(a, "x", 1, NULL), WEFT_EINVAL);
    to.length = 0;
    EQUAL(weft_packets_send(a, "x", 1, &to), WEFT_EINVAL);
    EQUAL(weft_packets_recv(b, NULL, 1, NULL), WEFT_EINVAL);
    EQUAL(weft_packets_deadline(b, 2 * MS), 0);
    EQUAL(weft_packets_recv(b, text, 1, NULL), WEFT_ETIMEDOUT);
    EQUAL(weft_packets_deadline(b, -1), 0);

    EQUAL(weft_addr_text(&self, address, sizeof address), (int)strlen(address));
    EQUAL(weft_dial(&conn, "udp", address, LONG), 0);
    EQUAL(weft_write(conn, "dialled", 7), 7);
    EQUAL(weft_packets_recv(a, text, sizeof text, &from), 7);
    EQUAL(weft_packets_send(a, "answer", 6, &from), 6);
    EQUAL(weft_read(conn, text, sizeof text), 6);
    EQUAL(weft_conn_close(conn), 0);
    if (weft_packets_open(&six, "udp", "[::]:0") == 0) { /* An address of IPv4 on a socket of IPv6. */
        EQUAL(weft_packets_send(six, "six", 3, &self), 3);
        EQUAL(weft_packets_recv(a, text, sizeof text, &from), 3);
        EQUAL(weft_packets_close(six), 0);
    }
    EQUAL(weft_packets_close(a), 0);
    EQUAL(weft_packets_close(a), WEFT_EBADF);
    EQUAL(weft_packets_recv(a, text, 1, NULL), WEFT_EBADF);
    EQUAL(weft_packets_close(b), 0);
}

/* --- descriptors that come from elsewhere, and go there ---------------------------------------------------------- */

static void *adopts_and_reads(void *conn)
{
    char byte;
    return (void *)(intptr_t)(weft_read(conn, &byte, 1) == 1 ? byte : -1);
}

static void adoption(void)
{
    weft_conn *conn, *peer;
    weft_task *task;
    weft_addr addr;
    int fds[2];
    char text[16];
    void *byte;
    EQUAL(weft_conn_adopt(NULL, 0), WEFT_EINVAL);
    EQUAL(weft_conn_adopt(&conn, -1), WEFT_EBADF);
    EQUAL(weft_conn_adopt(&conn, 12345), WEFT_EBADF);
    EQUAL(weft_conn_release(NULL), WEFT_EINVAL);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    EQUAL(weft_conn_adopt(&conn, fds[0]), 0);
    EQUAL(weft_conn_adopt(&peer, fds[1]), 0);
    CHECK((fcntl(fds[0], F_GETFL) & O_NONBLOCK) == 0); /* As it was, for others. */
    EQUAL(weft_task_go(&task, NULL, adopts_and_reads, conn), 0);
    EQUAL(weft_sleep(MS), 0);
    EQUAL(weft_write(peer, "q", 1), 1);
    EQUAL(weft_task_join(task, &byte), 0);
    EQUAL((intptr_t)byte, 'q');
    weft_vec parts[2] = { { "ab", 2 }, { "cd", 2 } };
    EQUAL(weft_writev(conn, parts, 2), 4);
    EQUAL(weft_read(peer, text, 16), 4);
    CHECK(memcmp(text, "abcd", 4) == 0);
    int own = weft_conn_release(conn);
    CHECK(own >= 0);
    EQUAL(weft_read(conn, text, 1), WEFT_EBADF);
    EQUAL(weft_conn_release(conn), WEFT_EBADF);
    CHECK((fcntl(own, F_GETFL) & O_NONBLOCK) == 0);
    EQUAL(write(own, "mine", 4), 4); /* It is open, and the caller's. */
    EQUAL(weft_read(peer, text, 16), 4);
    close(own);
    EQUAL(weft_read(peer, text, 16), 0);
    EQUAL(weft_conn_close(peer), 0);
    CHECK(fcntl(fds[1], F_GETFD) < 0); /* Closed with it. */

    CHECK(pipe(fds) == 0);
    EQUAL(weft_conn_adopt(&conn, fds[0]), 0);
    EQUAL(weft_conn_adopt(&peer, fds[1]), 0);
    EQUAL(weft_write(peer, "pipe", 4), 4);
    EQUAL(weft_read(conn, text, 16), 4);
    EQUAL(weft_conn_close_write(peer), -88); /* No socket. */
    EQUAL(weft_conn_peer(conn, &addr), -88);
    EQUAL(addr.length, 0);
    EQUAL(weft_conn_read_deadline(conn, 2 * MS), 0);
    EQUAL(weft_read(conn, text, 16), WEFT_ETIMEDOUT);
    EQUAL(weft_conn_close(peer), 0);
    EQUAL(weft_conn_close(conn), 0);

    char path[] = "/tmp/weft-net-test-XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0);
    unlink(path);
    EQUAL(weft_conn_adopt(&conn, file), 0); /* A regular file. */
    EQUAL(weft_write(conn, "file", 4), 4);
    CHECK(lseek(file, 0, SEEK_SET) == 0);
    EQUAL(weft_read(conn, text, 16), 4);
    EQUAL(weft_read(conn, text, 16), 0);
    EQUAL(weft_conn_close(conn), 0);

    connect_pair(&conn, &peer); /* One of weft's, to somebody else. */
    own = weft_conn_release(conn);
    EQUAL(write(own, "tcp", 3), 3);
    EQUAL(weft_read(peer, text, 16), 3);
    EQUAL(weft_conn_adopt(&conn, own), 0);
    EQUAL(weft_write(conn, "again", 5), 5);
    EQUAL(weft_read(peer, text, 16), 5);
    EQUAL(weft_conn_peer(conn, &addr), 0);
    EQUAL(weft_conn_close(conn), 0);
    EQUAL(weft_conn_close(peer), 0);
}

/* --- the reader ------------------------------------------------------------------------------------------------ */

static void *reads_a_line(void *reader)
{
    char line[16];
    int64_t result;
    while ((result = weft_reader_line(reader, line, sizeof line)) == WEFT_EBUSY)
        weft_yield(); /* The other one has just asked. */
    return (void *)(intptr_t)result;
}

static void readers(void)
{
    weft_conn *a, *b;
    weft_reader *reader;
    weft_task *task;
    char line[64], text[256];
    void *result;
    connect_pair(&a, &b);
    EQUAL(weft_reader_make(NULL, b, 0), WEFT_EINVAL);
    EQUAL(weft_reader_make(&reader, NULL, 0), WEFT_EINVAL);
    EQUAL(weft_reader_make(&reader, b, (size_t)1 << 40), WEFT_EINVAL);
    EQUAL(weft_reader_make(&reader, b, 32), 0);
    EQUAL(weft_reader_line(reader, NULL, 1), WEFT_EINVAL);
    EQUAL(weft_reader_line(reader, line, 0), WEFT_EINVAL);
    EQUAL(weft_reader_read(reader, NULL, 1), WEFT_EINVAL);
    EQUAL(weft_reader_full(NULL, line, 1), WEFT_EINVAL);
    EQUAL(weft_write(a, "one\r\n\ntwo\nthr", 13), 13);
    EQUAL(weft_reader_line(reader, line, sizeof line), 3);
    CHECK(strcmp(line, "one") == 0);
    EQUAL(weft_reader_line(reader, line, sizeof line), 0);
    EQUAL(weft_reader_line(reader, line, 4), 3);
    CHECK(strcmp(line, "two") == 0);
    EQUAL(weft_conn_read_deadline(b, 2 * MS), 0);
    EQUAL(weft_reader_line(reader, line, sizeof line), WEFT_ETIMEDOUT);
    EQUAL(weft_reader_full(reader, line, 5), WEFT_ETIMEDOUT);
    EQUAL(weft_conn_read_deadline(b, -1), 0);
    EQUAL(weft_write(a, "ee\nbinary", 9), 9);
    EQUAL(weft_reader_line(reader, line, sizeof line), 5);
    CHECK(strcmp(line, "three") == 0);
    EQUAL(weft_reader_full(reader, line, 4), 4);
    CHECK(memcmp(line, "bina", 4) == 0);
    EQUAL(weft_reader_read(reader, line, sizeof line), 2);
    EQUAL(weft_reader_read(reader, line, 0), 0);

    EQUAL(weft_write(a, "a line that is longer than thirty-two bytes\nshort\n", 50), 50);
    EQUAL(weft_reader_line(reader, line, sizeof line), WEFT_EMSGSIZE); /* Than the buffer. */
    EQUAL(strlen(line), 32);
    EQUAL(weft_reader_line(reader, line, 5), WEFT_EMSGSIZE); /* Than its place. */
    CHECK(strcmp(line, "two ") == 0 || strlen(line) == 4);
    EQUAL(weft_reader_line(reader, line, sizeof line), 7);
    EQUAL(weft_reader_line(reader, line, 6), 5);
    CHECK(strcmp(line, "short") == 0);

    for (int i = 0; i < 256; i++)
        text[i] = (char)i;
    EQUAL(weft_write(a, text, 200), 200);
    char got[200];
    EQUAL(weft_reader_full(reader, got, 7), 7);
    EQUAL(weft_reader_full(reader, got + 7, 193), 193); /* More than the buffer. */
    CHECK(memcmp(got, text, 200) == 0);

    EQUAL(weft_task_go(&task, NULL, reads_a_line, reader), 0);
    for (int i = 0; i < 20000 && weft_reader_full(reader, NULL, 0) == 0; i++)
        EQUAL(weft_sleep(MS), 0);
    EQUAL(weft_reader_line(reader, line, sizeof line), WEFT_EBUSY);
    EQUAL(weft_write(a, "x\nlast", 6), 6);
    EQUAL(weft_task_join(task, &result), 0);
    EQUAL((intptr_t)result, 1);
    EQUAL(weft_conn_close_write(a), 0);
    EQUAL(weft_reader_line(reader, line, sizeof line), 4);
    CHECK(strcmp(line, "last") == 0);
    EQUAL(weft_reader_line(reader, line, sizeof line), WEFT_ENODATA);
    EQUAL(weft_reader_read(reader, line, sizeof line), 0);
    EQUAL(weft_reader_full(reader, line, 3), 0);
    EQUAL(weft_conn_close(b), 0);
    EQUAL(weft_reader_free(reader), 0);
    EQUAL(weft_reader_free(reader), WEFT_EBADF);
    EQUAL(weft_conn_close(a), 0);
}

static void everything(void *argument)
{
    (void)argument;
    addresses();
    deadlines();
    half_close();
    vectors();
    end_from_outside();
    EQUAL(weft_run(without_a_wait, NULL), 0);
    datagrams();
    adoption();
    readers();
}

int main(int argc, char **argv)
{
    outside();
    EQUAL(weft_init(NULL), 0);
    CHECK(weft_maxprocs(argc > 1 ? atoi(argv[1]) : 2) > 0);
    everything(NULL);
    EQUAL(weft_run(everything, NULL), 0);
    EQUAL(weft_run(look_ups, NULL), 0);
    ALL_END();
    EQUAL(weft_shutdown(), 0);
    outside();
    puts("passed");
    return 0;
}
