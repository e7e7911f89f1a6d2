/* The tokens of a vocabulary: their bytes, their classes, and the way back from bytes to id.
 *
 * GGUF stores ordinary tokens in the byte alphabet, in which every byte is written as one printable
 * character; special tokens are stored as they are. Here all are kept as bytes.
 * Source: engine/text/README.md. Thread: immutable once loaded.
 */
#ifndef SEEKD_TEXT_VOCAB_H
#define SEEKD_TEXT_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/tokenizer.h"

struct gguf;

struct vocab_token {
    uint32_t at, len;    /* its bytes: arena[at .. at + len) */
    uint8_t token_class; /* enum token_class */
    bool ordinary;       /* stands in the byte alphabet, so that merging may produce it */
};

struct vocab {
    struct vocab_token *tokens; /* owned, [n] */
    uint32_t n;                 /* 1 .. 2^24 */
    uint32_t max_len;           /* bytes of the longest token */
    char *arena;                /* owned */
    uint32_t *slots;            /* owned, [slot_mask + 1]: id + 1 of an ordinary token, 0 = free */
    uint32_t slot_mask;
};

/* Reads tokenizer.ggml.tokens and .token_type. `v` is zeroed by the caller and released by it, also
 * after an error. ERR_FORMAT, ERR_NOT_FOUND (key missing), ERR_LIMIT, ERR_NOMEM. Cost: rare. */
bool vocab_load(struct vocab *v, const struct gguf *g, struct err *e) WARN_UNUSED;
void vocab_release(struct vocab *v);

/* Id of the ordinary token with these bytes (the lowest, if there are several), -1 = none. */
int32_t vocab_find(const struct vocab *v, const char *bytes, size_t len);
/* Bytes of a token, borrowed from v. id < v->n. */
const char *vocab_bytes(const struct vocab *v, uint32_t id, size_t *len);

/* ---- byte alphabet ------------------------------------------------------------------------- */

/* The character that stands for a byte: U+0021..U+0143. */
uint32_t alphabet_char(uint8_t byte);
/* Translates a text in the byte alphabet to bytes: *out_len <= len, `out` has room for len bytes.
 * False when the text holds a character that stands for no byte. */
bool alphabet_decode(const char *text, size_t len, char *out, size_t *out_len);

#endif
