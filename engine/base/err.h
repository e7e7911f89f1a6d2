/* Error reporting: a fallible function returns bool (true = success) and describes what went wrong
 * in a `struct err` on its caller's stack.
 *
 * Owner: the caller. Thread: any, no shared state. `e` may be NULL everywhere: the caller then only
 * learns that something failed.
 */
#ifndef SEEKD_BASE_ERR_H
#define SEEKD_BASE_ERR_H

#include <stdbool.h>

enum err_code {
    ERR_NONE,
    ERR_ARG,         /* the caller (or the request) asked for something that makes no sense */
    ERR_FORMAT,      /* a file or message is malformed */
    ERR_DAMAGED,     /* what this program wrote itself is not as it wrote it */
    ERR_UNSUPPORTED, /* well formed, but not something this program can do */
    ERR_LIMIT,       /* a documented limit would be exceeded */
    ERR_NOMEM,       /* host or device memory ran out */
    ERR_IO,          /* the operating system said no; `os` holds errno */
    ERR_NOT_FOUND,
    ERR_CONFLICT,  /* it exists already, or its state does not allow this */
    ERR_STALE,     /* somebody else changed it since it was read */
    ERR_DENIED,    /* the caller may not do this; somebody else may */
    ERR_BUSY,      /* try again later */
    ERR_CANCELLED,
    ERR_DEVICE,    /* the compute device failed or was lost */
    ERR_INTERNAL,
    ERR_CODE_COUNT
};

struct err {
    enum err_code code;
    int os;           /* errno value, 0 when none applies */
    const char *file; /* where it was raised: static string */
    int line;
    char msg[256]; /* one sentence: what is wrong and, where possible, what to do; terminated */
};

#define ERR_INIT ((struct err){.code = ERR_NONE})
#define WARN_UNUSED __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))

/* Fills *e (when not NULL; overlong text is cut between two characters) and returns false, so
 * `return err_set(…)` reads well. */
bool err_set(struct err *e, enum err_code code, int os, const char *file, int line, const char *fmt,
             ...) PRINTF_LIKE(6, 7);

/* Puts "PREFIX: " in front of an existing message (outer context such as a file name). Returns
 * false. */
bool err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Short stable name of a code ("format", "limit", …), for logs. Never NULL. */
const char *err_code_name(enum err_code code);

/* FAIL: fill `e` and return false. FAIL_OS: the same with errno and its text appended. The literal
 * `false` lets the compiler see that out-parameters are set wherever a caller goes on. */
#define FAIL(e, code, ...)                                                                         \
    return (err_set((e), (code), 0, __FILE__, __LINE__, __VA_ARGS__), false)
#define FAIL_OS(e, ...) return (err_set_os((e), __FILE__, __LINE__, __VA_ARGS__), false)
bool err_set_os(struct err *e, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* TRY: evaluate a fallible call; on failure jump to the caller's `fail:` label. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        if (!(call))                                                                               \
            goto fail;                                                                             \
    } while (0)

#endif
