/* Pages of the KV pool and the block tables that name them (see README.md for the rules).
 *
 * A page holds DEV_PAGE_TOKENS positions of every layer. A sequence owns its pages alone; its row of
 * the block table lists them in order of position.
 * Thread: the engine thread. Nothing here blocks or allocates after pages_create.
 */
#ifndef SEEKD_KV_PAGES_H
#define SEEKD_KV_PAGES_H

#include <stdbool.h>
#include <stdint.h>

struct pages;

/* block_table: uint32 [max_seqs][table_stride], mapped device memory, borrowed until destroy. */
struct pages *pages_create(uint32_t n_pages, uint32_t max_seqs, uint32_t table_stride,
                           uint32_t *block_table);
void pages_destroy(struct pages **p);

/* Takes a free row of the block table; -1 when all are taken. */
int32_t pages_open_seq(struct pages *p);
/* Gives back a row and all its pages. */
void pages_close_seq(struct pages *p, int32_t seq);

/* Makes positions 0..n_tokens-1 of a sequence addressable. False (and nothing taken) when the pool
 * has too few free pages; n_tokens is at most table_stride * DEV_PAGE_TOKENS. */
bool pages_reserve(struct pages *p, int32_t seq, uint32_t n_tokens);
/* Largest n_tokens for which pages_reserve would succeed now. */
uint32_t pages_reservable(const struct pages *p, int32_t seq);

uint32_t pages_free(const struct pages *p);
uint32_t pages_total(const struct pages *p);
static inline uint32_t pages_for(uint32_t n_tokens)
{
    return n_tokens / 64 + (n_tokens % 64 != 0);
}

#endif
