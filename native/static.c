/* What libweft.a needs in programs that are linked in ways of their own.
 *
 * __xmknod: the .NET runtime's libraries were built against a glibc that had it; one for -static has not, since
 * 2.33. This one is ours alone: everything but weft_* is local to the archive.
 *
 * The sections: the runtime finds its code and data by __start_NAME and __stop_NAME, which ld defines. lld with
 * --gc-sections drops a section that only these name (-z nostart-stop-gc would keep it, but is the program's to
 * give), and then has no such symbols. An address in each, kept among the data, makes it one that is in use.
 */
#include <sys/stat.h>

int __xmknod(int version, const char *path, mode_t mode, dev_t *device);
int __xmknod(int version, const char *path, mode_t mode, dev_t *device)
{
    (void)version;
    return mknod(path, mode, *device);
}

__asm__(".pushsection __modules, \"aw\"\nweft_in_modules:\n.popsection\n"
        ".pushsection __managedcode, \"ax\"\nweft_in_managedcode:\n.popsection\n"
        ".pushsection __unbox, \"ax\"\nweft_in_unbox:\n.popsection\n");

extern const char weft_in_modules[] __attribute__((visibility("hidden")));
extern const char weft_in_managedcode[] __attribute__((visibility("hidden")));
extern const char weft_in_unbox[] __attribute__((visibility("hidden")));

__attribute__((used, section(".data"))) static const char *weft_sections[] = {
    weft_in_modules,
    weft_in_managedcode,
    weft_in_unbox,
};
