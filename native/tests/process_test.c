/* Files, processes, signals as a channel: with right and with wrong arguments.
 *
 *   process_test PROCS
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft.h>

#include "check.h"

#define MS INT64_C(1000000)
#define LONG (20000 * MS)

static void outside(void)
{
    void *none = (void *)8;
    weft_command command = { sizeof command, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0 };
    int signal = SIGUSR1;
    EQUAL(weft_file_read(0, &none, 1, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_file_write(0, &none, 1, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_file_sync(0), WEFT_ESHUTDOWN);
    EQUAL(weft_spawn((weft_process **)&none, &command), WEFT_ESHUTDOWN);
    EQUAL(weft_process_id(none), WEFT_ESHUTDOWN);
    EQUAL(weft_process_pipe(none, 0, (weft_conn **)&none), WEFT_ESHUTDOWN);
    EQUAL(weft_process_wait(none, NULL), WEFT_ESHUTDOWN);
    EQUAL(weft_process_wait_until(none, NULL, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_process_kill(none, 0), WEFT_ESHUTDOWN);
    EQUAL(weft_process_free(none), WEFT_ESHUTDOWN);
    EQUAL(weft_signal_chan((weft_chan **)&none, &signal, 1), WEFT_ESHUTDOWN);
    EQUAL(weft_signal_stop(none), WEFT_ESHUTDOWN);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static void files(void)
{
    static char block[3 << 20], got[3 << 20];
    char path[] = "/tmp/weft-process-test-XXXXXX";
    int file = mkstemp(path), fds[2];
    CHECK(file >= 0);
    unlink(path);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 7 + i / 251);
    EQUAL(weft_file_write(file, block, sizeof block, 100), (int64_t)sizeof block);
    EQUAL(weft_file_read(file, got, sizeof got, 100), (int64_t)sizeof got);
    CHECK(memcmp(block, got, sizeof got) == 0);
    EQUAL(weft_file_read(file, got, sizeof got, 100 + sizeof block - 5), 5);
    EQUAL(weft_file_read(file, got, 1, 100 + sizeof block), 0);
    EQUAL(weft_file_read(file, got, 4, -1), 4); /* Where it stands: at the beginning. */
    EQUAL(lseek(file, 0, SEEK_CUR), 4);
    EQUAL(weft_file_write(file, "abcd", 4, -1), 4);
    EQUAL(lseek(file, 0, SEEK_CUR), 8);
    EQUAL(weft_file_sync(file), 0);
    EQUAL(weft_file_read(file, NULL, 1, 0), WEFT_EINVAL);
    EQUAL(weft_file_write(file, NULL, 1, 0), WEFT_EINVAL);
    EQUAL(weft_file_write(file, NULL, 0, 0), 0);
    close(file);
    EQUAL(weft_file_read(file, got, 1, 0), WEFT_EBADF);
    EQUAL(weft_file_write(file, got, 1, 0), WEFT_EBADF);
    EQUAL(weft_file_sync(file), WEFT_EBADF);
    CHECK(pipe(fds) == 0);
    EQUAL(weft_file_read(fds[0], got, 1, 0), -29); /* A pipe has no offsets. */
    EQUAL(weft_file_write(fds[1], "x", 1, -1), 1);
    EQUAL(weft_file_read(fds[0], got, 1, -1), 1);
    close(fds[0]), close(fds[1]);
}

static volatile int turns;

static void *reads_nothing(void *fd)
{
    char byte;
    return (void *)(intptr_t)weft_file_read((int)(intptr_t)fd, &byte, 1, -1);
}

static void *takes_turns(void *argument)
{
    for (turns = 0; turns < 100; turns++)
        weft_yield();
    return argument;
}

/* One that blocks in a read stops nobody, with one processor neither. */
static void others_go_on(void)
{
    int fds[2];
    weft_task *reader, *other;
    void *result;
    CHECK(pipe(fds) == 0);
    EQUAL(weft_task_go(&reader, NULL, reads_nothing, (void *)(intptr_t)fds[0]), 0);
    EQUAL(weft_task_go(&other, NULL, takes_turns, NULL), 0);
    EQUAL(weft_task_join_until(other, NULL, weft_after(LONG)), 0);
    EQUAL(write(fds[1], "x", 1), 1);
    EQUAL(weft_task_join_until(reader, &result, weft_after(LONG)), 0);
    EQUAL((intptr_t)result, 1);
    close(fds[0]), close(fds[1]);
}

/* --- processes -------------------------------------------------------------------------------------------------- */

static weft_process *start(const char *script, int input, int output, int error)
{
    const char *arguments[] = { "sh", "-c", script, NULL };
    weft_command command = { sizeof command, arguments, NULL, NULL, input, output, error, 0, NULL, 0 };
    weft_process *process;
    EQUAL(weft_spawn(&process, &command), 0);
    return process;
}

static int64_t read_all(weft_conn *conn, char *text, size_t size)
{
    size_t done = 0;
    int64_t count;
    while ((count = weft_read(conn, text + done, size - 1 - done)) > 0)
        done += (size_t)count;
    EQUAL(count, 0);
    text[done] = 0;
    EQUAL(weft_conn_close(conn), 0);
    return (int64_t)done;
}

static void wrong_commands(void)
{
    const char *none[] = { NULL }, *missing[] = { "/no/such/program", NULL }, *fine[] = { "true", NULL };
    weft_command command = { sizeof command, none, NULL, NULL, 0, 0, 0, 0, NULL, 0 };
    weft_process *process;
    weft_conn *conn;
    EQUAL(weft_spawn(NULL, &command), WEFT_EINVAL);
    EQUAL(weft_spawn(&process, NULL), WEFT_EINVAL);
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.arguments = NULL;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    if (!UNDER_QEMU) { /* Its vfork is a fork: the parent does not learn of the error. */
        command.arguments = missing;
        EQUAL(weft_spawn(&process, &command), -2);
        CHECK(process == NULL);
    }
    command.arguments = fine, command.size = 3;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.size = sizeof command, command.input = 3;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.input = 0, command.output = WEFT_OUTPUT;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.output = 0, command.error = 4;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.error = 0, command.flags = 1;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.flags = 0, command.input = 255;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.input = WEFT_FD(-1);
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.input = WEFT_FD(999);
    EQUAL(weft_spawn(&process, &command), WEFT_EBADF);
    command.input = 0, command.descriptor_count = 1;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.descriptors = &(int){ 999 };
    EQUAL(weft_spawn(&process, &command), WEFT_EBADF);
    command.descriptor_count = 1001;
    EQUAL(weft_spawn(&process, &command), WEFT_EINVAL);
    command.descriptors = NULL, command.descriptor_count = 0, command.directory = "/no/such/place";
    if (!UNDER_QEMU)
        EQUAL(weft_spawn(&process, &command), -2);
    EQUAL(weft_process_wait(NULL, NULL), WEFT_EINVAL);
    EQUAL(weft_process_wait((weft_process *)8, NULL), WEFT_EBADF);
    EQUAL(weft_process_id(NULL), WEFT_EINVAL);
    EQUAL(weft_process_kill(NULL, 9), WEFT_EINVAL);
    EQUAL(weft_process_pipe(NULL, 1, &conn), WEFT_EINVAL);
    EQUAL(weft_process_free(NULL), WEFT_EINVAL);
}

static void processes(void)
{
    weft_process *process;
    weft_conn *in, *out, *err;
    char text[4096];
    int status = 77;
    process = start("exit 7", WEFT_INHERIT, WEFT_INHERIT, WEFT_INHERIT);
    CHECK(weft_process_id(process) > 0);
    EQUAL(weft_process_pipe(process, 0, &in), WEFT_EBADF);
    EQUAL(weft_process_pipe(process, 3, &in), WEFT_EINVAL);
    EQUAL(weft_process_pipe(process, 1, NULL), WEFT_EINVAL);
    EQUAL(weft_process_wait(process, &status), 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    EQUAL(weft_process_wait(process, NULL), 0); /* Again. */
    EQUAL(weft_process_wait_until(process, &status, 0), 0);
    EQUAL(weft_process_kill(process, 0), -3);
    EQUAL(waitpid(weft_process_id(process), NULL, WNOHANG), -1); /* No zombie is left. */
    EQUAL(weft_process_free(process), 0);
    EQUAL(weft_process_wait(process, NULL), WEFT_EBADF);

    process = start("read a; echo \"got $a\"; echo bad >&2; cat", WEFT_PIPE, WEFT_PIPE, WEFT_PIPE);
    EQUAL(weft_process_pipe(process, 0, &in), 0);
    EQUAL(weft_process_pipe(process, 0, &out), WEFT_EBADF);
    EQUAL(weft_process_pipe(process, 1, &out), 0);
    EQUAL(weft_process_pipe(process, 2, &err), 0);
    EQUAL(weft_process_wait_until(process, &status, weft_after(2 * MS)), WEFT_ETIMEDOUT);
    EQUAL(weft_process_kill(process, 0), 0);
    EQUAL(weft_write(in, "this\nand that", 13), 13);
    EQUAL(weft_conn_close(in), 0);
    EQUAL(read_all(out, text, sizeof text), 17);
    CHECK(strcmp(text, "got this\nand that") == 0);
    EQUAL(read_all(err, text, sizeof text), 4);
    CHECK(strcmp(text, "bad\n") == 0);
    EQUAL(weft_process_wait(process, &status), 0);
    EQUAL(status, 0);
    EQUAL(weft_process_free(process), 0);

    process = start("echo out; echo err >&2; cat", WEFT_NULL, WEFT_PIPE, WEFT_OUTPUT);
    EQUAL(weft_process_pipe(process, 1, &out), 0);
    EQUAL(read_all(out, text, sizeof text), 8);
    EQUAL(weft_process_wait(process, &status), 0);
    EQUAL(weft_process_free(process), 0);

    process = start("kill -STOP $$; exit 1", WEFT_NULL, WEFT_NULL, WEFT_NULL); /* Stopped is not ended. */
    EQUAL(weft_process_wait_until(process, &status, weft_after(10 * MS)), WEFT_ETIMEDOUT);
    EQUAL(weft_process_kill(process, 65), WEFT_EINVAL);
    EQUAL(weft_process_kill(process, -1), WEFT_EINVAL);
    EQUAL(weft_process_kill(process, SIGKILL), 0);
    EQUAL(weft_process_wait_until(process, &status, weft_after(LONG)), 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    EQUAL(weft_process_free(process), 0);

    const char *arguments[] = { "sh", "-c", "pwd; echo $NAME; kill -PIPE $$; echo alive", NULL };
    const char *environment[] = { "NAME=value", "PATH=/usr/bin:/bin", NULL };
    weft_command command = { sizeof command, arguments, environment, "/", WEFT_NULL, WEFT_PIPE, WEFT_INHERIT, 0, NULL, 0 };
    EQUAL(weft_spawn(&process, &command), 0);
    EQUAL(weft_process_pipe(process, 1, &out), 0);
    EQUAL(read_all(out, text, sizeof text), 8);
    CHECK(strcmp(text, "/\nvalue\n") == 0);
    EQUAL(weft_process_wait(process, &status), 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE); /* It is not ignored there. */
    EQUAL(weft_process_free(process), 0);

    setenv("WEFT_TEST_NAME", "mine", 1);
    process = start("echo $WEFT_TEST_NAME; sleep 30", WEFT_NULL, WEFT_PIPE, WEFT_NULL);
    EQUAL(weft_process_pipe(process, 1, &out), 0);
    EQUAL(weft_read(out, text, sizeof text), 5);
    CHECK(memcmp(text, "mine\n", 5) == 0);
    EQUAL(weft_conn_close(out), 0);
    EQUAL(weft_process_kill(process, SIGTERM), 0);
    EQUAL(weft_process_free(process), 0); /* Not waited for: no zombie either, see the end. */
}

/* Descriptors of the caller's: as streams, and as 3, 4 and so on. The one that is to be 60 too stands where another one
 * goes first. */
static void given_descriptors(void)
{
    const char *arguments[] = { "sh", "-c",
        "read a; echo \"in $a\"; echo err >&2; echo three >&3; echo sixty >/proc/self/fd/60; "
        "[ ! -e /proc/self/fd/4 ] && echo gone", NULL };
    char path[] = "/tmp/weft-process-test-XXXXXX", text[64];
    int first[2], second[2], numbers[58], status;
    int file = mkstemp(path), null = open("/dev/null", O_RDONLY);
    weft_process *process;
    weft_conn *read_first, *read_second;
    CHECK(file >= 0 && unlink(path) == 0 && null >= 0 && pipe(first) == 0 && pipe(second) == 0);
    CHECK(second[1] > 4 && second[1] < 60);
    EQUAL(write(file, "line\n", 5), 5);
    EQUAL(lseek(file, 0, SEEK_SET), 0);
    for (int i = 0; i < 58; i++)
        numbers[i] = -1;
    numbers[0] = numbers[57] = second[1];
    numbers[second[1] - 3] = null;
    weft_command command = { sizeof command, arguments, NULL, NULL, WEFT_FD(file), WEFT_FD(first[1]), WEFT_FD(first[1]),
        0, numbers, 58 };
    EQUAL(weft_spawn(&process, &command), 0);
    close(first[1]), close(second[1]), close(file), close(null);
    EQUAL(weft_conn_adopt(&read_first, first[0]), 0);
    EQUAL(weft_conn_adopt(&read_second, second[0]), 0);
    EQUAL(read_all(read_first, text, sizeof text), 17);
    CHECK(strcmp(text, "in line\nerr\ngone\n") == 0);
    EQUAL(read_all(read_second, text, sizeof text), 12);
    CHECK(strcmp(text, "three\nsixty\n") == 0);
    EQUAL(weft_process_wait(process, &status), 0);
    EQUAL(status, 0);
    EQUAL(weft_process_free(process), 0);
    command.size = offsetof(weft_command, descriptors); /* A program of before: it knows nothing of them. */
    command.output = command.error = command.input = WEFT_NULL, numbers[0] = 999;
    EQUAL(weft_spawn(&process, &command), 0);
    EQUAL(weft_process_wait(process, &status), 0);
    EQUAL(weft_process_free(process), 0);
}

static void *waits(void *process)
{
    int status = 0;
    int result = weft_process_wait(process, &status);
    return (void *)(intptr_t)(result != 0 ? result : WEXITSTATUS(status));
}

static void many_wait(void)
{
    weft_process *processes[10];
    weft_task *tasks[10][3], *ended;
    void *result;
    for (int i = 0; i < 10; i++) {
        char script[32];
        snprintf(script, sizeof script, "read x; exit %d", i);
        processes[i] = start(script, WEFT_PIPE, WEFT_INHERIT, WEFT_INHERIT);
        for (int k = 0; k < 3; k++)
            EQUAL(weft_task_go(&tasks[i][k], NULL, waits, processes[i]), 0);
    }
    EQUAL(weft_task_go(&ended, NULL, waits, processes[0]), 0);
    EQUAL(weft_task_cancel(ended), 0);
    EQUAL(weft_task_join(ended, &result), 0);
    EQUAL((intptr_t)result, WEFT_ECANCELED);
    for (int i = 0; i < 10; i++) {
        weft_conn *in;
        EQUAL(weft_process_pipe(processes[i], 0, &in), 0);
        EQUAL(weft_conn_close(in), 0);
        for (int k = 0; k < 3; k++) {
            EQUAL(weft_task_join(tasks[i][k], &result), 0);
            EQUAL((intptr_t)result, i);
        }
        EQUAL(weft_process_free(processes[i]), 0);
    }
}

/* --- signals ---------------------------------------------------------------------------------------------------- */

static int handled;

static void handle(int signal)
{
    handled = signal;
}

static void signals(void)
{
    weft_chan *chan, *second;
    weft_timer *timer;
    int both[] = { SIGUSR1, SIGUSR2 }, wrong[] = { SIGUSR1, SIGKILL }, number = 0;
    EQUAL(weft_signal_chan(NULL, both, 2), WEFT_EINVAL);
    EQUAL(weft_signal_chan(&chan, NULL, 2), WEFT_EINVAL);
    EQUAL(weft_signal_chan(&chan, both, 0), WEFT_EINVAL);
    EQUAL(weft_signal_chan(&chan, wrong, 2), WEFT_EINVAL);
    wrong[1] = SIGSEGV;
    EQUAL(weft_signal_chan(&chan, wrong, 2), WEFT_EINVAL);
    wrong[1] = 0;
    EQUAL(weft_signal_chan(&chan, wrong, 2), WEFT_EINVAL);
    signal(SIGUSR1, handle);
    EQUAL(weft_signal_chan(&chan, both, 2), 0);
    EQUAL(weft_signal_chan(&second, both, 1), 0);
    kill(getpid(), SIGUSR2);
    EQUAL(weft_chan_recv_until(chan, &number, weft_after(LONG)), 0);
    EQUAL(number, SIGUSR2);
    kill(getpid(), SIGUSR1);
    EQUAL(weft_chan_recv_until(chan, &number, weft_after(LONG)), 0);
    EQUAL(number, SIGUSR1);
    EQUAL(weft_chan_recv_until(second, &number, weft_after(LONG)), 0);
    EQUAL(number, SIGUSR1);
    EQUAL(weft_chan_elem_size(chan), (int)sizeof number);
    EQUAL(weft_chan_send(chan, &number), WEFT_EPERM);
    EQUAL(weft_chan_free(chan), WEFT_EPERM);
    EQUAL(weft_signal_stop(second), 0);
    EQUAL(weft_signal_stop(second), WEFT_EBADF);
    kill(getpid(), SIGUSR1);
    EQUAL(weft_chan_recv_until(chan, &number, weft_after(LONG)), 0);
    EQUAL(weft_signal_stop(chan), 0);
    EQUAL(weft_chan_recv(chan, &number), WEFT_EBADF);
    handled = 0;
    kill(getpid(), SIGUSR1);
    for (int i = 0; i < 5000 && handled == 0; i++)
        weft_sleep(MS);
    EQUAL(handled, SIGUSR1); /* As before. */
    EQUAL(weft_timer_make(&timer, LONG, 0, NULL, NULL), 0);
    EQUAL(weft_timer_chan(timer, &chan), 0);
    EQUAL(weft_signal_stop(chan), WEFT_EPERM);
    EQUAL(weft_timer_free(timer), 0);
}

static void everything(void *argument)
{
    (void)argument;
    files();
    others_go_on();
    wrong_commands();
    processes();
    given_descriptors();
    many_wait();
    signals();
}

int main(int argc, char **argv)
{
    outside();
    EQUAL(weft_init(NULL), 0);
    CHECK(weft_maxprocs(argc > 1 ? atoi(argv[1]) : 2) > 0);
    everything(NULL);
    EQUAL(weft_run(everything, NULL), 0);
    ALL_END();
    EQUAL(waitpid(-1, NULL, WNOHANG), -1); /* No child is left. */
    EQUAL(weft_shutdown(), 0);
    outside();
    puts("passed");
    return 0;
}
