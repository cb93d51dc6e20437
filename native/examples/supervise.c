/* A supervisor: keeps processes running, gives up on those that fail again and again, and ends all of them when it is
 * told to. supervise COMMAND... runs commands of the shell; without any, two of its own, and tells itself. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <weft.h>

#define MS INT64_C(1000000)
#define FAILURES 3

/* Asks the process to end, and insists after a while. */
static void end(weft_process *process)
{
    weft_shield(1); /* This goroutine was cancelled: its waits would end at once. */
    weft_process_kill(process, SIGTERM);
    if (weft_process_wait_until(process, NULL, weft_after(3000 * MS)) == WEFT_ETIMEDOUT) {
        weft_process_kill(process, SIGKILL);
        weft_process_wait(process, NULL);
    }
    weft_shield(0);
}

/* Runs one command until it is done, has failed too often, or this goroutine is cancelled. */
static int keep(void *command)
{
    const char *arguments[] = { "sh", "-c", command, NULL };
    weft_command how = { sizeof how, arguments, NULL, NULL, WEFT_NULL, WEFT_INHERIT, WEFT_INHERIT, 0, NULL, 0 };
    for (int failures = 0; failures < FAILURES; failures++) {
        weft_process *process;
        int status = 0, error = weft_spawn(&process, &how);
        if (error == 0) {
            error = weft_process_wait(process, &status);
            if (error != 0)
                end(process);
            weft_process_free(process);
        }
        if (error != 0)
            return printf("%s: %s\n", (char *)command, weft_strerror(error)), 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return printf("%s: done\n", (char *)command), 0;
        weft_sleep(10 * MS << failures); /* Longer each time. */
    }
    return printf("%s: failed %d times\n", (char *)command, FAILURES), 0;
}

static void *end_on_signal(void *processes)
{
    int ends[] = { SIGTERM, SIGINT }, number;
    weft_chan *signals;
    if (weft_signal_chan(&signals, ends, 2) == 0) {
        if (weft_chan_recv(signals, &number) == 0)
            weft_bundle_cancel(processes);
        weft_signal_stop(signals);
    }
    return NULL;
}

static int tell(void *argument)
{
    (void)argument;
    weft_sleep(300 * MS);
    return raise(SIGTERM);
}

static int run(int argc, char **argv)
{
    static char fails[] = "exit 1", runs[] = "exec sleep 1000";
    weft_bundle *processes;
    weft_task *ender;
    weft_bundle_make(&processes, 0);
    weft_task_go(&ender, NULL, end_on_signal, processes);
    for (int i = 1; i < argc; i++)
        weft_bundle_go(processes, NULL, keep, argv[i]);
    if (argc == 1) {
        weft_bundle_go(processes, NULL, keep, fails);
        weft_bundle_go(processes, NULL, keep, runs);
        weft_bundle_go(processes, NULL, tell, NULL);
    }
    weft_bundle_wait(processes, NULL);
    weft_task_cancel(ender);
    weft_task_join(ender, NULL);
    return weft_bundle_free(processes);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
