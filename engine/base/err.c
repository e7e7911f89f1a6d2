/* Owns: the text of error codes and the formatting of messages. Knows no other module. */
#include <config.h>

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_code_name(enum err_code code)
{
    static const char *const names[ERR_CODE_COUNT] = {
        [ERR_NONE] = "none",           [ERR_ARG] = "argument",   [ERR_FORMAT] = "format",
        [ERR_UNSUPPORTED] = "unsupported", [ERR_LIMIT] = "limit", [ERR_NOMEM] = "memory",
        [ERR_IO] = "io",               [ERR_NOT_FOUND] = "not_found", [ERR_BUSY] = "busy",
        [ERR_CANCELLED] = "cancelled", [ERR_DEVICE] = "device",  [ERR_INTERNAL] = "internal",
    };
    return (unsigned)code < ERR_CODE_COUNT ? names[code] : "unknown";
}

static void vfill(struct err *e, enum err_code code, int os, const char *file, int line,
                  const char *fmt, va_list ap) PRINTF_LIKE(6, 0);

static void vfill(struct err *e, enum err_code code, int os, const char *file, int line,
                  const char *fmt, va_list ap)
{
    e->code = code;
    e->os = os;
    e->file = file;
    e->line = line;
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
}

bool err_set(struct err *e, enum err_code code, int os, const char *file, int line, const char *fmt,
             ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        vfill(e, code, os, file, line, fmt, ap);
        va_end(ap);
    }
    return false;
}

bool err_set_os(struct err *e, const char *file, int line, const char *fmt, ...)
{
    int os = errno;
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        vfill(e, os == ENOMEM ? ERR_NOMEM : os == ENOENT ? ERR_NOT_FOUND : ERR_IO, os, file, line,
              fmt, ap);
        va_end(ap);
        size_t len = strlen(e->msg);
        snprintf(e->msg + len, sizeof e->msg - len, ": %s", strerror(os));
    }
    return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
    if (e) {
        char old[sizeof e->msg];
        memcpy(old, e->msg, sizeof old);
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(e->msg, sizeof e->msg, fmt, ap);
        va_end(ap);
        size_t len = strlen(e->msg);
        snprintf(e->msg + len, sizeof e->msg - len, ": %s", old);
    }
    return false;
}
