/* Fuzz target: hostile texts through the pre-tokenizers and a real tokenizer, and hostile tokenizer
 * metadata. The first byte of the input says which; the rest is the text, or the GGUF file.
 */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "text/pretok.h"
#include "text/tokenizer.h"
#include "text_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_IDS = 1 << 20, FILE_MODE = 0xff };

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "fuzz_tokenizer: %s\n", what);
        abort();
    }
}

/* ---- texts ----------------------------------------------------------------------------------- */

static void check_pieces(const char *pre, const char *text, size_t len)
{
    struct pretok *p;
    struct pretok_scan *s;
    struct err e = ERR_INIT;
    size_t at = 0, n;
    const char *piece;
    require(pretok_create(pre, strlen(pre), &p, &e), e.msg);
    require(pretok_scan_create(p, &s, &e), e.msg);
    pretok_scan_start(s, text, len);
    do {
        require(pretok_scan_next(s, &piece, &n, &e), e.msg);
        require(n == 0 || piece == text + at, "pieces are not the text");
        require(n == 0 || utf8_valid(piece, n), "a piece cuts a character");
        at += n;
    } while (n);
    require(at == len, "pieces end before the text");
    pretok_scan_destroy(&s);
    pretok_destroy(&p);
}

static void check_decoding(const struct tokenizer *t, const int32_t *ids, size_t n,
                           const char *text, size_t len)
{
    struct detok d;
    struct buf out, want;
    size_t at = 0;
    detok_init(&d, t);
    buf_init(&out, 4 * len + 16);
    buf_init(&want, 4 * len + 16);
    for (size_t i = 0; i < n; i++) {
        size_t token_len;
        const char *bytes = tokenizer_bytes(t, ids[i], &token_len);
        require(bytes && token_len <= len - at && !memcmp(bytes, text + at, token_len),
                "tokens are not the text");
        at += token_len;
        require(detok_push(&d, ids[i], &out), "the detokeniser refuses a token");
    }
    require(at == len, "tokens end before the text");
    require(detok_flush(&d, &out), "the detokeniser cannot end");
    support_replace_invalid(text, len, &want);
    require(out.len == want.len && !memcmp(buf_str(&out), buf_str(&want), out.len),
            "the detokenised text differs");
    buf_release(&out);
    buf_release(&want);
}

static void check_text(const struct tokenizer *t, const char *text, size_t len)
{
    struct err e = ERR_INIT;
    int32_t *ids;
    size_t n, again;
    require(tokenizer_encode(t, text, len, 0, MAX_IDS, &ids, &n, &e), e.msg);
    check_decoding(t, ids, n, text, len);
    free(ids);
    require(tokenizer_encode(t, text, len, TOKENIZE_SPECIAL, MAX_IDS, &ids, &n, &e), e.msg);
    free(ids);
    require(n == 0 || !tokenizer_encode(t, text, len, TOKENIZE_SPECIAL, n - 1, &ids, &again, &e),
            "max_ids is not kept");
}

/* ---- files ----------------------------------------------------------------------------------- */

static void check_file(const uint8_t *data, size_t size)
{
    struct tokenizer *t;
    struct err e = ERR_INIT;
    if (!support_tokenizer_from(data, size, &t, &e)) {
        require(e.code != ERR_NONE && e.msg[0], "an error without a message");
        return;
    }
    static const char text[] = "The year 2026,\n\xe4\xb8\xad\xe6\x96\x87<think> \xff";
    int32_t *ids;
    size_t n;
    if (tokenizer_encode(t, text, sizeof text - 1, TOKENIZE_SPECIAL | TOKENIZE_BOS, MAX_IDS, &ids,
                         &n, &e)) {
        for (size_t i = 0; i < n; i++)
            require(ids[i] >= 0 && (uint32_t)ids[i] < tokenizer_vocab_size(t), "id out of range");
        free(ids);
    }
    tokenizer_destroy(&t);
}

/* ---- entry ----------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const pres[] = {"deepseek-llm", "deepseek-coder", "deepseek-v3", "qwen2",
                                       "llama-bpe"};
    static struct tokenizer *tiny;
    struct err e = ERR_INIT;
    if (!tiny)
        require(support_tokenizer_source("tests/golden/models/v3/v3.gguf", &tiny, &e), e.msg);
    if (size == 0)
        return 0;
    if (data[0] == FILE_MODE) {
        check_file(data + 1, size - 1);
        return 0;
    }
    const char *text = (const char *)data + 1;
    if (utf8_valid(text, size - 1))
        check_pieces(pres[data[0] % 5], text, size - 1);
    check_text(tiny, text, size - 1);
    return 0;
}
