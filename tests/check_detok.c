/* Streaming detokeniser: whole characters only, whatever the tokens cut. */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/vocab.h"
#include "text_support.h"

#define FFFD "\xef\xbf\xbd"

static struct tokenizer *tok;

static void open_tiny(void)
{
    struct err e = ERR_INIT;
    ck_assert_msg(support_tokenizer_source("tests/golden/models/v3/v3.gguf", &tok, &e), "%s",
                  e.msg);
}

static void close_tok(void)
{
    tokenizer_destroy(&tok);
}

static int32_t byte_token(const struct tokenizer *t, char byte)
{
    int32_t id = tokenizer_find(t, &byte, 1);
    ck_assert_int_ge(id, 0);
    return id;
}

/* Pushes `bytes` as single-byte tokens and flushes; what comes out must be `want`. */
static void expect_bytes(const char *bytes, size_t len, const char *want)
{
    struct detok d;
    struct buf out;
    buf_init(&out, 1024);
    detok_init(&d, tok);
    for (size_t i = 0; i < len; i++)
        ck_assert(detok_push(&d, byte_token(tok, bytes[i]), &out));
    ck_assert(detok_flush(&d, &out));
    ck_assert_str_eq(buf_str(&out), want);
    ck_assert_uint_eq(out.len, strlen(want));
    buf_release(&out);
}

/* ---- every split ----------------------------------------------------------------------------- */

#define SAMPLE "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"
enum { SAMPLE_LEN = 10 };

/* A vocabulary whose tokens are all substrings of SAMPLE, so that it can be cut in every way. */
static struct tokenizer *substring_tokenizer(int32_t ids[SAMPLE_LEN][SAMPLE_LEN + 1])
{
    static char texts[SAMPLE_LEN * SAMPLE_LEN][4 * SAMPLE_LEN + 1];
    struct vocab_extra extra[SAMPLE_LEN * SAMPLE_LEN];
    struct vocab_spec spec = VOCAB_SPEC_INIT;
    for (size_t begin = 0; begin < SAMPLE_LEN; begin++) {
        for (size_t end = begin + 1; end <= SAMPLE_LEN; end++) {
            char *text = texts[spec.n_extra];
            size_t len = 0;
            for (size_t i = begin; i < end; i++)
                len += utf8_encode(alphabet_char((uint8_t)SAMPLE[i]), text + len);
            text[len] = '\0';
            ids[begin][end] = 256 + (int32_t)spec.n_extra;
            extra[spec.n_extra++] = (struct vocab_extra){text, TOKEN_NORMAL};
        }
    }
    spec.extra = extra;
    struct tokenizer *t;
    struct err e = ERR_INIT;
    ck_assert_msg(support_tokenizer(&spec, &t, &e), "%s", e.msg);
    return t;
}

/* Length of the longest beginning of SAMPLE, at most `len`, that ends between characters. */
static size_t complete_prefix(size_t len)
{
    static const size_t ends[] = {0, 1, 3, 6, 10};
    size_t best = 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (ends[i] <= len)
            best = ends[i];
    return best;
}

START_TEST(every_split_of_a_text)
{
    int32_t ids[SAMPLE_LEN][SAMPLE_LEN + 1];
    struct tokenizer *t = substring_tokenizer(ids);
    for (unsigned cuts = 0; cuts < 1u << (SAMPLE_LEN - 1); cuts++) {
        struct detok d;
        struct buf out;
        buf_init(&out, 64);
        detok_init(&d, t);
        for (size_t begin = 0, end = 1; end <= SAMPLE_LEN; end++) {
            if (end < SAMPLE_LEN && !(cuts >> (end - 1) & 1))
                continue;
            ck_assert(detok_push(&d, ids[begin][end], &out));
            ck_assert_uint_eq(out.len, complete_prefix(end));
            ck_assert_int_eq(memcmp(out.data ? out.data : "", SAMPLE, out.len), 0);
            begin = end;
        }
        ck_assert(detok_flush(&d, &out));
        ck_assert_str_eq(buf_str(&out), SAMPLE);
        buf_release(&out);
    }
    tokenizer_destroy(&t);
}
END_TEST

/* ---- invalid bytes --------------------------------------------------------------------------- */

/* The examples of the Unicode standard, tables 3-8 to 3-11, and ends of text. */
static const struct {
    const char *bytes, *want;
} invalid_cases[] = {
    {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"},
    {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"},
    {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B"},
    {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", FFFD FFFD FFFD FFFD "A"},
    {"\xe4\xb8", FFFD},
    {"\xf0\x9f\x98", FFFD},
    {"ok\xc3", "ok" FFFD},
    {"\xc3\xc3\xa9", FFFD "\xc3\xa9"},
    {"\xe4\xb8\xe4\xb8\xad", FFFD "\xe4\xb8\xad"},
    {"\x80\x80", FFFD FFFD},
    {"", ""},
};

START_TEST(invalid_bytes_become_replacement_characters)
{
    const char *bytes = invalid_cases[_i].bytes;
    expect_bytes(bytes, strlen(bytes), invalid_cases[_i].want);
}
END_TEST

START_TEST(invalid_bytes_come_out_at_once)
{
    struct detok d;
    struct buf out;
    buf_init(&out, 64);
    detok_init(&d, tok);
    ck_assert(detok_push(&d, byte_token(tok, '\xff'), &out));
    ck_assert_str_eq(buf_str(&out), FFFD);
    ck_assert(detok_push(&d, byte_token(tok, '\xe4'), &out));
    ck_assert(detok_push(&d, byte_token(tok, '\xb8'), &out));
    ck_assert_str_eq(buf_str(&out), FFFD);
    ck_assert(detok_push(&d, byte_token(tok, 'x'), &out));
    ck_assert_str_eq(buf_str(&out), FFFD FFFD "x");
    buf_release(&out);
}
END_TEST

/* ---- random streams -------------------------------------------------------------------------- */

static uint32_t random_char(uint64_t *seed)
{
    static const uint32_t ends[] = {0x7f, 0x7ff, 0xffff, 0x10ffff};
    for (;;) {
        uint32_t cp = (uint32_t)(support_random(seed) % (ends[support_random(seed) % 4] + 1));
        if (cp < 0xd800 || cp > 0xdfff)
            return cp;
    }
}

/* Up to 40 characters; when `damage`, some bytes are changed, which may make them invalid. */
static void random_text(uint64_t *seed, bool damage, struct buf *out)
{
    size_t n = support_random(seed) % 41;
    for (size_t i = 0; i < n; i++) {
        char c[4];
        buf_append(out, c, utf8_encode(random_char(seed), c));
    }
    for (size_t i = 0; damage && i < out->len; i++)
        if (support_random(seed) % 8 == 0)
            out->data[i] = (char)support_random(seed);
}

static void check_stream(const char *text, size_t len)
{
    struct err e = ERR_INIT;
    int32_t *ids;
    size_t n;
    struct detok d;
    struct buf out, want;
    buf_init(&out, 4096);
    buf_init(&want, 4096);
    support_replace_invalid(text, len, &want);
    ck_assert_msg(tokenizer_encode(tok, text, len, 0, 4096, &ids, &n, &e), "%s", e.msg);
    detok_init(&d, tok);
    for (size_t i = 0; i < n; i++) {
        ck_assert(detok_push(&d, ids[i], &out));
        ck_assert(utf8_valid(buf_str(&out), out.len));
        ck_assert_uint_lt(d.held_len, 4);
    }
    ck_assert(detok_flush(&d, &out));
    ck_assert_uint_eq(out.len, want.len);
    ck_assert_int_eq(memcmp(buf_str(&out), buf_str(&want), want.len), 0);
    free(ids);
    buf_release(&out);
    buf_release(&want);
}

START_TEST(random_streams)
{
    uint64_t seed = 2026;
    for (int i = 0; i < 2000; i++) {
        struct buf text;
        buf_init(&text, 4096);
        random_text(&seed, i % 2, &text);
        check_stream(buf_str(&text), text.len);
        buf_release(&text);
    }
}
END_TEST

/* ---- classes and limits ---------------------------------------------------------------------- */

START_TEST(control_tokens_emit_nothing)
{
    struct detok d;
    struct buf out;
    buf_init(&out, 64);
    detok_init(&d, tok);
    int32_t think = tokenizer_find(tok, "<think>", 7);
    ck_assert_int_eq(tokenizer_class(tok, think), TOKEN_USER_DEFINED);
    ck_assert_int_eq(tokenizer_class(tok, tokenizer_bos(tok)), TOKEN_CONTROL);
    ck_assert(detok_push(&d, tokenizer_bos(tok), &out));
    ck_assert(detok_push(&d, think, &out));
    ck_assert(detok_push(&d, byte_token(tok, '\xc3'), &out));
    ck_assert(detok_push(&d, tokenizer_eos(tok), &out));
    ck_assert(detok_push(&d, byte_token(tok, '\xa9'), &out));
    ck_assert_str_eq(buf_str(&out), "<think>\xc3\xa9");
    buf_release(&out);
}
END_TEST

START_TEST(ids_out_of_range_are_refused)
{
    struct detok d;
    struct buf out;
    buf_init(&out, 64);
    detok_init(&d, tok);
    ck_assert(!detok_push(&d, -1, &out));
    ck_assert(!detok_push(&d, (int32_t)tokenizer_vocab_size(tok), &out));
    ck_assert(!detok_push(&d, INT32_MAX, &out));
    ck_assert(!detok_push(&d, INT32_MIN, &out));
    ck_assert_uint_eq(out.len, 0);
    ck_assert(detok_push(&d, byte_token(tok, 'x'), &out));
    ck_assert_str_eq(buf_str(&out), "x");
    buf_release(&out);
}
END_TEST

START_TEST(a_full_buffer_is_reported)
{
    struct detok d;
    struct buf out;
    buf_init(&out, 2);
    detok_init(&d, tok);
    ck_assert(detok_push(&d, byte_token(tok, 'a'), &out));
    ck_assert(detok_push(&d, byte_token(tok, '\xc3'), &out));
    ck_assert(!detok_push(&d, byte_token(tok, '\xa9'), &out));
    ck_assert(!detok_push(&d, byte_token(tok, 'b'), &out));
    ck_assert_str_eq(buf_str(&out), "a");
    buf_release(&out);
}
END_TEST

START_TEST(flush_twice_emits_once)
{
    struct detok d;
    struct buf out;
    buf_init(&out, 64);
    detok_init(&d, tok);
    ck_assert(detok_push(&d, byte_token(tok, '\xe4'), &out));
    ck_assert(detok_flush(&d, &out));
    ck_assert(detok_flush(&d, &out));
    ck_assert_str_eq(buf_str(&out), FFFD);
    buf_release(&out);
}
END_TEST

/* ---- program --------------------------------------------------------------------------------- */

static TCase *tiny_case(const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, open_tiny, close_tok);
    tcase_set_timeout(tc, 60);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("detok");
    TCase *tc = tcase_create("every split");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_split_of_a_text);
    suite_add_tcase(s, tc);
    tc = tiny_case("invalid bytes");
    tcase_add_loop_test(tc, invalid_bytes_become_replacement_characters, 0,
                        (int)(sizeof invalid_cases / sizeof invalid_cases[0]));
    tcase_add_test(tc, invalid_bytes_come_out_at_once);
    suite_add_tcase(s, tc);
    tc = tiny_case("random streams");
    tcase_add_test(tc, random_streams);
    suite_add_tcase(s, tc);
    tc = tiny_case("classes and limits");
    tcase_add_test(tc, control_tokens_emit_nothing);
    tcase_add_test(tc, ids_out_of_range_are_refused);
    tcase_add_test(tc, a_full_buffer_is_reported);
    tcase_add_test(tc, flush_twice_emits_once);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
