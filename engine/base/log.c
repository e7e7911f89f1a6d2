/* Owns: the format of log lines and the process-wide level. Refuses to know what is logged. */
#include <config.h>

#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

static atomic_int min_level = LOG_INFO;
static atomic_bool as_json;

static const char *const level_names[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    atomic_store(&min_level, (int)level);
}

void log_set_json(bool json)
{
    atomic_store(&as_json, json);
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (!strcmp(name, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Escapes for both a JSON string body and a quoted human field. The result is valid UTF-8 without
 * control characters, cut between two characters. */
static size_t escape(char *out, size_t out_bytes, const char *s)
{
    size_t n = 0, left = strlen(s), step;
    for (; left; s += step, left -= step) {
        char tmp[8];
        uint32_t cp;
        size_t len = step = utf8_decode(s, left, &cp);
        if (!step) { /* not text: U+FFFD for each byte */
            step = 1;
            len = (size_t)snprintf(tmp, sizeof tmp, "\\ufffd");
        } else if (cp == '"' || cp == '\\') {
            len = (size_t)snprintf(tmp, sizeof tmp, "\\%c", (char)cp);
        } else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029) {
            len = (size_t)snprintf(tmp, sizeof tmp, "\\u%04x", (unsigned)cp);
        } else {
            memcpy(tmp, s, len);
        }
        if (n + len >= out_bytes)
            break;
        memcpy(out + n, tmp, len);
        n += len;
    }
    out[n] = '\0';
    return n;
}

const char *log_quote(char *out, size_t out_bytes, const char *s)
{
    if (out_bytes < 3) {
        if (out_bytes)
            out[0] = '\0';
        return out;
    }
    out[0] = '"';
    size_t n = escape(out + 1, out_bytes - 2, s);
    out[n + 1] = '"';
    out[n + 2] = '\0';
    return out;
}

void log_line(enum log_level level, const char *module, const char *fmt, ...)
{
    if ((int)level < atomic_load(&min_level))
        return;
    char msg[768];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    msg[utf8_cut(msg, strlen(msg))] = '\0';

    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);

    char line[2048];
    int n;
    if (atomic_load(&as_json)) {
        char esc[1600];
        escape(esc, sizeof esc, msg);
        n = snprintf(line, sizeof line,
                     "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"module\":\"%s\",\"msg\":\"%s\"}\n",
                     when, ts.tv_nsec / 1000000, level_names[level], module, esc);
    } else {
        n = snprintf(line, sizeof line, "%s.%03ldZ %-5s %s: %s\n", when, ts.tv_nsec / 1000000,
                     level_names[level], module, msg);
    }
    if (n > (int)sizeof line - 1)
        n = (int)sizeof line - 1;
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* stderr is gone: there is nobody left to tell */
}
