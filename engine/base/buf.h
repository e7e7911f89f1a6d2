/* Growing byte buffer, born with a maximum. Always NUL-terminated, so `data` is a C string when the
 * content has no NUL. Owner: whoever holds the struct. Thread: one at a time.
 * A failed append (maximum reached or memory out) sets `failed`, drops the appended bytes and makes
 * every later append fail too: check once at the end.
 */
#ifndef SEEKD_BASE_BUF_H
#define SEEKD_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct buf {
    char *data; /* owned; NULL while empty and never grown: use buf_str() for a string */
    size_t len;
    size_t cap_bytes;
    size_t max_bytes;
    bool failed;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* len = 0 and failed = false; keeps the memory */

bool buf_append(struct buf *b, const void *bytes, size_t len);
bool buf_puts(struct buf *b, const char *s);
bool buf_putc(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Removes the first `len` bytes (len <= b->len). Cost: moves the rest. */
void buf_consume(struct buf *b, size_t len);

const char *buf_str(const struct buf *b); /* "" when empty; borrowed until the next change */
char *buf_take(struct buf *b);            /* hands the memory to the caller; b is empty then */

#endif
