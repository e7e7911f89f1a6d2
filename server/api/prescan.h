/* One pass over a JSON text before it reaches the parser, without allocating: bounds the memory and
 * the recursion that parsing can cost (a 1 MiB body of "[{},{},…" becomes 48 MiB of heap).
 * It does not decide whether the text is valid JSON: the parser does. Thread: any, no state.
 */
#ifndef SEEKD_API_PRESCAN_H
#define SEEKD_API_PRESCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct prescan_limits {
    unsigned depth;       /* nested [ and { */
    unsigned structural;  /* [ ] { } , : outside of strings */
    size_t number_bytes;  /* longest run of a bare word or number */
};
extern const struct prescan_limits PRESCAN_LIMITS_DEFAULT; /* 64, 200000, 64 */

/* Errors: ERR_FORMAT (empty, NUL byte, unfinished string), ERR_LIMIT. Cost: one read of the text. */
bool json_prescan(const char *text, size_t len, const struct prescan_limits *limits, struct err *e)
    WARN_UNUSED;

#endif
