/* What the tests of engine/text share: small vocabularies made on the spot, random numbers. */
#ifndef SEEKD_TESTS_TEXT_SUPPORT_H
#define SEEKD_TESTS_TEXT_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/tokenizer.h"

/* Deterministic random numbers (splitmix64). */
uint64_t support_random(uint64_t *state);

/* A GGUF file that holds one tokenizer: the 256 byte tokens, then `extra`. Every field can be
 * spoilt for the tests of bad files. */
struct vocab_spec {
    const char *model; /* NULL = "gpt2", "" = key left out */
    const char *pre;   /* NULL = "deepseek-v3", "" = key left out */
    const struct vocab_extra {
        const char *text; /* as the file stores it */
        int32_t token_class;
    } * extra;
    size_t n_extra;
    const char *const *merges;
    size_t n_merges;
    int64_t bos, eos;  /* -1 = key left out */
    int drop_byte;     /* the token of this byte gets another text; -1 = none */
    int types_missing; /* entries left out at the end of token_type; -1 = key left out */
    bool no_merges_key, no_tokens_key;
};
#define VOCAB_SPEC_INIT ((struct vocab_spec){.bos = -1, .eos = -1, .drop_byte = -1})

/* Creates a tokenizer from the bytes of a GGUF file, through a file in memory. */
bool support_tokenizer_from(const void *file, size_t n_bytes, struct tokenizer **out,
                            struct err *e);
/* Creates a tokenizer from the specification. */
bool support_tokenizer(const struct vocab_spec *spec, struct tokenizer **out, struct err *e);
/* Creates a tokenizer from a file of the source tree. */
bool support_tokenizer_source(const char *relative, struct tokenizer **out, struct err *e);
/* Creates a tokenizer from any file. */
bool support_tokenizer_open(const char *path, struct tokenizer **out, struct err *e);

/* The replacement rule applied to a whole text: each maximal part of `text` that can never be valid
 * UTF-8, and an incomplete end, becomes one U+FFFD. */
void support_replace_invalid(const char *text, size_t len, struct buf *out);

#endif
