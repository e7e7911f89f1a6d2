/* Canonical JSON: one text for one value, so that equal values have equal hashes. UTF-8, no blanks,
 * texts escape only what JSON demands, integers in decimal, other numbers in the shortest form that
 * reads back as the same double (and stays one: "3.0"). Keys in the order of their bytes; where the
 * order of keys carries meaning (JSON Schemas and tools, which models see) it can be kept.
 * Thread: any, no state. LC_NUMERIC must be "C".
 */
#ifndef SEEKD_TEMPLATE_CANON_H
#define SEEKD_TEMPLATE_CANON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;

enum { CANON_MAX_BYTES = 16 << 20, CANON_HASH_BYTES = 32, CANON_HASH_HEX = 65 };

enum canon_keys { CANON_SORTED, CANON_AS_GIVEN };

/* Appends the canonical text. Check out->failed at the end. */
void canon_append(struct buf *out, const json_t *j, enum canon_keys keys);
/* The same over several lines, two blanks a level, for people. The value is the same. */
void canon_append_pretty(struct buf *out, const json_t *j, enum canon_keys keys, unsigned level);

/* Sorted canonical text, owned by the caller (free()). Errors: ERR_LIMIT. */
bool canon_text(const json_t *j, char **out, size_t *len, struct err *e) WARN_UNUSED;
/* SHA-256 of the sorted canonical text. */
bool canon_hash(const json_t *j, uint8_t hash[CANON_HASH_BYTES], struct err *e) WARN_UNUSED;

/* Parses one JSON value: duplicate keys and trailing text refused. Owned reference. */
json_t *canon_parse(const char *text, size_t len, struct err *e) WARN_UNUSED;

/* jansson iterates over objects that are not const; iterating changes nothing. */
static inline json_t *json_iterable(const json_t *object)
{
    return (json_t *)(uintptr_t)object;
}

#endif
