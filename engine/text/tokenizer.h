/* Byte-level BPE tokenizer read from GGUF metadata (tokenizer.ggml.model = "gpt2").
 *
 * Encoding: special-token split, pre-tokenizer (PCRE2 + UCP), byte alphabet, merges by rank with a
 * heap over a linked list: O(n log n), no recursion. Decoding is exact: bytes in, bytes out.
 * Source: format notes in engine/text/README.md.
 * Thread: immutable after creation, any thread may use it; encoding allocates its own scratch.
 */
#ifndef SEEKD_TEXT_TOKENIZER_H
#define SEEKD_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct gguf;
struct tokenizer;

/* Token classes of GGUF `tokenizer.ggml.token_type`. */
enum token_class {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,      /* treated as control */
    TOKEN_CONTROL = 3,      /* matched in text only with TOKENIZE_SPECIAL; detokenises to nothing */
    TOKEN_USER_DEFINED = 4, /* matched in text always; detokenises to its literal text */
    TOKEN_UNUSED = 5,       /* never matched; detokenises to nothing */
    TOKEN_BYTE = 6
};

enum tokenize_flags {
    TOKENIZE_SPECIAL = 1, /* recognise control tokens in the text */
    TOKENIZE_LITERAL = 4, /* recognise no added token at all: text that users wrote. User-defined
                             tokens such as <think> or role marks are then plain text */
    TOKENIZE_BOS = 2      /* add BOS/EOS as add_bos_token and add_eos_token of the file say */
};

/* `g` may be closed afterwards. Errors: ERR_FORMAT, ERR_UNSUPPORTED (other tokenizer models or
 * pre-tokenizers; the message lists those known). Cost: rare. */
bool tokenizer_create(const struct gguf *g, struct tokenizer **out, struct err *e) WARN_UNUSED;
void tokenizer_destroy(struct tokenizer **t);

uint32_t tokenizer_vocab_size(const struct tokenizer *t);
/* Special ids, -1 when the vocabulary has none. */
int32_t tokenizer_bos(const struct tokenizer *t);
int32_t tokenizer_eos(const struct tokenizer *t);
/* True for ids that end a generation (eos, eot, and the texts of known end marks). */
bool tokenizer_is_end(const struct tokenizer *t, int32_t id);
/* Id of the token whose literal text is `text`, -1 when there is none. */
int32_t tokenizer_find(const struct tokenizer *t, const char *text, size_t len);
enum token_class tokenizer_class(const struct tokenizer *t, int32_t id);
/* The bytes a token stands for (for control tokens: their literal text). Borrowed from t.
 * NULL when id is out of range. */
const char *tokenizer_bytes(const struct tokenizer *t, int32_t id, size_t *len);

/* Encodes `len` bytes. Invalid UTF-8 is encoded byte for byte. *ids_take is malloc'ed, owned by the
 * caller, exactly *n elements (never NULL on success). At most max_ids ids: ERR_LIMIT beyond. */
bool tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
                      size_t max_ids, int32_t **ids_take, size_t *n, struct err *e) WARN_UNUSED;

/* Streaming detokeniser: emits only whole UTF-8 characters; bytes that can never be valid come out
 * as U+FFFD. Control tokens emit nothing. */
struct detok {
    const struct tokenizer *t; /* borrowed */
    char held[4];              /* beginning of an incomplete character */
    size_t held_len;
};
struct buf;
void detok_init(struct detok *d, const struct tokenizer *t);
/* Appends to `out` the text that became complete. False when out is full or id is out of range. */
bool detok_push(struct detok *d, int32_t id, struct buf *out) WARN_UNUSED;
/* End of stream: a held tail comes out as U+FFFD. */
bool detok_flush(struct detok *d, struct buf *out) WARN_UNUSED;

#endif
