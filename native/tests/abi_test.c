/* The sizes and numbers that compiled programs rely on, one a line: abi.txt has what they must be. */
#include <stddef.h>
#include <stdio.h>
#include <weft.h>

#define SIZE(type) printf("sizeof %s %zu\n", #type, sizeof(type))
#define FIELD(type, field) printf("offset %s.%s %zu\n", #type, #field, offsetof(type, field))
#define VALUE(name) printf("value %s %d\n", #name, (int)(name))

int main(void)
{
    SIZE(weft_options);
    FIELD(weft_options, size);
    FIELD(weft_options, maxprocs);
    FIELD(weft_options, max_threads);
    FIELD(weft_options, flags);
    SIZE(weft_attr);
    FIELD(weft_attr, size);
    FIELD(weft_attr, stack_size);
    FIELD(weft_attr, stack_kind);
    FIELD(weft_attr, flags);
    FIELD(weft_attr, name);
    SIZE(weft_case);
    FIELD(weft_case, chan);
    FIELD(weft_case, elem);
    FIELD(weft_case, op);
    FIELD(weft_case, result);
    SIZE(weft_vec);
    FIELD(weft_vec, base);
    FIELD(weft_vec, size);
    SIZE(weft_addr);
    FIELD(weft_addr, length);
    FIELD(weft_addr, raw);
    SIZE(weft_command);
    FIELD(weft_command, size);
    FIELD(weft_command, arguments);
    FIELD(weft_command, environment);
    FIELD(weft_command, directory);
    FIELD(weft_command, input);
    FIELD(weft_command, output);
    FIELD(weft_command, error);
    FIELD(weft_command, flags);
    FIELD(weft_command, descriptors);
    FIELD(weft_command, descriptor_count);
    SIZE(weft_once);
    VALUE(WEFT_OK);
    VALUE(WEFT_EPERM);
    VALUE(WEFT_ESRCH);
    VALUE(WEFT_EINTR);
    VALUE(WEFT_EBADF);
    VALUE(WEFT_EAGAIN);
    VALUE(WEFT_ENOMEM);
    VALUE(WEFT_EBUSY);
    VALUE(WEFT_EEXIST);
    VALUE(WEFT_EINVAL);
    VALUE(WEFT_EPIPE);
    VALUE(WEFT_EDEADLK);
    VALUE(WEFT_ENODATA);
    VALUE(WEFT_EMSGSIZE);
    VALUE(WEFT_ENOTSUP);
    VALUE(WEFT_ESHUTDOWN);
    VALUE(WEFT_ETIMEDOUT);
    VALUE(WEFT_ECANCELED);
    VALUE(WEFT_STACK_FIXED);
    VALUE(WEFT_STACK_MOVABLE);
    VALUE(WEFT_RECV);
    VALUE(WEFT_SEND);
    VALUE(WEFT_READABLE);
    VALUE(WEFT_WRITABLE);
    VALUE(WEFT_INHERIT);
    VALUE(WEFT_PIPE);
    VALUE(WEFT_NULL);
    VALUE(WEFT_OUTPUT);
    VALUE(weft_abi_version());
    return 0;
}
