/* Byte pair merging of one piece of text into token ids.
 *
 * A piece starts as one symbol per byte; the adjacent pair with the lowest rank is merged (leftmost
 * first among equals) until no adjacent pair is in the merge table.
 * Source: engine/text/README.md.
 */
#ifndef SEEKD_TEXT_BPE_H
#define SEEKD_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* ---- token id lists -------------------------------------------------------------------------- */

/* Growing list of token ids with a maximum. Owner: whoever holds the struct. */
struct id_list {
    int32_t *ids; /* owned */
    size_t n, cap, max;
};

void id_list_init(struct id_list *l, size_t max);
void id_list_release(struct id_list *l);
/* ERR_LIMIT beyond `max`, ERR_NOMEM. Cost: common. */
bool id_list_push(struct id_list *l, int32_t id, struct err *e) WARN_UNUSED;

/* ---- merges ---------------------------------------------------------------------------------- */

struct bpe_merge {
    int32_t left, right; /* the pair of tokens */
    int32_t result;      /* the token it becomes */
};

/* Merge table: merges[rank] and a hash index over (left, right). Immutable once indexed. */
struct bpe {
    struct bpe_merge *merges; /* owned, [n_merges], in order of rank */
    uint32_t n_merges;
    uint32_t *slots;      /* owned, [slot_mask + 1]: rank + 1, 0 = free; linear probing */
    uint32_t slot_mask;   /* a power of two minus one, at least half of the slots free */
    int32_t byte_id[256]; /* token of a single byte, -1 = none */
};

/* Indexes b->merges, which the caller has filled, together with n_merges and byte_id. A repeated
 * pair keeps its first rank. ERR_NOMEM, ERR_LIMIT. Cost: rare. */
bool bpe_index(struct bpe *b, struct err *e) WARN_UNUSED;
void bpe_release(struct bpe *b);

/* Working memory, reused from piece to piece. One thread at a time. */
struct bpe_scratch {
    struct bpe_symbol *symbols; /* owned */
    uint64_t *heap;             /* owned */
    size_t cap;                 /* bytes of text that both have room for */
};
void bpe_scratch_release(struct bpe_scratch *s); /* {0} is an empty scratch */

/* Appends the tokens of `piece` (len <= INT32_MAX bytes, any bytes) to `out`.
 * Errors: ERR_ARG when a byte has no token, ERR_LIMIT, ERR_NOMEM. Cost: O(len log len). */
bool bpe_encode(const struct bpe *b, struct bpe_scratch *s, const char *piece, size_t len,
                struct id_list *out, struct err *e) WARN_UNUSED;

#endif
