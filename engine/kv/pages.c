/* Owns: which page belongs to whom. Refuses to know what stands in a page and why a sequence ends.
 *
 * Free pages are a stack; a page is in the stack or in exactly one row of the block table. The
 * owner array exists to prove that: ASSERT stays on in release builds.
 */
#include <config.h>

#include "kv/pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "device/device.h"

enum { NOBODY = -1 };

struct pages {
    uint32_t n_pages, max_seqs, stride;
    uint32_t *table; /* borrowed: [max_seqs][stride] */
    uint32_t *free;  /* stack of n_free page ids */
    uint32_t n_free;
    int32_t *owner; /* [n_pages] sequence or NOBODY */
    struct {
        bool open;
        uint32_t n_pages;
    } *seqs;
};

_Static_assert(DEV_PAGE_TOKENS == 64, "pages_for counts 64 tokens per page");

struct pages *pages_create(uint32_t n_pages, uint32_t max_seqs, uint32_t table_stride,
                           uint32_t *block_table)
{
    struct pages *p = mem_zalloc(sizeof *p);
    p->n_pages = n_pages;
    p->max_seqs = max_seqs;
    p->stride = table_stride;
    p->table = block_table;
    p->free = mem_calloc(n_pages, sizeof *p->free);
    p->owner = mem_calloc(n_pages, sizeof *p->owner);
    p->seqs = mem_calloc(max_seqs, sizeof *p->seqs);
    for (uint32_t i = 0; i < n_pages; i++) {
        p->free[i] = n_pages - 1 - i;
        p->owner[i] = NOBODY;
    }
    p->n_free = n_pages;
    return p;
}

void pages_destroy(struct pages **pp)
{
    struct pages *p = *pp;
    if (!p)
        return;
    free(p->free);
    free(p->owner);
    free(p->seqs);
    free(p);
    *pp = NULL;
}

int32_t pages_open_seq(struct pages *p)
{
    for (uint32_t i = 0; i < p->max_seqs; i++) {
        if (!p->seqs[i].open) {
            ASSERT(p->seqs[i].n_pages == 0);
            p->seqs[i].open = true;
            return (int32_t)i;
        }
    }
    return -1;
}

void pages_close_seq(struct pages *p, int32_t seq)
{
    ASSERT(seq >= 0 && (uint32_t)seq < p->max_seqs && p->seqs[seq].open);
    uint32_t *row = p->table + (size_t)seq * p->stride;
    while (p->seqs[seq].n_pages > 0) {
        uint32_t page = row[--p->seqs[seq].n_pages];
        ASSERT(page < p->n_pages && p->owner[page] == seq && p->n_free < p->n_pages);
        p->owner[page] = NOBODY;
        p->free[p->n_free++] = page;
    }
    p->seqs[seq].open = false;
}

bool pages_reserve(struct pages *p, int32_t seq, uint32_t n_tokens)
{
    ASSERT(seq >= 0 && (uint32_t)seq < p->max_seqs && p->seqs[seq].open);
    uint32_t want = pages_for(n_tokens), have = p->seqs[seq].n_pages;
    ASSERT(want <= p->stride);
    if (want <= have)
        return true;
    if (want - have > p->n_free)
        return false;
    uint32_t *row = p->table + (size_t)seq * p->stride;
    while (p->seqs[seq].n_pages < want) {
        uint32_t page = p->free[--p->n_free];
        ASSERT(p->owner[page] == NOBODY);
        p->owner[page] = seq;
        row[p->seqs[seq].n_pages++] = page;
    }
    return true;
}

uint32_t pages_reservable(const struct pages *p, int32_t seq)
{
    uint32_t n = p->seqs[seq].n_pages + p->n_free;
    return (n < p->stride ? n : p->stride) * DEV_PAGE_TOKENS;
}

uint32_t pages_free(const struct pages *p)
{
    return p->n_free;
}

uint32_t pages_total(const struct pages *p)
{
    return p->n_pages;
}
