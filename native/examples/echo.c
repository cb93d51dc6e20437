/* An echo server, its clients, and a pipe that is waited for as sockets are. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

#define CLIENTS 50
#define MS INT64_C(1000000)

static weft_wg *clients;
static char address[32];

static void serve_one(void *conn)
{
    char buffer[4096];
    for (int64_t n; (n = weft_read(conn, buffer, sizeof buffer)) > 0;)
        if (weft_write(conn, buffer, (size_t)n) < 0)
            break;
    weft_conn_close(conn);
}

static void serve(void *listener)
{
    for (weft_conn *conn; weft_accept(listener, &conn) == 0;)
        weft_go(serve_one, conn);
}

static void client(void *right)
{
    weft_conn *conn;
    char text[32], answer[32];
    if (weft_dial(&conn, "tcp", address, 5000 * MS) == 0) {
        int rounds = 0;
        for (; rounds < 20; rounds++) {
            int length = snprintf(text, sizeof text, "round %d of %d", rounds, (int)weft_self());
            int64_t got = 0;
            weft_write(conn, text, (size_t)length);
            while (got < length) {
                int64_t n = weft_read(conn, answer + got, sizeof answer - (size_t)got);
                if (n <= 0)
                    break;
                got += n;
            }
            if (got != length || memcmp(text, answer, (size_t)length) != 0)
                break;
        }
        weft_conn_deadline(conn, 2 * MS); /* Nothing more comes. */
        if (rounds == 20 && weft_read(conn, answer, 1) == WEFT_ETIMEDOUT)
            weft_chan_send(right, NULL);
        weft_conn_close(conn);
    }
    weft_wg_done(clients);
}

static void write_later(void *fd)
{
    weft_sleep(5 * MS);
    if (write(*(int *)fd, "x", 1) != 1)
        perror("write");
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_listener *listener;
    weft_conn *nobody;
    weft_chan *right;
    int fds[2], error = weft_listen(&listener, "tcp", "127.0.0.1:0");
    if (error != 0) {
        printf("listen: %s\n", weft_strerror(error));
        return 1;
    }
    snprintf(address, sizeof address, "127.0.0.1:%d", weft_listener_port(listener));
    weft_chan_make(&right, 0, CLIENTS);
    weft_wg_make(&clients);
    weft_wg_add(clients, CLIENTS);
    weft_go(serve, listener);
    for (int i = 0; i < CLIENTS; i++)
        weft_go(client, right);
    weft_wg_wait(clients);
    printf("%d of %d clients were answered\n", (int)weft_chan_len(right), CLIENTS);
    weft_listener_close(listener);
    printf("%s\n", weft_strerror(weft_dial(&nobody, "tcp", address, 1000 * MS)));

    if (pipe(fds) != 0)
        return 1;
    printf("%s, ", weft_strerror(weft_fd_wait(fds[0], WEFT_READABLE, 2 * MS)));
    weft_go(write_later, &fds[1]);
    printf("%s\n", weft_strerror(weft_fd_wait(fds[0], WEFT_READABLE, WEFT_FOREVER)));
    weft_wg_free(clients);
    return weft_chan_free(right);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
