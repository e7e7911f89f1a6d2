/* The text of one generation, collected for a department that keeps texts: one JSON object
 *
 *   {"messages": [...] or "prompt": ..., "answer": TEXT, "reasoning": TEXT, "cut": true}
 *
 * with arrays of texts for more than one choice; "reasoning" and "cut" only where they apply. Input and
 * answers are each cut to half of KEPT_BYTES, between two characters: an input that is too long becomes
 * a text, the beginning of its JSON.
 * Owner: the generation. Thread: one at a time.
 */
#ifndef SEEKD_API_KEPT_H
#define SEEKD_API_KEPT_H

#include <stdbool.h>
#include <stddef.h>

#include "api/params.h"
#include "base/buf.h"

enum { KEPT_BYTES = 1 << 20 };

struct kept;

/* Copies the input from `p`: messages, else the prompt. */
struct kept *kept_create(const struct params *p);
void kept_destroy(struct kept **k); /* accepts NULL */
/* `text` is whole characters. */
void kept_add(struct kept *k, unsigned choice, bool reasoning, const char *text, size_t len);
/* Appends the object. */
void kept_write(const struct kept *k, struct buf *out);

#endif
