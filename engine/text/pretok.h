/* Pre-tokenizers: how a text is cut into pieces before byte pair merging.
 *
 * A pre-tokenizer is a list of patterns. Each pattern is applied to every fragment that those
 * before it left; its matches and the gaps between them become the fragments for the next one, in
 * order. Nothing is dropped: the pieces of a text concatenate to the text.
 * Source: engine/text/README.md.
 */
#ifndef SEEKD_TEXT_PRETOK_H
#define SEEKD_TEXT_PRETOK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct pretok;      /* compiled patterns: immutable, any thread */
struct pretok_scan; /* cutting one text after another: one thread at a time */

struct pretok_traits {
    bool whole_pieces; /* a piece that is itself in the vocabulary is not merged (ignore_merges) */
    bool add_bos;      /* whether BOS is added when the file has no add_bos_token */
};

/* `name` is the value of tokenizer.ggml.pre. ERR_UNSUPPORTED for unknown names; the message lists
 * the known ones. Cost: rare (compiles patterns). */
bool pretok_create(const char *name, size_t len, struct pretok **out, struct err *e) WARN_UNUSED;
void pretok_destroy(struct pretok **p);
struct pretok_traits pretok_traits(const struct pretok *p);

/* `p` is borrowed until the scan is destroyed. ERR_NOMEM. */
bool pretok_scan_create(const struct pretok *p, struct pretok_scan **out,
                        struct err *e) WARN_UNUSED;
void pretok_scan_destroy(struct pretok_scan **s);
/* Starts on a text of `len` bytes of valid UTF-8, borrowed until the next start. */
void pretok_scan_start(struct pretok_scan *s, const char *text, size_t len);
/* The next piece as a part of the text; *len == 0 at the end. ERR_LIMIT when the pattern engine
 * gives up on a fragment. Cost: linear in the text over all calls, no recursion. */
bool pretok_scan_next(struct pretok_scan *s, const char **piece, size_t *len,
                      struct err *e) WARN_UNUSED;

#endif
