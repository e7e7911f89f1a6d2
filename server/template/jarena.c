/* Owns: chunks and large blocks of the template arena, and their sum. Small pieces are cut off the
 * current chunk; pieces of LARGE bytes and more are blocks of their own, so that a growing text can
 * be realloc'ed instead of leaving a trail of copies behind. Knows nothing of templates.
 */
#include <config.h>

#include "template/jarena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 * 1024, LARGE = 16 * 1024, ALIGN = 16 };

struct jblock {
    struct jblock *prev, *next;
    size_t bytes; /* with this header */
    size_t pad;   /* keeps the payload aligned to 16 */
};
_Static_assert(sizeof(struct jblock) % ALIGN == 0, "payload of a block must be aligned");

void jarena_init(struct jarena *a, size_t max_bytes)
{
    *a = (struct jarena){.max_bytes = max_bytes};
}

void jarena_release(struct jarena *a)
{
    for (struct jblock *b = a->blocks; b;) {
        struct jblock *next = b->next;
        free(b);
        b = next;
    }
    jarena_init(a, a->max_bytes);
}

static bool fits(const struct jarena *a, size_t extra)
{
    return extra <= a->max_bytes && a->used_bytes <= a->max_bytes - extra;
}

static struct jblock *block_new(struct jarena *a, size_t payload)
{
    if (payload > SIZE_MAX - sizeof(struct jblock) || !fits(a, payload + sizeof(struct jblock)))
        return NULL;
    size_t bytes = payload + sizeof(struct jblock);
    struct jblock *b = malloc(bytes);
    if (!b) {
        a->out_of_memory = true;
        return NULL;
    }
    *b = (struct jblock){.next = a->blocks, .bytes = bytes};
    if (a->blocks)
        a->blocks->prev = b;
    a->blocks = b;
    a->used_bytes += bytes;
    return b;
}

void *jarena_alloc(struct jarena *a, size_t bytes)
{
    if (bytes >= LARGE) {
        struct jblock *b = block_new(a, bytes);
        return b ? b + 1 : NULL;
    }
    size_t take = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!a->at || (size_t)(a->end - a->at) < take) {
        struct jblock *b = block_new(a, CHUNK);
        if (!b)
            return NULL;
        a->at = (char *)(b + 1);
        a->end = a->at + CHUNK;
    }
    void *p = a->at;
    a->at += take;
    return p;
}

static void *resize_block(struct jarena *a, void *p, size_t new_bytes)
{
    struct jblock *b = (struct jblock *)p - 1;
    if (new_bytes > SIZE_MAX - sizeof *b)
        return NULL;
    size_t bytes = new_bytes + sizeof *b;
    if (bytes <= b->bytes)
        return p;
    if (!fits(a, bytes - b->bytes))
        return NULL;
    struct jblock *moved = realloc(b, bytes);
    if (!moved) {
        a->out_of_memory = true;
        return NULL;
    }
    a->used_bytes += bytes - moved->bytes;
    moved->bytes = bytes;
    if (moved->prev)
        moved->prev->next = moved;
    else
        a->blocks = moved;
    if (moved->next)
        moved->next->prev = moved;
    return moved + 1;
}

void *jarena_resize(struct jarena *a, void *p, size_t old_bytes, size_t new_bytes)
{
    if (p && old_bytes >= LARGE)
        return resize_block(a, p, new_bytes);
    void *grown = jarena_alloc(a, new_bytes);
    if (grown && old_bytes)
        memcpy(grown, p, old_bytes);
    return grown;
}
