/* Special tokens: those whose literal text is recognised in a text before anything else.
 * Thread: immutable once built.
 */
#ifndef SEEKD_TEXT_SPECIAL_H
#define SEEKD_TEXT_SPECIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct vocab;

struct special {
    const char *text; /* borrowed from the vocabulary */
    uint32_t len;     /* bytes, not 0 */
    int32_t id;
    bool control; /* recognised on request only */
};

struct special_set {
    struct special *items; /* owned, [n], by text (bytewise, shorter first), then id */
    uint32_t n;
    uint32_t first[256 + 1]; /* items[first[b]] is the first whose text begins with a byte >= b */
};

/* Collects the control, unknown and user-defined tokens of `v`, which is borrowed until release.
 * ERR_NOMEM. */
bool special_init(struct special_set *s, const struct vocab *v, struct err *e) WARN_UNUSED;
void special_release(struct special_set *s);

/* Length of the longest special text that `text` begins with, 0 = none. Control tokens count only
 * with `control`. Cost: common; a table look-up where nothing matches. */
size_t special_match(const struct special_set *s, const char *text, size_t len, bool control,
                     int32_t *id);
/* Id of the special token with exactly this text, -1 = none. */
int32_t special_find(const struct special_set *s, const char *text, size_t len);

#endif
