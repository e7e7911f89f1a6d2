/* Owns: the merge table and the merging loop.
 * Refuses to know: where merges come from, texts of tokens, special tokens.
 *
 * The symbols of a piece form a linked list in an array, one cell per byte; merging keeps the left
 * cell and unlinks the right one. Candidate merges wait in a binary heap of 64-bit keys (rank above
 * position), so that the smallest key is the lowest rank and, among equals, the leftmost. A key
 * is not withdrawn when its pair disappears: when it comes up, the pair at its position is compared
 * with the merge of its rank. Every merge removes one key and adds at most two, so the heap never
 * holds more than twice the number of bytes.
 */
#include <config.h>

#include "text/bpe.h"

#include <stdlib.h>

#include "base/mem.h"

enum { NO_SYMBOL = -1, MERGED_AWAY = -1 };

struct bpe_symbol {
    int32_t id; /* token id, MERGED_AWAY when it became part of its left neighbour */
    int32_t prev, next;
};

/* ---- token id lists -------------------------------------------------------------------------- */

void id_list_init(struct id_list *l, size_t max)
{
    *l = (struct id_list){.max = max};
}

void id_list_release(struct id_list *l)
{
    free(l->ids);
    *l = (struct id_list){.max = l->max};
}

bool id_list_push(struct id_list *l, int32_t id, struct err *e)
{
    if (l->n == l->max)
        FAIL(e, ERR_LIMIT, "the text has more than %zu tokens", l->max);
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        int32_t *p = mem_try_reallocarray(l->ids, cap, sizeof *p);
        if (!p)
            FAIL(e, ERR_NOMEM, "no memory for %zu token ids", cap);
        l->ids = p;
        l->cap = cap;
    }
    l->ids[l->n++] = id;
    return true;
}

/* ---- merge table ----------------------------------------------------------------------------- */

static uint32_t hash_pair(int32_t left, int32_t right)
{
    uint64_t x = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    return (uint32_t)x;
}

/* The slot that holds the pair, or the free slot where it belongs. */
static uint32_t find_slot(const struct bpe *b, int32_t left, int32_t right)
{
    uint32_t i = hash_pair(left, right) & b->slot_mask;
    while (b->slots[i]) {
        const struct bpe_merge *m = &b->merges[b->slots[i] - 1];
        if (m->left == left && m->right == right)
            break;
        i = (i + 1) & b->slot_mask;
    }
    return i;
}

bool bpe_index(struct bpe *b, struct err *e)
{
    if (b->n_merges > UINT32_MAX / 8)
        FAIL(e, ERR_LIMIT, "%u merges are too many", b->n_merges);
    uint32_t n_slots = 8;
    while (n_slots < b->n_merges * 2)
        n_slots *= 2;
    b->slots = mem_try_calloc(n_slots, sizeof *b->slots);
    if (!b->slots)
        FAIL(e, ERR_NOMEM, "no memory for %u merges", b->n_merges);
    b->slot_mask = n_slots - 1;
    for (uint32_t rank = 0; rank < b->n_merges; rank++) {
        uint32_t i = find_slot(b, b->merges[rank].left, b->merges[rank].right);
        if (!b->slots[i])
            b->slots[i] = rank + 1;
    }
    return true;
}

void bpe_release(struct bpe *b)
{
    free(b->merges);
    free(b->slots);
    b->merges = NULL;
    b->slots = NULL;
    b->n_merges = 0;
}

/* ---- heap of candidate merges ---------------------------------------------------------------- */

static void heap_push(uint64_t *heap, size_t *n, uint64_t key)
{
    size_t i = (*n)++;
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (heap[parent] <= key)
            break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = key;
}

static uint64_t heap_pop(uint64_t *heap, size_t *n)
{
    uint64_t top = heap[0];
    uint64_t key = heap[--*n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= *n)
            break;
        if (child + 1 < *n && heap[child + 1] < heap[child])
            child++;
        if (key <= heap[child])
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = key;
    return top;
}

/* ---- merging --------------------------------------------------------------------------------- */

void bpe_scratch_release(struct bpe_scratch *s)
{
    free(s->symbols);
    free(s->heap);
    *s = (struct bpe_scratch){0};
}

static bool scratch_reserve(struct bpe_scratch *s, size_t len, struct err *e)
{
    if (len <= s->cap)
        return true;
    size_t cap = s->cap ? s->cap : 256;
    while (cap < len)
        cap *= 2;
    bpe_scratch_release(s);
    s->symbols = mem_try_calloc(cap, sizeof *s->symbols);
    s->heap = mem_try_calloc(cap, 2 * sizeof *s->heap);
    if (!s->symbols || !s->heap) {
        bpe_scratch_release(s);
        FAIL(e, ERR_NOMEM, "no memory to tokenize a piece of %zu bytes", len);
    }
    s->cap = cap;
    return true;
}

/* Queues the pair (left, its right neighbour) when it can be merged. */
static void offer(const struct bpe *b, struct bpe_scratch *s, size_t *n_heap, int32_t left)
{
    if (left == NO_SYMBOL || s->symbols[left].next == NO_SYMBOL)
        return;
    const struct bpe_symbol *l = &s->symbols[left];
    uint32_t slot = b->slots[find_slot(b, l->id, s->symbols[l->next].id)];
    if (slot)
        heap_push(s->heap, n_heap, (uint64_t)(slot - 1) << 32 | (uint32_t)left);
}

static bool load_symbols(const struct bpe *b, struct bpe_symbol *symbols, const char *piece,
                         size_t len, struct err *e)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)piece[i];
        if (b->byte_id[byte] < 0)
            FAIL(e, ERR_ARG, "this vocabulary has no token for the byte 0x%02X", byte);
        symbols[i] = (struct bpe_symbol){.id = b->byte_id[byte],
                                         .prev = (int32_t)i - 1,
                                         .next = i + 1 < len ? (int32_t)i + 1 : NO_SYMBOL};
    }
    return true;
}

static void merge_all(const struct bpe *b, struct bpe_scratch *s, size_t len)
{
    size_t n_heap = 0;
    for (size_t i = 0; i + 1 < len; i++)
        offer(b, s, &n_heap, (int32_t)i);
    while (n_heap > 0) {
        uint64_t key = heap_pop(s->heap, &n_heap);
        const struct bpe_merge *m = &b->merges[key >> 32];
        int32_t at = (int32_t)(uint32_t)key;
        struct bpe_symbol *left = &s->symbols[at];
        if (left->id != m->left || left->next == NO_SYMBOL)
            continue;
        struct bpe_symbol *right = &s->symbols[left->next];
        if (right->id != m->right)
            continue;
        left->id = m->result;
        left->next = right->next;
        right->id = MERGED_AWAY;
        if (left->next != NO_SYMBOL)
            s->symbols[left->next].prev = at;
        offer(b, s, &n_heap, left->prev);
        offer(b, s, &n_heap, at);
    }
}

bool bpe_encode(const struct bpe *b, struct bpe_scratch *s, const char *piece, size_t len,
                struct id_list *out, struct err *e)
{
    if (len == 0)
        return true;
    if (!scratch_reserve(s, len, e) || !load_symbols(b, s->symbols, piece, len, e))
        return false;
    merge_all(b, s, len);
    for (int32_t i = 0; i != NO_SYMBOL; i = s->symbols[i].next)
        if (!id_list_push(out, s->symbols[i].id, e))
            return false;
    return true;
}
