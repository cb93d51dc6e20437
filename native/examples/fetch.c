/* An HTTP client with time-outs: for the connection, for each read, and for all of it. fetch HOST:PORT PATH asks a
 * server; without arguments one of its own, which has a page that never comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

#define MS INT64_C(1000000)

/* The status, or an error; and the body, up to size bytes, with its length. */
static int get(weft_conn *conn, const char *host, const char *path, char *body, size_t size, int64_t *length)
{
    char line[1024];
    weft_reader *reader;
    int64_t n;
    int status = WEFT_EINVAL;
    *length = -1;
    snprintf(line, sizeof line, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
    if ((n = weft_write(conn, line, strlen(line))) < 0 || (n = weft_reader_make(&reader, conn, 0)) < 0)
        return (int)n;
    if ((n = weft_reader_line(reader, line, sizeof line)) > 12 && strncmp(line, "HTTP/1.", 7) == 0)
        status = atoi(line + 9);
    while (n > 0 && (n = weft_reader_line(reader, line, sizeof line)) > 0)
        if (strncmp(line, "Content-Length:", 15) == 0)
            *length = atoll(line + 15);
    if (n == 0) /* The empty line. */
        n = *length = weft_reader_full(reader, body, *length >= 0 && *length < (int64_t)size ? (size_t)*length : size);
    weft_reader_free(reader);
    return n < 0 ? (int)n : status;
}

/* All of it within the time of the context, if there is one. */
static int fetch(const char *address, const char *path, weft_ctx *ctx, char *body, size_t size, int64_t *length)
{
    weft_conn *conn;
    weft_ctx *old;
    weft_with(ctx, &old);
    int status = weft_dial(&conn, "tcp", address, 5000 * MS);
    if (status == 0) {
        weft_conn_read_deadline(conn, 10000 * MS);
        status = get(conn, address, path, body, size, length);
        weft_conn_close(conn);
    }
    weft_with(old, NULL);
    return status;
}

static void show(const char *address, const char *path, int64_t time)
{
    static char body[1 << 20];
    int64_t length = 0;
    weft_ctx *ctx;
    weft_ctx_make(&ctx, NULL, time);
    int status = fetch(address, path, ctx, body, sizeof body, &length);
    status < 0 ? printf("%s: %s\n", path, weft_strerror(status))
               : printf("%s: %d, %d bytes: %.*s\n", path, status, (int)length, (int)length, body);
    weft_ctx_free(ctx);
}

static void answer(void *conn)
{
    char line[256], path[256] = "";
    weft_reader *reader;
    weft_reader_make(&reader, conn, 0);
    if (weft_reader_line(reader, line, sizeof line) > 0 && sscanf(line, "GET %255s", path) == 1) {
        while (weft_reader_line(reader, line, sizeof line) > 0)
            ;
        weft_sleep(strcmp(path, "/never") == 0 ? 3000 * MS : 0);
        snprintf(line, sizeof line, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        weft_write(conn, line, strlen(line));
    }
    weft_reader_free(reader), weft_conn_close(conn);
}

static void serve(void *listener)
{
    for (weft_conn *conn; weft_accept(listener, &conn) == 0;)
        weft_go(answer, conn);
}

static int run(int argc, char **argv)
{
    weft_listener *listener;
    char address[32];
    if (argc > 2)
        return show(argv[1], argv[2], 30000 * MS), 0;
    if (weft_listen(&listener, "tcp", "127.0.0.1:0") != 0)
        return 1;
    snprintf(address, sizeof address, "127.0.0.1:%d", weft_listener_port(listener));
    weft_go(serve, listener);
    show(address, "/", 5000 * MS);
    show(address, "/never", 200 * MS);
    weft_listener_close(listener);
    show(address, "/", 5000 * MS);
    return 0;
}

int main(int argc, char **argv) { return weft_main(run, argc, argv); }
