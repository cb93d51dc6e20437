/* Two goroutines and a channel. */
#include <stdio.h>
#include <weft.h>

static void greet(void *out)
{
    const char *words[] = { "hello", "from", "a", "goroutine" };
    for (int i = 0; i < 4; i++)
        weft_chan_send(out, &words[i]);
    weft_chan_close(out);
}

static int run(int argc, char **argv)
{
    (void)argc, (void)argv;
    weft_chan *words;
    weft_chan_make(&words, sizeof(char *), 0);
    weft_go(greet, words);
    for (const char *word; weft_chan_recv(words, &word) == 0;)
        printf("%s ", word);
    printf("%d\n", (int)weft_self());
    return weft_chan_free(words);
}

int main(int argc, char **argv)
{
    return weft_main(run, argc, argv);
}
