/* Owns: turning a stream of token ids into text that never ends inside a character.
 * Refuses to know: stop strings, reasoning marks, what the text is for.
 */
#include <config.h>

#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

void detok_init(struct detok *d, const struct tokenizer *t)
{
    *d = (struct detok){.t = t};
}

/* Adds one byte and emits what it completes. Afterwards the held bytes are a beginning of a
 * character that can still become valid: at most three. */
static bool push_byte(struct detok *d, char byte, struct buf *out)
{
    bool ok = true;
    d->held[d->held_len++] = byte;
    while (d->held_len) {
        size_t n;
        enum utf8_state state = utf8_classify(d->held, d->held_len, &n);
        if (state == UTF8_INCOMPLETE)
            break;
        if (state == UTF8_COMPLETE)
            ok = buf_append(out, d->held, n) && ok;
        else
            ok = buf_puts(out, REPLACEMENT) && ok;
        d->held_len -= n;
        memmove(d->held, d->held + n, d->held_len);
    }
    return ok;
}

static bool has_text(enum token_class token_class)
{
    return token_class == TOKEN_NORMAL || token_class == TOKEN_USER_DEFINED ||
           token_class == TOKEN_BYTE;
}

bool detok_push(struct detok *d, int32_t id, struct buf *out)
{
    size_t len;
    const char *bytes = tokenizer_bytes(d->t, id, &len);
    if (!bytes)
        return false;
    if (!has_text(tokenizer_class(d->t, id)))
        return true;
    bool ok = true;
    for (size_t i = 0; i < len; i++)
        ok = push_byte(d, bytes[i], out) && ok;
    return ok;
}

bool detok_flush(struct detok *d, struct buf *out)
{
    bool ok = d->held_len == 0 || buf_puts(out, REPLACEMENT);
    d->held_len = 0;
    return ok;
}
