/* Owns: recognising special tokens in text: leftmost by the caller's scan, longest by this module.
 * Refuses to know: what the tokens are for.
 *
 * The texts stand sorted in an array. Matching narrows the range of candidates byte by byte, each
 * time with two binary searches; the texts that end where the range has got to are its first ones.
 */
#include <config.h>

#include "text/special.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/vocab.h"

static int compare(const void *pa, const void *pb)
{
    const struct special *a = pa, *b = pb;
    uint32_t shorter = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->text, b->text, shorter);
    if (order == 0)
        order = (a->len > b->len) - (a->len < b->len);
    return order ? order : (a->id > b->id) - (a->id < b->id);
}

static bool is_special(const struct vocab_token *t)
{
    return t->len && (t->token_class == TOKEN_CONTROL || t->token_class == TOKEN_UNKNOWN ||
                      t->token_class == TOKEN_USER_DEFINED);
}

static void index_first_bytes(struct special_set *s)
{
    uint32_t i = 0;
    for (unsigned byte = 0; byte <= 256; byte++) {
        while (i < s->n && (unsigned char)s->items[i].text[0] < byte)
            i++;
        s->first[byte] = i;
    }
}

bool special_init(struct special_set *s, const struct vocab *v, struct err *e)
{
    *s = (struct special_set){0};
    uint32_t n = 0;
    for (uint32_t id = 0; id < v->n; id++)
        n += is_special(&v->tokens[id]);
    s->items = mem_try_calloc(n, sizeof *s->items);
    if (!s->items)
        FAIL(e, ERR_NOMEM, "no memory for %u special tokens", n);
    for (uint32_t id = 0; id < v->n; id++) {
        const struct vocab_token *t = &v->tokens[id];
        if (is_special(t))
            s->items[s->n++] = (struct special){.text = v->arena + t->at,
                                                .len = t->len,
                                                .id = (int32_t)id,
                                                .control = t->token_class != TOKEN_USER_DEFINED};
    }
    qsort(s->items, s->n, sizeof *s->items, compare);
    index_first_bytes(s);
    return true;
}

void special_release(struct special_set *s)
{
    free(s->items);
    *s = (struct special_set){0};
}

/* The first of items [lo, hi) whose byte at `depth` is at least `byte`; all of them are longer than
 * `depth` and equal before it. */
static uint32_t lower_bound(const struct special_set *s, uint32_t lo, uint32_t hi, size_t depth,
                            unsigned byte)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if ((unsigned char)s->items[mid].text[depth] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

size_t special_match(const struct special_set *s, const char *text, size_t len, bool control,
                     int32_t *id)
{
    size_t found = 0;
    uint32_t lo = 0, hi = len ? s->n : 0;
    for (size_t depth = 0; lo < hi;) {
        unsigned byte = (unsigned char)text[depth];
        if (depth == 0) {
            lo = s->first[byte];
            hi = s->first[byte + 1];
        } else {
            lo = lower_bound(s, lo, hi, depth, byte);
            hi = lower_bound(s, lo, hi, depth, byte + 1);
        }
        depth++;
        for (; lo < hi && s->items[lo].len == depth; lo++) {
            if (found < depth && (control || !s->items[lo].control)) {
                found = depth;
                *id = s->items[lo].id;
            }
        }
        if (depth == len)
            break;
    }
    return found;
}

int32_t special_find(const struct special_set *s, const char *text, size_t len)
{
    int32_t id;
    return len && special_match(s, text, len, true, &id) == len ? id : -1;
}
