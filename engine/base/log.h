/* Structured log lines on stderr: one call gives either a human line
 *     2026-11-23T21:00:00.123Z info  http: request done id=req_1 status=200 ms=12
 * or one JSON object per line. Fields are key=value pairs written into the message by the caller
 * ("event key=%s"); text that came from outside goes through log_quote() first.
 * Prompts, keys and outputs are never logged. Thread: any (one write(2) per line).
 */
#ifndef SEEKD_BASE_LOG_H
#define SEEKD_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_COUNT };

void log_set_level(enum log_level level); /* default LOG_INFO */
void log_set_json(bool json);             /* default false */
bool log_level_parse(const char *name, enum log_level *out) WARN_UNUSED; /* "debug" … "error" */

/* `module`: short static name ("http", "sched", "vulkan"). `fmt` without a trailing newline. */
void log_line(enum log_level level, const char *module, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define LOG_D(module, ...) log_line(LOG_DEBUG, module, __VA_ARGS__)
#define LOG_I(module, ...) log_line(LOG_INFO, module, __VA_ARGS__)
#define LOG_W(module, ...) log_line(LOG_WARN, module, __VA_ARGS__)
#define LOG_E(module, ...) log_line(LOG_ERROR, module, __VA_ARGS__)

/* Copies at most out_bytes-1 bytes of `s` into `out`, quoting it and replacing control characters,
 * quotes and backslashes by escapes, so that outside text cannot forge fields. Returns `out`. */
const char *log_quote(char *out, size_t out_bytes, const char *s);

#endif
