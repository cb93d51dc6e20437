/* A chat server: what one says all others hear, and who does not listen misses something. chat HOST:PORT serves;
 * without an address three clients talk. */
#include <stdio.h>
#include <string.h>
#include <weft.h>

#define MOST 100 /* members */
#define MS INT64_C(1000000)

struct line { char text[128]; };

static weft_mutex *lock; /* Guards the next two. */
static weft_chan *members[MOST];
static int count;

static void say(weft_chan *from, const struct line *line)
{
    weft_mutex_lock(lock);
    for (int i = 0; i < count; i++)
        if (members[i] != from)
            weft_chan_try_send(members[i], line);
    weft_mutex_unlock(lock);
}

static void *hear(void *lines_and_conn)
{
    void **both = lines_and_conn;
    struct line line;
    while (weft_chan_recv(both[0], &line) == 0 && weft_write(both[1], line.text, strlen(line.text)) > 0);
    return NULL;
}

static void member(void *conn)
{
    weft_chan *lines;
    weft_reader *reader;
    weft_task *hearer;
    struct line line;
    weft_chan_make(&lines, sizeof line, 64), weft_reader_make(&reader, conn, 0);
    void *both[] = { lines, conn };
    weft_task_go(&hearer, NULL, hear, both);
    weft_mutex_lock(lock);
    if (count < MOST)
        members[count++] = lines;
    weft_mutex_unlock(lock);
    for (int64_t n; (n = weft_reader_line(reader, line.text, sizeof line.text - 1)) >= 0; say(lines, &line))
        memcpy(line.text + n, "\n", 2);
    weft_mutex_lock(lock);
    for (int i = 0; i < count; i++)
        if (members[i] == lines)
            members[i] = members[--count];
    weft_mutex_unlock(lock);
    weft_chan_close(lines);
    weft_task_join(hearer, NULL); /* It uses the connection. */
    weft_reader_free(reader), weft_chan_free(lines), weft_conn_close(conn);
}

static void serve(void *listener)
{
    for (weft_conn *conn; weft_accept(listener, &conn) == 0;)
        weft_go(member, conn);
}

/* A client: says one line, hears those of the two others. */
static int talk(void *conn)
{
    weft_reader *reader;
    char text[128];
    int heard = 0;
    weft_reader_make(&reader, conn, 0), weft_conn_read_deadline(conn, 20000 * MS);
    weft_write(conn, text, (size_t)snprintf(text, sizeof text, "hello from %d\n", (int)weft_self()));
    while (heard < 2 && weft_reader_line(reader, text, sizeof text) > 0)
        heard++;
    printf("heard from %d\n", heard);
    return weft_reader_free(reader), weft_conn_close(conn);
}

static int run(int argc, char **argv)
{
    weft_listener *listener;
    weft_conn *conns[3];
    weft_bundle *clients;
    char address[32];
    int error = weft_listen(&listener, "tcp", argc > 1 ? argv[1] : "127.0.0.1:0");
    if (error != 0 || weft_mutex_make(&lock) != 0 || weft_bundle_make(&clients, 0) != 0)
        return printf("listen: %s\n", weft_strerror(error)), 1;
    if (argc > 1)
        return serve(listener), 0;
    weft_go(serve, listener);
    snprintf(address, sizeof address, "127.0.0.1:%d", weft_listener_port(listener));
    for (int joined = 0, i = 0; error == 0 && joined < 3; weft_mutex_unlock(lock), weft_sleep(MS)) {
        error = i < 3 ? weft_dial(&conns[i++], "tcp", address, 5000 * MS) : 0;
        weft_mutex_lock(lock), joined = count;
    }
    for (int i = 0; i < 3 && error == 0; i++)
        weft_bundle_go(clients, NULL, talk, conns[i]);
    return weft_bundle_wait(clients, NULL), weft_bundle_free(clients), weft_listener_close(listener);
}
int main(int argc, char **argv) { return weft_main(run, argc, argv); }
