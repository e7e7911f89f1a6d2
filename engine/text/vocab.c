/* Owns: reading the token arrays of a GGUF file, the byte alphabet, the index from bytes to id.
 * Refuses to know: merging, matching of special tokens in text, what any particular token means,
 * except that some marks are control tokens whatever the file says.
 */
#include <config.h>

#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf.h"

enum { MAX_TOKENS = 1 << 24 };

/* Marks of fill-in-the-middle prompts. Many files call them user-defined, which would let any text
 * that mentions them switch the model into that mode. */
static const char *const always_control[] = {
    "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<|fim_prefix|>", "<|fim_suffix|>",
    "<|fim_middle|>",  "<|fim_pad|>",    "<|repo_name|>", "<|file_sep|>",
};

/* ---- byte alphabet --------------------------------------------------------------------------- */

/* Bytes 21-7E, A1-AC, AE-FF stand for themselves; the others, in ascending order (00-20, 7F-A0,
 * AD), are written U+0100, U+0101, ... U+0143. */
uint32_t alphabet_char(uint8_t byte)
{
    if (byte <= 0x20)
        return 0x100u + byte;
    if (byte >= 0x7f && byte <= 0xa0)
        return 0x121u + byte - 0x7f;
    if (byte == 0xad)
        return 0x143;
    return byte;
}

static int alphabet_byte(uint32_t cp)
{
    if (cp >= 0x100 && cp <= 0x120)
        return (int)(cp - 0x100);
    if (cp >= 0x121 && cp <= 0x142)
        return (int)(cp - 0x121 + 0x7f);
    if (cp == 0x143)
        return 0xad;
    return cp <= 0xff && alphabet_char((uint8_t)cp) == cp ? (int)cp : -1;
}

bool alphabet_decode(const char *text, size_t len, char *out, size_t *out_len)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t step = utf8_decode(text + i, len - i, &cp);
        int byte = step ? alphabet_byte(cp) : -1;
        if (byte < 0)
            return false;
        out[n++] = (char)byte;
        i += step;
    }
    *out_len = n;
    return true;
}

/* ---- loading --------------------------------------------------------------------------------- */

/* "<0x1F>", the form of byte tokens. */
static bool parse_byte_token(struct gguf_str s, char *byte)
{
    if (s.len != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>')
        return false;
    int high = hex_digit(s.data[3]), low = hex_digit(s.data[4]);
    if (high < 0 || low < 0)
        return false;
    *byte = (char)(high << 4 | low);
    return true;
}

static bool is_always_control(struct gguf_str s)
{
    for (size_t i = 0; i < sizeof always_control / sizeof always_control[0]; i++)
        if (strlen(always_control[i]) == s.len && memcmp(always_control[i], s.data, s.len) == 0)
            return true;
    return false;
}

/* Appends the bytes of one token at arena + at, which has room for s.len bytes. */
static void store_token(struct vocab *v, uint32_t at, struct gguf_str s, struct vocab_token *token)
{
    char *out = v->arena + at;
    size_t len = s.len;
    token->at = at;
    switch ((enum token_class)token->token_class) {
    case TOKEN_NORMAL:
    case TOKEN_UNUSED:
        token->ordinary = alphabet_decode(s.data, s.len, out, &len);
        break;
    case TOKEN_BYTE:
        token->ordinary = parse_byte_token(s, out);
        len = token->ordinary ? 1 : s.len;
        break;
    case TOKEN_USER_DEFINED:
        if (is_always_control(s))
            token->token_class = TOKEN_CONTROL;
        break;
    case TOKEN_CONTROL:
    case TOKEN_UNKNOWN:
        break;
    }
    if (!token->ordinary && s.len) {
        len = s.len;
        memcpy(out, s.data, len);
    }
    token->len = (uint32_t)len;
    if (token->len > v->max_len)
        v->max_len = token->len;
}

static bool load_tokens(struct vocab *v, const struct gguf_kv *texts, const struct gguf_kv *types,
                        struct err *e)
{
    uint64_t total = 0;
    const uint8_t *cursor = texts->data;
    for (uint32_t id = 0; id < v->n; id++)
        if (!checked_add(total, gguf_array_next_str(&cursor).len, &total) || total > UINT32_MAX)
            FAIL(e, ERR_LIMIT, "the texts of the tokens are longer than 4 GiB together");
    v->tokens = mem_try_calloc(v->n, sizeof *v->tokens);
    v->arena = mem_try_calloc((size_t)total, 1);
    if (!v->tokens || !v->arena)
        FAIL(e, ERR_NOMEM, "no memory for a vocabulary of %u tokens", v->n);

    uint32_t at = 0;
    cursor = texts->data;
    for (uint32_t id = 0; id < v->n; id++) {
        int64_t type = gguf_array_i64(types, id);
        if (type < TOKEN_NORMAL || type > TOKEN_BYTE)
            FAIL(e, ERR_FORMAT, "tokenizer.ggml.token_type of token %u is %lld, not 1 to 6", id,
                 (long long)type);
        v->tokens[id].token_class = (uint8_t)type;
        store_token(v, at, gguf_array_next_str(&cursor), &v->tokens[id]);
        at += v->tokens[id].len;
    }
    return true;
}

/* ---- index ----------------------------------------------------------------------------------- */

/* FNV-1a, folded; the low bits index the slots. */
static uint32_t hash_bytes(const char *s, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 32);
}

/* The slot of the ordinary token with these bytes, or the free slot where it belongs. */
static uint32_t find_slot(const struct vocab *v, const char *bytes, size_t len)
{
    uint32_t i = hash_bytes(bytes, len) & v->slot_mask;
    while (v->slots[i]) {
        const struct vocab_token *t = &v->tokens[v->slots[i] - 1];
        if (t->len == len && memcmp(v->arena + t->at, bytes, len) == 0)
            break;
        i = (i + 1) & v->slot_mask;
    }
    return i;
}

static bool index_tokens(struct vocab *v, struct err *e)
{
    uint32_t n_slots = 8;
    while (n_slots < v->n * 2)
        n_slots *= 2;
    v->slots = mem_try_calloc(n_slots, sizeof *v->slots);
    if (!v->slots)
        FAIL(e, ERR_NOMEM, "no memory for a vocabulary of %u tokens", v->n);
    v->slot_mask = n_slots - 1;
    for (uint32_t id = 0; id < v->n; id++) {
        const struct vocab_token *t = &v->tokens[id];
        if (!t->ordinary || !t->len)
            continue;
        uint32_t i = find_slot(v, v->arena + t->at, t->len);
        if (!v->slots[i])
            v->slots[i] = id + 1;
    }
    return true;
}

bool vocab_load(struct vocab *v, const struct gguf *g, struct err *e)
{
    const struct gguf_kv *texts, *types;
    if (!gguf_get_array(g, "tokenizer.ggml.tokens", GGUF_STRING, &texts, e) ||
        !gguf_get_array(g, "tokenizer.ggml.token_type", GGUF_I32, &types, e))
        return false;
    if (texts->n == 0)
        FAIL(e, ERR_FORMAT, "tokenizer.ggml.tokens is empty");
    if (texts->n > MAX_TOKENS)
        FAIL(e, ERR_LIMIT, "a vocabulary of %llu tokens is larger than %d",
             (unsigned long long)texts->n, MAX_TOKENS);
    if (types->n != texts->n)
        FAIL(e, ERR_FORMAT, "tokenizer.ggml.token_type has %llu entries for %llu tokens",
             (unsigned long long)types->n, (unsigned long long)texts->n);
    v->n = (uint32_t)texts->n;
    return load_tokens(v, texts, types, e) && index_tokens(v, e);
}

void vocab_release(struct vocab *v)
{
    free(v->tokens);
    free(v->arena);
    free(v->slots);
    *v = (struct vocab){0};
}

int32_t vocab_find(const struct vocab *v, const char *bytes, size_t len)
{
    return len ? (int32_t)v->slots[find_slot(v, bytes, len)] - 1 : -1;
}

const char *vocab_bytes(const struct vocab *v, uint32_t id, size_t *len)
{
    *len = v->tokens[id].len;
    return v->arena + v->tokens[id].at;
}
