/* Memory of one compiled template or one render: handed out in pieces, dropped as a whole, born
 * with a maximum. Owner: the struct's holder. Thread: one at a time.
 */
#ifndef SEEKD_TEMPLATE_JARENA_H
#define SEEKD_TEMPLATE_JARENA_H

#include <stdbool.h>
#include <stddef.h>

struct jblock;

struct jarena {
    struct jblock *blocks; /* everything malloc'ed, newest first */
    char *at, *end;        /* free part of the current chunk */
    size_t used_bytes;
    size_t max_bytes;
    bool out_of_memory; /* the host refused; otherwise a NULL means max_bytes was reached */
};

void jarena_init(struct jarena *a, size_t max_bytes);
void jarena_release(struct jarena *a);

/* Not zeroed, aligned for any type, never freed singly. NULL when full. bytes may be 0. */
void *jarena_alloc(struct jarena *a, size_t bytes);
/* Grows the piece `p` of old_bytes (NULL and 0: a new one), in place where possible; the old
 * address is dead afterwards. NULL when full (the old piece stays). */
void *jarena_resize(struct jarena *a, void *p, size_t old_bytes, size_t new_bytes);

#endif
