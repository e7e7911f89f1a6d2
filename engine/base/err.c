/* Owns: the text of error codes and the formatting of messages. A message that is too long is cut
 * between two characters, because it ends up in JSON. */
#include <config.h>

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

const char *err_code_name(enum err_code code)
{
    static const char *const names[ERR_CODE_COUNT] = {
        [ERR_NONE] = "none",           [ERR_ARG] = "argument",   [ERR_FORMAT] = "format",
        [ERR_UNSUPPORTED] = "unsupported", [ERR_LIMIT] = "limit", [ERR_NOMEM] = "memory",
        [ERR_IO] = "io",               [ERR_NOT_FOUND] = "not_found", [ERR_BUSY] = "busy",
        [ERR_CONFLICT] = "conflict",   [ERR_STALE] = "stale",   [ERR_DENIED] = "denied",
        [ERR_DAMAGED] = "damaged",     [ERR_CANCELLED] = "cancelled",
        [ERR_DEVICE] = "device",       [ERR_INTERNAL] = "internal",
    };
    return (unsigned)code < ERR_CODE_COUNT ? names[code] : "unknown";
}

static void append(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void vfill(struct err *e, enum err_code code, int os, const char *file, int line,
                  const char *fmt, va_list ap) PRINTF_LIKE(6, 0);

static void append(struct err *e, const char *fmt, ...)
{
    size_t len = strlen(e->msg);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg + len, sizeof e->msg - len, fmt, ap);
    va_end(ap);
    e->msg[utf8_cut(e->msg, strlen(e->msg))] = '\0';
}

static void vfill(struct err *e, enum err_code code, int os, const char *file, int line,
                  const char *fmt, va_list ap)
{
    e->code = code;
    e->os = os;
    e->file = file;
    e->line = line;
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    e->msg[utf8_cut(e->msg, strlen(e->msg))] = '\0';
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
        append(e, ": %s", strerror(os));
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
        append(e, ": %s", old);
    }
    return false;
}
