/* Regular expressions that administrators write (PCRE2 with Unicode classes), bounded in what one
 * match may cost. Thread: a compiled one is immutable; matching has its own memory.
 */
#ifndef SEEKD_TEMPLATE_REGEX_H
#define SEEKD_TEMPLATE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct regex;

enum { REGEX_MAX_BYTES = 4096 };

enum regex_extent {
    REGEX_SOMEWHERE, /* anywhere in the text */
    REGEX_WHOLE      /* the whole text */
};

/* Errors: ERR_FORMAT (syntax, with the place), ERR_LIMIT. *out is owned by the caller. */
bool regex_compile(const char *pattern, size_t len, enum regex_extent extent, struct regex **out,
                   struct err *e) WARN_UNUSED;
void regex_destroy(struct regex **r);
/* `text` is valid UTF-8. Errors: ERR_LIMIT (the match costs too much), ERR_FORMAT, ERR_NOMEM. */
bool regex_match(const struct regex *r, const char *text, size_t len, bool *matches,
                 struct err *e) WARN_UNUSED;

#endif
