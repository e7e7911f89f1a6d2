/* Owns: putting the parts together: reading tokenizer metadata, the order of encoding steps, the
 * ids of special tokens. Refuses to know: chat templates, models, requests.
 *
 * Encoding a text: special tokens cut it first; what lies between them is cut by the pre-tokenizer
 * (valid UTF-8) or taken byte for byte (anything else); each piece is merged to tokens.
 */
#include <config.h>

#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf.h"
#include "text/bpe.h"
#include "text/pretok.h"
#include "text/special.h"
#include "text/vocab.h"

enum { MAX_ENDS = 16 };

/* Texts that end a turn in the chat formats of the supported model families. */
static const char *const end_marks[] = {
    "<｜end▁of▁sentence｜>", "<|EOT|>",    "<|eot_id|>",    "<|eom_id|>",
    "<|end_of_text|>",       "<|im_end|>", "<|endoftext|>",
};
_Static_assert(sizeof end_marks / sizeof end_marks[0] + 3 <= MAX_ENDS, "and eos, eot, eom");

struct tokenizer {
    struct vocab vocab;
    struct special_set special;
    struct bpe bpe;
    struct pretok *pretok; /* owned */
    struct pretok_traits traits;
    int32_t bos, eos; /* -1 = none */
    bool add_bos, add_eos;
    int32_t ends[MAX_ENDS];
    size_t n_ends;
};

/* ---- loading --------------------------------------------------------------------------------- */

static bool check_model(const struct gguf *g, struct err *e)
{
    struct gguf_str model;
    if (!gguf_get_str(g, "tokenizer.ggml.model", &model, e))
        return false;
    if (model.len == 4 && memcmp(model.data, "gpt2", 4) == 0)
        return true;
    char begin[41], quoted[64];
    snprintf(begin, sizeof begin, "%.*s", (int)(model.len < 40 ? model.len : 40), model.data);
    FAIL(e, ERR_UNSUPPORTED, "tokenizer model %s is not supported (known: gpt2, byte-level BPE)",
         log_quote(quoted, sizeof quoted, begin));
}

/* The ordinary token with the bytes that `text` spells in the byte alphabet, else the special token
 * with that literal text; -1 = neither. `scratch` has room for len bytes. */
static int32_t find_piece(const struct tokenizer *t, const char *text, size_t len, char *scratch)
{
    size_t n;
    int32_t id = -1;
    if (alphabet_decode(text, len, scratch, &n))
        id = vocab_find(&t->vocab, scratch, n);
    return id >= 0 ? id : special_find(&t->special, text, len);
}

/* Every byte that can occur in UTF-8 must have a token; the 13 others may have one. */
static bool load_bytes(struct tokenizer *t, struct err *e)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char letter[4], scratch[4];
        size_t len = utf8_encode(alphabet_char((uint8_t)byte), letter);
        t->bpe.byte_id[byte] = find_piece(t, letter, len, scratch);
        bool in_utf8 = byte != 0xc0 && byte != 0xc1 && byte < 0xf5;
        if (in_utf8 && t->bpe.byte_id[byte] < 0)
            FAIL(e, ERR_FORMAT, "tokenizer.ggml.tokens has no token for the byte 0x%02X", byte);
    }
    return true;
}

/* "left right", both in the byte alphabet. `scratch` has room for 2 * s.len bytes. */
static bool parse_merge(const struct tokenizer *t, struct gguf_str s, char *scratch,
                        struct bpe_merge *out)
{
    const char *space = s.len ? memchr(s.data, ' ', s.len) : NULL;
    if (!space)
        return false;
    size_t left = (size_t)(space - s.data), right = s.len - left - 1;
    if (left == 0 || right == 0)
        return false;
    char *joined = scratch + s.len;
    memcpy(joined, s.data, left);
    memcpy(joined + left, space + 1, right);
    out->left = find_piece(t, s.data, left, scratch);
    out->right = find_piece(t, space + 1, right, scratch);
    out->result = find_piece(t, joined, left + right, scratch);
    return out->left >= 0 && out->right >= 0 && out->result >= 0;
}

static bool load_merges(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    const struct gguf_kv *kv;
    if (!gguf_get_array(g, "tokenizer.ggml.merges", GGUF_STRING, &kv, e))
        return false;
    if (kv->n > UINT32_MAX / 8)
        FAIL(e, ERR_LIMIT, "tokenizer.ggml.merges has %llu entries", (unsigned long long)kv->n);
    size_t longest = 0;
    const uint8_t *cursor = kv->data;
    for (uint64_t i = 0; i < kv->n; i++) {
        size_t len = gguf_array_next_str(&cursor).len;
        longest = len > longest ? len : longest;
    }
    t->bpe.merges = mem_try_calloc(kv->n, sizeof *t->bpe.merges);
    char *scratch = mem_try_calloc(longest, 2);
    bool ok = t->bpe.merges && scratch;
    if (!ok)
        err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "no memory for %llu merges",
                (unsigned long long)kv->n);
    cursor = kv->data;
    for (; ok && t->bpe.n_merges < kv->n; t->bpe.n_merges++) {
        struct gguf_str s = gguf_array_next_str(&cursor);
        ok = parse_merge(t, s, scratch, &t->bpe.merges[t->bpe.n_merges]);
        if (!ok)
            err_set(e, ERR_FORMAT, 0, __FILE__, __LINE__,
                    "tokenizer.ggml.merges[%u] is not a pair of tokens that makes a token",
                    t->bpe.n_merges);
    }
    free(scratch);
    return ok && bpe_index(&t->bpe, e);
}

/* An optional key that holds a token id: -1 when it is missing. */
static bool load_id(const struct tokenizer *t, const struct gguf *g, const char *key, int32_t *out,
                    struct err *e)
{
    uint32_t id;
    *out = -1;
    if (!gguf_find(g, key))
        return true;
    if (!gguf_get_u32(g, key, &id, e))
        return false;
    if (id >= t->vocab.n)
        FAIL(e, ERR_FORMAT, "%s is %u, but the vocabulary has %u tokens", key, id, t->vocab.n);
    *out = (int32_t)id;
    return true;
}

static bool load_flag(const struct gguf *g, const char *key, bool missing, bool *out, struct err *e)
{
    *out = missing;
    return !gguf_find(g, key) || gguf_get_bool(g, key, out, e);
}

static void add_end(struct tokenizer *t, int32_t id)
{
    if (id >= 0 && !tokenizer_is_end(t, id))
        t->ends[t->n_ends++] = id;
}

static bool load_special_ids(struct tokenizer *t, const struct gguf *g, struct err *e)
{
    int32_t eot, eom;
    if (!load_id(t, g, "tokenizer.ggml.bos_token_id", &t->bos, e) ||
        !load_id(t, g, "tokenizer.ggml.eos_token_id", &t->eos, e) ||
        !load_id(t, g, "tokenizer.ggml.eot_token_id", &eot, e) ||
        !load_id(t, g, "tokenizer.ggml.eom_token_id", &eom, e) ||
        !load_flag(g, "tokenizer.ggml.add_bos_token", t->traits.add_bos, &t->add_bos, e) ||
        !load_flag(g, "tokenizer.ggml.add_eos_token", false, &t->add_eos, e))
        return false;
    add_end(t, t->eos);
    add_end(t, eot);
    add_end(t, eom);
    for (size_t i = 0; i < sizeof end_marks / sizeof end_marks[0]; i++)
        add_end(t, special_find(&t->special, end_marks[i], strlen(end_marks[i])));
    return true;
}

bool tokenizer_create(const struct gguf *g, struct tokenizer **out, struct err *e)
{
    struct tokenizer *t = mem_zalloc(sizeof *t);
    struct gguf_str pre;
    *out = NULL;
    TRY(check_model(g, e));
    TRY(gguf_get_str(g, "tokenizer.ggml.pre", &pre, e));
    TRY(pretok_create(pre.data, pre.len, &t->pretok, e));
    t->traits = pretok_traits(t->pretok);
    TRY(vocab_load(&t->vocab, g, e));
    TRY(special_init(&t->special, &t->vocab, e));
    TRY(load_bytes(t, e));
    TRY(load_merges(t, g, e));
    TRY(load_special_ids(t, g, e));
    *out = t;
    return true;
fail:
    if (e && e->code == ERR_NOT_FOUND)
        e->code = ERR_FORMAT; /* what is missing is a key, not the file */
    tokenizer_destroy(&t);
    return false;
}

void tokenizer_destroy(struct tokenizer **tp)
{
    struct tokenizer *t = *tp;
    if (!t)
        return;
    pretok_destroy(&t->pretok);
    bpe_release(&t->bpe);
    special_release(&t->special);
    vocab_release(&t->vocab);
    free(t);
    *tp = NULL;
}

/* ---- looking up ------------------------------------------------------------------------------ */

static bool in_range(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->vocab.n;
}

uint32_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return t->vocab.n;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

bool tokenizer_is_end(const struct tokenizer *t, int32_t id)
{
    for (size_t i = 0; i < t->n_ends; i++)
        if (t->ends[i] == id)
            return true;
    return false;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *text, size_t len)
{
    int32_t id = special_find(&t->special, text, len);
    return id >= 0 ? id : vocab_find(&t->vocab, text, len);
}

enum token_class tokenizer_class(const struct tokenizer *t, int32_t id)
{
    return in_range(t, id) ? (enum token_class)t->vocab.tokens[id].token_class : TOKEN_UNKNOWN;
}

const char *tokenizer_bytes(const struct tokenizer *t, int32_t id, size_t *len)
{
    *len = 0;
    return in_range(t, id) ? vocab_bytes(&t->vocab, (uint32_t)id, len) : NULL;
}

/* ---- encoding -------------------------------------------------------------------------------- */

struct encoder {
    const struct tokenizer *t;
    struct pretok_scan *scan; /* owned */
    struct bpe_scratch scratch;
    struct id_list out;
};

static bool encode_piece(struct encoder *enc, const char *piece, size_t len, struct err *e)
{
    const struct tokenizer *t = enc->t;
    int32_t whole = t->traits.whole_pieces ? vocab_find(&t->vocab, piece, len) : -1;
    if (whole >= 0)
        return id_list_push(&enc->out, whole, e);
    return bpe_encode(&t->bpe, &enc->scratch, piece, len, &enc->out, e);
}

static bool encode_utf8(struct encoder *enc, const char *text, size_t len, struct err *e)
{
    pretok_scan_start(enc->scan, text, len);
    for (;;) {
        const char *piece;
        size_t piece_len;
        if (!pretok_scan_next(enc->scan, &piece, &piece_len, e))
            return false;
        if (piece_len == 0)
            return true;
        if (!encode_piece(enc, piece, piece_len, e))
            return false;
    }
}

/* Text without special tokens: runs of valid UTF-8, and other bytes one by one. */
static bool encode_plain(struct encoder *enc, const char *text, size_t len, struct err *e)
{
    size_t begin = 0, at = 0;
    while (at < len) {
        size_t n;
        if (utf8_classify(text + at, len - at, &n) == UTF8_COMPLETE) {
            at += n;
            continue;
        }
        if (!encode_utf8(enc, text + begin, at - begin, e))
            return false;
        for (size_t end = at + n; at < end; at++)
            if (!bpe_encode(&enc->t->bpe, &enc->scratch, text + at, 1, &enc->out, e))
                return false;
        begin = at;
    }
    return encode_utf8(enc, text + begin, at - begin, e);
}

static bool encode_text(struct encoder *enc, const char *text, size_t len, bool control,
                        struct err *e)
{
    size_t begin = 0, at = 0;
    while (at < len) {
        int32_t id;
        size_t n = special_match(&enc->t->special, text + at, len - at, control, &id);
        if (n == 0) {
            at++;
            continue;
        }
        if (!encode_plain(enc, text + begin, at - begin, e) || !id_list_push(&enc->out, id, e))
            return false;
        at += n;
        begin = at;
    }
    return encode_plain(enc, text + begin, at - begin, e);
}

/* No token is longer than vocab.max_len bytes: a hopeless text is refused before any work. */
static bool check_length(const struct tokenizer *t, size_t len, size_t max_ids, struct err *e)
{
    if (len > INT32_MAX)
        FAIL(e, ERR_LIMIT, "a text of %zu bytes is too long to tokenize", len);
    if (len / t->vocab.max_len > max_ids)
        FAIL(e, ERR_LIMIT, "the text has more than %zu tokens", max_ids);
    return true;
}

bool tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
                      size_t max_ids, int32_t **ids_take, size_t *n, struct err *e)
{
    struct encoder enc = {.t = t};
    if (len == 0)
        text = ""; /* NULL is welcome then */
    id_list_init(&enc.out, max_ids);
    *ids_take = NULL;
    *n = 0;
    TRY(check_length(t, len, max_ids, e));
    TRY(pretok_scan_create(t->pretok, &enc.scan, e));
    if ((flags & TOKENIZE_BOS) && t->add_bos && t->bos >= 0)
        TRY(id_list_push(&enc.out, t->bos, e));
    if (flags & TOKENIZE_LITERAL)
        TRY(encode_plain(&enc, text, len, e));
    else
        TRY(encode_text(&enc, text, len, flags & TOKENIZE_SPECIAL, e));
    if ((flags & TOKENIZE_BOS) && t->add_eos && t->eos >= 0)
        TRY(id_list_push(&enc.out, t->eos, e));
    pretok_scan_destroy(&enc.scan);
    bpe_scratch_release(&enc.scratch);
    *n = enc.out.n;
    *ids_take = mem_realloc(enc.out.ids, enc.out.n * sizeof *enc.out.ids);
    return true;
fail:
    pretok_scan_destroy(&enc.scan);
    bpe_scratch_release(&enc.scratch);
    id_list_release(&enc.out);
    return false;
}
