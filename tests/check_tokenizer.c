/* Tokenizer: exact ids on golden cases, pieces of the pre-tokenizers, merging against a plain
 * reference, special tokens, hostile texts, bad files. */
#include <config.h>

#include <check.h>
#include <dlfcn.h>
#include <jansson.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "testfile.h"
#include "text/bpe.h"
#include "text/pretok.h"
#include "text/tokenizer.h"
#include "text_support.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum { MAX_IDS = 1 << 24, HUGE_TEXT = 1 << 20 };

/* ---- helpers --------------------------------------------------------------------------------- */

static struct tokenizer *open_path(const char *path)
{
    struct tokenizer *t;
    struct err e = ERR_INIT;
    ck_assert_msg(support_tokenizer_open(path, &t, &e), "%s: %s", path, e.msg);
    return t;
}

static struct tokenizer *open_source(const char *name)
{
    struct tokenizer *t;
    struct err e = ERR_INIT;
    ck_assert_msg(support_tokenizer_source(name, &t, &e), "%s: %s", name, e.msg);
    return t;
}

static struct tokenizer *open_spec(const struct vocab_spec *spec)
{
    struct tokenizer *t;
    struct err e = ERR_INIT;
    ck_assert_msg(support_tokenizer(spec, &t, &e), "%s", e.msg);
    return t;
}

static int32_t *encode(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
                       size_t *n)
{
    struct err e = ERR_INIT;
    int32_t *ids;
    ck_assert_msg(tokenizer_encode(t, text, len, flags, MAX_IDS, &ids, n, &e), "%s", e.msg);
    ck_assert_ptr_nonnull(ids);
    return ids;
}

/* The bytes of the tokens, in order, are the text. (One ck_assert for all: each is slow.) */
static void check_round_trip(const struct tokenizer *t, const char *text, size_t len,
                             const int32_t *ids, size_t n)
{
    size_t at = 0, i = 0;
    for (; i < n; i++) {
        size_t token_len;
        const char *bytes = tokenizer_bytes(t, ids[i], &token_len);
        if (!bytes || token_len > len - at || memcmp(bytes, text + at, token_len) != 0)
            break;
        at += token_len;
    }
    ck_assert_msg(i == n && at == len, "token %zu of %zu, byte %zu of %zu", i, n, at, len);
}

/* As a file would list them: "12 7 300". */
static char *ids_text(const int32_t *ids, size_t n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, i ? " %d" : "%d", ids[i]);
    return buf_take(&b);
}

static void expect_ids(const struct tokenizer *t, const char *text, size_t len, unsigned flags,
                       const char *want)
{
    size_t n;
    int32_t *ids = encode(t, text, len, flags, &n);
    char *got = ids_text(ids, n);
    ck_assert_msg(strcmp(got, want) == 0, "'%.*s' gives\n%s\ninstead of\n%s", (int)len, text, got,
                  want);
    free(got);
    free(ids);
}

/* ---- golden cases ---------------------------------------------------------------------------- */

static json_t *load_json(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    ck_assert_msg(root != NULL, "%s: %s", path, error.text);
    return root;
}

static char *json_ids_text(const json_t *list)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < json_array_size(list); i++)
        buf_printf(&b, i ? " %d" : "%d", (int)json_integer_value(json_array_get(list, i)));
    return buf_take(&b);
}

static void check_case(const struct tokenizer *t, const json_t *one)
{
    static const struct {
        const char *key;
        unsigned flags;
    } ways[] = {
        {"ids", 0}, {"ids_parse_special", TOKENIZE_SPECIAL}, {"ids_add_special", TOKENIZE_BOS}};
    const json_t *text = json_object_get(one, "text");
    const char *s = json_string_value(text);
    size_t len = json_string_length(text), n;
    for (size_t i = 0; i < COUNT(ways); i++) {
        const json_t *list = json_object_get(one, ways[i].key);
        ck_assert(json_is_array(list));
        char *want = json_ids_text(list);
        expect_ids(t, s, len, ways[i].flags, want);
        free(want);
    }
    int32_t *ids = encode(t, s, len, 0, &n);
    check_round_trip(t, s, len, ids, n);
    free(ids);
    ids = encode(t, s, len, TOKENIZE_SPECIAL, &n);
    check_round_trip(t, s, len, ids, n);
    free(ids);
}

static void check_cases(const struct tokenizer *t, const char *path)
{
    json_t *root = load_json(path);
    const json_t *cases = json_object_get(root, "cases");
    ck_assert_uint_eq(json_array_size(cases), 40);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(t, json_array_get(cases, i));
    json_decref(root);
}

static const struct {
    const char *vocab, *cases;
} tiny[] = {
    {"tests/golden/models/v3/v3.gguf", "tests/golden/tokenizers/cases-tiny-v3.json"},
    {"tests/golden/tokenizers/tiny-qwen2.gguf", "tests/golden/tokenizers/cases-tiny-qwen2.json"},
    {"tests/golden/tokenizers/tiny-llama3.gguf", "tests/golden/tokenizers/cases-tiny-llama3.json"},
};

START_TEST(tiny_cases)
{
    struct tokenizer *t = open_source(tiny[_i].vocab);
    char *cases = testfile_source(tiny[_i].cases);
    check_cases(t, cases);
    free(cases);
    tokenizer_destroy(&t);
}
END_TEST

static const char *const real[] = {"deepseek-llm", "deepseek-coder", "qwen2", "llama-bpe"};

/* "tokenizers/<before><name><after>" of the golden data that is not ours; NULL when absent. */
static char *real_path(const char *before, const char *name, const char *after)
{
    char relative[128];
    snprintf(relative, sizeof relative, "tokenizers/%s%s%s", before, name, after);
    return testfile_fixture(relative);
}

START_TEST(real_cases)
{
    char *vocab = real_path("ggml-vocab-", real[_i], ".gguf");
    char *cases = real_path("cases-", real[_i], ".json");
    if (vocab && cases) {
        struct tokenizer *t = open_path(vocab);
        check_cases(t, cases);
        tokenizer_destroy(&t);
    }
    free(vocab);
    free(cases);
}
END_TEST

static char *read_text(const char *path)
{
    size_t len;
    char *bytes = (char *)testfile_read(path, &len);
    ck_assert_msg(bytes != NULL, "%s", path);
    char *text = strndup(bytes, len);
    free(bytes);
    return text;
}

/* A file of texts, each followed by a separator line, and a file with one line of ids per text. */
static void check_inp_out(const struct tokenizer *t, const char *texts, const char *lines)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    size_t n_texts = 0;
    for (const char *end; (end = strstr(texts, separator)) != NULL; n_texts++) {
        const char *eol = strchr(lines, '\n');
        ck_assert_ptr_nonnull(eol);
        while (*lines == ' ')
            lines++;
        char *want = strndup(lines, (size_t)(eol - lines));
        for (size_t i = strlen(want); i > 0 && want[i - 1] == ' '; i--)
            want[i - 1] = '\0';
        expect_ids(t, texts, (size_t)(end - texts), 0, want);
        free(want);
        lines = eol + 1;
        texts = end + strlen(separator);
    }
    ck_assert_uint_eq(n_texts, 46);
    ck_assert_str_eq(lines, "");
}

START_TEST(real_inp_out)
{
    char *vocab = real_path("ggml-vocab-", real[_i], ".gguf");
    char *inp = real_path("ggml-vocab-", real[_i], ".gguf.inp");
    char *out = real_path("ggml-vocab-", real[_i], ".gguf.out");
    if (vocab && inp && out) {
        struct tokenizer *t = open_path(vocab);
        char *texts = read_text(inp), *lines = read_text(out);
        check_inp_out(t, texts, lines);
        free(texts);
        free(lines);
        tokenizer_destroy(&t);
    }
    free(vocab);
    free(inp);
    free(out);
}
END_TEST

/* ---- pre-tokenizers -------------------------------------------------------------------------- */

struct cutter {
    struct pretok *pretok;
    struct pretok_scan *scan;
};

static struct cutter open_cutter(const char *name)
{
    struct cutter c;
    struct err e = ERR_INIT;
    ck_assert_msg(pretok_create(name, strlen(name), &c.pretok, &e), "%s", e.msg);
    ck_assert_msg(pretok_scan_create(c.pretok, &c.scan, &e), "%s", e.msg);
    return c;
}

static void close_cutter(struct cutter *c)
{
    pretok_scan_destroy(&c->scan);
    pretok_destroy(&c->pretok);
}

/* The pieces with a bar after each. */
static char *cut(struct cutter *c, const char *text, size_t len)
{
    struct err e = ERR_INIT;
    struct buf b;
    buf_init(&b, 1 << 20);
    pretok_scan_start(c->scan, text, len);
    for (;;) {
        const char *piece;
        size_t n;
        ck_assert_msg(pretok_scan_next(c->scan, &piece, &n, &e), "%s", e.msg);
        if (n == 0)
            return buf_take(&b);
        buf_append(&b, piece, n);
        buf_putc(&b, '|');
    }
}

static void check_pieces(struct cutter *c, const json_t *one)
{
    const json_t *text = json_object_get(one, "text"), *pieces = json_object_get(one, "pieces");
    struct buf want;
    buf_init(&want, 1 << 20);
    for (size_t i = 0; i < json_array_size(pieces); i++) {
        const json_t *piece = json_array_get(pieces, i);
        buf_append(&want, json_string_value(piece), json_string_length(piece));
        buf_putc(&want, '|');
    }
    char *got = cut(c, json_string_value(text), json_string_length(text));
    ck_assert_str_eq(got, buf_str(&want));
    free(got);
    buf_release(&want);
}

static const char *const pieces_files[] = {
    "tests/golden/tokenizers/pieces-deepseek-v3.json",
    "tests/golden/tokenizers/pieces-qwen2.json",
    "tests/golden/tokenizers/pieces-llama-bpe.json",
};

START_TEST(golden_pieces)
{
    char *path = testfile_source(pieces_files[_i]);
    json_t *root = load_json(path);
    struct cutter c = open_cutter(json_string_value(json_object_get(root, "pre")));
    const json_t *cases = json_object_get(root, "cases");
    ck_assert_uint_eq(json_array_size(cases), 40);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_pieces(&c, json_array_get(cases, i));
    close_cutter(&c);
    json_decref(root);
    free(path);
}
END_TEST

/* Worked out by hand from the patterns. Blanks that are not in the White_Space property (U+180E,
 * U+200B) do not count as such; characters newer than PCRE2's tables do have their category. */
static const struct {
    const char *pre, *text, *pieces;
} cuts[] = {
    {"deepseek-llm", "Hi there, 42 \r\n", "Hi| there|,| |42| |\r|\n|"},
    {"deepseek-llm", "a  b  ", "a| | b|  |"},
    {"deepseek-llm", "\xe4\xb8\xad\xef\xbc\x8c x", "\xe4\xb8\xad|\xef\xbc\x8c| x|"},
    {"deepseek-llm", "\xf0\x9f\xa9\xb7  ", "\xf0\x9f\xa9\xb7|  |"},
    {"deepseek-llm", "\xf0\x9f\xa9\xb7  \xf0\x9f\xa9\xb7", "\xf0\x9f\xa9\xb7  \xf0\x9f\xa9\xb7|"},
    {"deepseek-coder", "if (x1) {\n", "if| (|x|1|)| {|\n|"},
    {"deepseek-coder", "a  + 12", "a|  + |1|2|"},
    {"deepseek-v3", "1234567 it's", "123|456|7| it|'s|"},
    {"deepseek-v3", "  two\n\n  x", " | two|\n\n| | x|"},
    {"deepseek-v3", " \xf0\x9f\xa9\xb7!", " \xf0\x9f\xa9\xb7!|"},
    {"deepseek-v3", "x\xf0\xb1\x8d\x90y", "x\xf0\xb1\x8d\x90y|"},
    {"deepseek-v3", "a\xe2\x80\x83 b", "a|\xe2\x80\x83| b|"},
    {"deepseek-v3", "a\xe1\xa0\x8e b", "a|\xe1\xa0\x8e| b|"},
    {"qwen2", "it'S 12", "it|'S| |1|2|"},
    {"deepseek-r1-qwen", "it'S 12", "it|'S| |1|2|"},
    {"llama-bpe", "it'S 1234", "it|'S| |123|4|"},
    {"llama-bpe", "a\xe1\xa0\x8e\xe1\xa0\x8e 1", "a|\xe1\xa0\x8e\xe1\xa0\x8e| |1|"},
    {"joyai-llm", "x", "x|"},
    {"deepseek-v3", "", ""},
};

START_TEST(cuts_by_hand)
{
    struct cutter c = open_cutter(cuts[_i].pre);
    char *got = cut(&c, cuts[_i].text, strlen(cuts[_i].text));
    ck_assert_str_eq(got, cuts[_i].pieces);
    free(got);
    close_cutter(&c);
}
END_TEST

START_TEST(unknown_pretokenizer)
{
    struct pretok *p;
    struct err e = ERR_INIT;
    ck_assert(!pretok_create("deepseek-v33", 12, &p, &e));
    ck_assert_ptr_null(p);
    ck_assert_int_eq(e.code, ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(e.msg, "deepseek-v33"));
    ck_assert_ptr_nonnull(strstr(e.msg, "deepseek-coder"));
    ck_assert(!pretok_create("", 0, &p, NULL));
}
END_TEST

/* ---- merging --------------------------------------------------------------------------------- */

enum { N_LETTERS = 3, N_RANDOM_MERGES = 40 };

/* Random merges over the letters a, b, c: each makes a new token from two earlier ones. */
static void random_bpe(struct bpe *b, uint64_t *seed)
{
    *b = (struct bpe){.merges = calloc(N_RANDOM_MERGES, sizeof *b->merges),
                      .n_merges = N_RANDOM_MERGES};
    for (int byte = 0; byte < 256; byte++)
        b->byte_id[byte] = byte >= 'a' && byte < 'a' + N_LETTERS ? byte - 'a' : -1;
    for (int32_t i = 0; i < N_RANDOM_MERGES; i++) {
        uint64_t known = N_LETTERS + (uint64_t)i;
        b->merges[i] = (struct bpe_merge){.left = (int32_t)(support_random(seed) % known),
                                          .right = (int32_t)(support_random(seed) % known),
                                          .result = (int32_t)known};
    }
    ck_assert(bpe_index(b, NULL));
}

/* The definition: again and again the leftmost of the pairs with the lowest rank. */
static size_t merge_plainly(const struct bpe *b, int32_t *ids, size_t n)
{
    for (uint32_t rank = 0; rank < b->n_merges;) {
        size_t i = 0;
        while (i + 1 < n && (ids[i] != b->merges[rank].left || ids[i + 1] != b->merges[rank].right))
            i++;
        if (i + 1 >= n) {
            rank++;
            continue;
        }
        ids[i] = b->merges[rank].result;
        memmove(ids + i + 1, ids + i + 2, (n - i - 2) * sizeof *ids);
        n--;
        rank = 0;
    }
    return n;
}

START_TEST(merging_equals_its_definition)
{
    uint64_t seed = 7;
    struct bpe_scratch scratch = {0};
    for (int round = 0; round < 50; round++) {
        struct bpe b;
        random_bpe(&b, &seed);
        for (int i = 0; i < 40; i++) {
            char text[100];
            int32_t want[100];
            size_t len = support_random(&seed) % 101, n;
            for (size_t k = 0; k < len; k++) {
                want[k] = (int32_t)(support_random(&seed) % N_LETTERS);
                text[k] = (char)('a' + want[k]);
            }
            struct id_list got;
            id_list_init(&got, 100);
            ck_assert(bpe_encode(&b, &scratch, text, len, &got, NULL));
            n = merge_plainly(&b, want, len);
            ck_assert_uint_eq(got.n, n);
            ck_assert_int_eq(n ? memcmp(got.ids, want, n * sizeof *want) : 0, 0);
            id_list_release(&got);
        }
        bpe_release(&b);
    }
    bpe_scratch_release(&scratch);
}
END_TEST

START_TEST(bytes_without_token)
{
    uint64_t seed = 1;
    struct bpe b;
    struct bpe_scratch scratch = {0};
    struct id_list got;
    struct err e = ERR_INIT;
    random_bpe(&b, &seed);
    id_list_init(&got, 100);
    ck_assert(!bpe_encode(&b, &scratch, "abz", 3, &got, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
    ck_assert_ptr_nonnull(strstr(e.msg, "0x7A"));
    id_list_release(&got);
    bpe_scratch_release(&scratch);
    bpe_release(&b);
}
END_TEST

/* ---- special tokens -------------------------------------------------------------------------- */

static const struct vocab_extra marks[] = {
    {"<a>", TOKEN_CONTROL},                 /* 256 */
    {"<a><b>", TOKEN_CONTROL},              /* 257 */
    {"<a>!", TOKEN_USER_DEFINED},           /* 258 */
    {"<think>", TOKEN_USER_DEFINED},        /* 259 */
    {"<unk>", TOKEN_UNKNOWN},               /* 260 */
    {"<|EOT|>", TOKEN_USER_DEFINED},        /* 261 */
    {"<|fim_prefix|>", TOKEN_USER_DEFINED}, /* 262 */
    {"[PAD]", TOKEN_UNUSED},                /* 263 */
    {"<0x41>", TOKEN_BYTE},                 /* 264 */
    {"", TOKEN_CONTROL},                    /* 265 */
    {"ab", TOKEN_NORMAL},                   /* 266 */
    {"\xc3\xb6", TOKEN_USER_DEFINED}, /* 267: the letter o with two dots, and the name of byte F6 */
};
static const char *const mark_merges[] = {"a b"};

static struct vocab_spec marks_spec(void)
{
    struct vocab_spec spec = VOCAB_SPEC_INIT;
    spec.extra = marks;
    spec.n_extra = COUNT(marks);
    spec.merges = mark_merges;
    spec.n_merges = COUNT(mark_merges);
    spec.bos = 256;
    spec.eos = 257;
    return spec;
}

static const struct {
    const char *text;
    unsigned flags;
    const char *ids;
} mark_cases[] = {
    {"<a>", TOKENIZE_SPECIAL, "256"},
    {"<a>", 0, "60 97 62"},
    {"<a><b>", TOKENIZE_SPECIAL, "257"},
    {"<a><b", TOKENIZE_SPECIAL, "256 60 98"},
    {"<a><a><b>", TOKENIZE_SPECIAL, "256 257"},
    {"<<a>", TOKENIZE_SPECIAL, "60 256"},
    {"<a>!", TOKENIZE_SPECIAL, "258"},
    {"<a>!", 0, "258"},
    {"ab<think>ab", 0, "266 259 266"},
    {"<think", 0, "60 116 104 105 110 107"},
    {"<unk>", TOKENIZE_SPECIAL, "260"},
    {"<unk>", 0, "60 117 110 107 62"},
    {"<|EOT|>", 0, "261"},
    {"<|fim_prefix|>", TOKENIZE_SPECIAL, "262"},
    {"<|fim_prefix|>", 0, "60 124 102 105 109 95 112 114 101 102 105 120 124 62"},
    {"[PAD]", TOKENIZE_SPECIAL, "91 80 65 68 93"},
    {"<0x41>", TOKENIZE_SPECIAL, "60 48 120 52 49 62"},
    {"ab<think>ab", TOKENIZE_LITERAL, "266 60 116 104 105 110 107 62 266"},
    {"<a>", TOKENIZE_LITERAL | TOKENIZE_SPECIAL, "60 97 62"},
    {"ab", TOKENIZE_BOS, "266"},
    {"a\xc3\xb6", 0, "97 267"},
    {"", TOKENIZE_SPECIAL | TOKENIZE_BOS, ""},
};

START_TEST(special_tokens_in_text)
{
    struct vocab_spec spec = marks_spec();
    struct tokenizer *t = open_spec(&spec);
    expect_ids(t, mark_cases[_i].text, strlen(mark_cases[_i].text), mark_cases[_i].flags,
               mark_cases[_i].ids);
    tokenizer_destroy(&t);
}
END_TEST

static int32_t find(const struct tokenizer *t, const char *text)
{
    return tokenizer_find(t, text, strlen(text));
}

START_TEST(looking_up)
{
    struct vocab_spec spec = marks_spec();
    struct tokenizer *t = open_spec(&spec);
    size_t len;
    ck_assert_uint_eq(tokenizer_vocab_size(t), 256 + COUNT(marks));
    ck_assert_int_eq(tokenizer_bos(t), 256);
    ck_assert_int_eq(tokenizer_eos(t), 257);
    ck_assert_int_eq(find(t, "<a>"), 256);
    ck_assert_int_eq(find(t, "<|fim_prefix|>"), 262);
    ck_assert_int_eq(find(t, "ab"), 266);
    ck_assert_int_eq(find(t, " "), ' ');
    ck_assert_int_eq(find(t, "\n"), '\n');
    ck_assert_int_eq(find(t, "A"), 'A');
    ck_assert_int_eq(find(t, "abc"), -1);
    ck_assert_int_eq(find(t, ""), -1);
    ck_assert_int_eq(tokenizer_class(t, 262), TOKEN_CONTROL);
    ck_assert_int_eq(tokenizer_class(t, 263), TOKEN_UNUSED);
    ck_assert_int_eq(tokenizer_class(t, 0), TOKEN_NORMAL);
    ck_assert_int_eq(tokenizer_class(t, -1), TOKEN_UNKNOWN);
    ck_assert_ptr_null(tokenizer_bytes(t, -1, &len));
    ck_assert_ptr_null(tokenizer_bytes(t, 256 + (int32_t)COUNT(marks), &len));
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(memcmp(tokenizer_bytes(t, 264, &len), "A", 1), 0);
    ck_assert_uint_eq(len, 1);
    ck_assert_ptr_nonnull(tokenizer_bytes(t, 265, &len));
    ck_assert_uint_eq(len, 0);
    ck_assert(tokenizer_is_end(t, 257));
    ck_assert(tokenizer_is_end(t, 261));
    ck_assert(!tokenizer_is_end(t, 256));
    ck_assert(!tokenizer_is_end(t, -1));
    tokenizer_destroy(&t);
    ck_assert_ptr_null(t);
    tokenizer_destroy(&t);
}
END_TEST

START_TEST(llama_takes_whole_pieces_and_adds_bos)
{
    /* "abc" has no merge path from "a b": only the whole piece gives it. */
    static const struct vocab_extra extra[] = {{"abc", TOKEN_NORMAL}, {"<s>", TOKEN_CONTROL}};
    struct vocab_spec spec = VOCAB_SPEC_INIT;
    spec.extra = extra;
    spec.n_extra = COUNT(extra);
    spec.bos = 257;
    spec.pre = "llama-bpe";
    struct tokenizer *t = open_spec(&spec);
    expect_ids(t, "abc", 3, TOKENIZE_BOS, "257 256");
    expect_ids(t, "abcd", 4, 0, "97 98 99 100");
    tokenizer_destroy(&t);
    spec.pre = "qwen2";
    t = open_spec(&spec);
    expect_ids(t, "abc", 3, TOKENIZE_BOS, "97 98 99");
    tokenizer_destroy(&t);
}
END_TEST

/* ---- hostile texts --------------------------------------------------------------------------- */

/* Texts of a mebibyte that defeat careless splitting or merging. Anything but linear (splitting) or
 * n log n (merging) work takes many minutes on some of them and runs into the time limit. */
static const struct {
    const char *unit, *last;
} huge[] = {
    {"a", ""},         {" ", ""},        {" ", "x"},
    {" ", "1"},        {"\n", ""},       {" \n", "x"},
    {"\t \n", "\x01"}, {"7", ""},        {"<", ""},
    {"'", "s"},        {"\x01", ""},     {"\xe5\x93\x88", ""},
    {"\xff", ""},      {"\xc3", "\xa9"}, {"\xe2\x80\x8d", ""},
    {"a\xff", ""},     {"<think>", ""},  {"\xcc\x81", ""},
    {"ab ", "\xe4"},   {"!\r\n", "a"},   {"\xe3\x80\x80", "."},
    {" ", "\xff"},     {"a ", ""},       {"<\xef\xbd\x9c", ""},
};

static void check_huge(const struct tokenizer *t, const char *unit, const char *last, size_t size)
{
    struct buf text;
    buf_init(&text, 2 * HUGE_TEXT);
    while (text.len + strlen(unit) <= size)
        buf_puts(&text, unit);
    buf_puts(&text, last);
    size_t n;
    int32_t *ids = encode(t, text.data, text.len, TOKENIZE_SPECIAL, &n);
    check_round_trip(t, text.data, text.len, ids, n);
    free(ids);
    buf_release(&text);
}

static const char *const pre_names[] = {"deepseek-llm", "deepseek-coder", "deepseek-v3", "qwen2",
                                        "llama-bpe"};

START_TEST(huge_texts)
{
    for (size_t i = 0; i < COUNT(pre_names); i++) {
        struct vocab_spec spec = VOCAB_SPEC_INIT;
        spec.pre = pre_names[i];
        struct tokenizer *t = open_spec(&spec);
        check_huge(t, huge[_i].unit, huge[_i].last, HUGE_TEXT);
        tokenizer_destroy(&t);
    }
}
END_TEST

/* Hardened hosts forbid generated code: then PCRE2 interprets the patterns. This definition stands
 * in front of the library's. */
static bool jit_forbidden;

int pcre2_jit_compile(pcre2_code *code, uint32_t options)
{
    int (*real_one)(pcre2_code *, uint32_t);
    *(void **)&real_one = dlsym(RTLD_NEXT, "pcre2_jit_compile_8");
    return jit_forbidden || !real_one ? PCRE2_ERROR_JIT_BADOPTION : real_one(code, options);
}

START_TEST(huge_texts_interpreted)
{
    jit_forbidden = true;
    struct vocab_spec spec = VOCAB_SPEC_INIT;
    for (size_t i = 0; i < COUNT(pre_names); i++) {
        spec.pre = pre_names[i];
        struct tokenizer *t = open_spec(&spec);
        check_huge(t, huge[_i].unit, huge[_i].last, HUGE_TEXT / 4);
        tokenizer_destroy(&t);
    }
    jit_forbidden = false;
}
END_TEST

START_TEST(one_huge_word_merges_completely)
{
    /* a+a, aa+aa, ...: a mebibyte of one letter becomes a single token. */
    char *texts[21];
    char *merges[20];
    struct vocab_extra extra[20];
    for (size_t i = 0; i <= 20; i++) {
        texts[i] = calloc(((size_t)1 << i) + 1, 1);
        memset(texts[i], 'a', (size_t)1 << i);
    }
    for (size_t i = 0; i < 20; i++) {
        extra[i] = (struct vocab_extra){texts[i + 1], TOKEN_NORMAL};
        ck_assert_int_ge(asprintf(&merges[i], "%s %s", texts[i], texts[i]), 0);
    }
    struct vocab_spec spec = VOCAB_SPEC_INIT;
    spec.extra = extra;
    spec.n_extra = 20;
    spec.merges = (const char *const *)merges;
    spec.n_merges = 20;
    struct tokenizer *t = open_spec(&spec);
    expect_ids(t, texts[20], HUGE_TEXT, 0, "275");
    expect_ids(t, texts[20], HUGE_TEXT - 1, 0,
               "274 273 272 271 270 269 268 267 266 265 264 263 262 261 260 259 258 257 256 97");
    tokenizer_destroy(&t);
    for (size_t i = 0; i <= 20; i++)
        free(texts[i]);
    for (size_t i = 0; i < 20; i++)
        free(merges[i]);
}
END_TEST

static const char *const fragments[] = {
    "a",
    "the ",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "1",
    "12345",
    "'s",
    "'LL",
    "<",
    "<think>",
    "</think>",
    "<\xef\xbd\x9c",
    "\xef\xbd\x9c>",
    "User",
    "\xe4\xb8\xad",
    "\xe3\x81\x82",
    "\xf0\x9f\x98\x80",
    "\xcc\x81",
    "\xe2\x80\x8d",
    "\xc2\xa0",
    "\xe3\x80\x80",
    "\xff",
    "\xc3",
    "\xe4\xb8",
    "\xf0\x9f",
    "\x80",
    "\x01",
    "#!",
    "==",
    "\xc3\xb6",
    "\xe2\x85\xa7",
};

START_TEST(random_texts_round_trip)
{
    struct tokenizer *t = open_source(tiny[_i].vocab);
    uint64_t seed = 99 + (uint64_t)_i;
    for (int i = 0; i < 3400; i++) {
        struct buf text;
        buf_init(&text, 4096);
        size_t n_fragments = support_random(&seed) % 30, n;
        for (size_t k = 0; k < n_fragments; k++)
            buf_puts(&text, fragments[support_random(&seed) % COUNT(fragments)]);
        if (i % 4 == 0)
            for (size_t k = 0; k < text.len; k += 3)
                text.data[k] = (char)support_random(&seed);
        int32_t *ids = encode(t, buf_str(&text), text.len, i % 2 ? TOKENIZE_SPECIAL : 0, &n);
        check_round_trip(t, buf_str(&text), text.len, ids, n);
        free(ids);
        buf_release(&text);
    }
    tokenizer_destroy(&t);
}
END_TEST

START_TEST(invalid_utf8_is_encoded_byte_for_byte)
{
    struct vocab_spec spec = marks_spec();
    struct tokenizer *t = open_spec(&spec);
    expect_ids(t,
               "ab\xff\xc3"
               "ab\xe4\xb8",
               8, 0, "266 255 195 266 228 184");
    expect_ids(t, "\xf6\x00\xc0", 3, 0, "246 0 192");
    expect_ids(t, "\xed\xa0\x80", 3, 0, "237 160 128");
    tokenizer_destroy(&t);
}
END_TEST

/* A vocabulary may name a byte that UTF-8 never uses only by a special token. */
START_TEST(bytes_named_by_special_tokens)
{
    struct vocab_spec spec = marks_spec();
    spec.drop_byte = 0xf6;
    struct tokenizer *t = open_spec(&spec);
    expect_ids(t, "\xf6", 1, 0, "267");
    tokenizer_destroy(&t);
    spec.drop_byte = 0xc0;
    t = open_spec(&spec);
    int32_t *ids;
    size_t n;
    struct err e = ERR_INIT;
    ck_assert(!tokenizer_encode(t, "a\xc0", 2, 0, MAX_IDS, &ids, &n, &e));
    ck_assert_int_eq(e.code, ERR_ARG);
    ck_assert_ptr_null(ids);
    tokenizer_destroy(&t);
}
END_TEST

/* ---- limits ---------------------------------------------------------------------------------- */

START_TEST(max_ids_is_kept)
{
    struct tokenizer *t = open_source(tiny[0].vocab);
    const char *text = "1<think>22 hello there, \xe4\xb8\xad\xff.";
    size_t len = strlen(text), n, all;
    int32_t *ids = encode(t, text, len, TOKENIZE_BOS, &all);
    free(ids);
    for (size_t max = 0; max <= all + 1; max++) {
        struct err e = ERR_INIT;
        bool ok = tokenizer_encode(t, text, len, TOKENIZE_BOS, max, &ids, &n, &e);
        ck_assert(ok == (max >= all));
        ck_assert_int_eq(e.code, ok ? ERR_NONE : ERR_LIMIT);
        ck_assert((ids != NULL) == ok);
        ck_assert_uint_eq(n, ok ? all : 0);
        free(ids);
    }
    tokenizer_destroy(&t);
}
END_TEST

START_TEST(empty_and_hopeless_texts)
{
    struct tokenizer *t = open_source(tiny[0].vocab);
    struct err e = ERR_INIT;
    int32_t *ids;
    size_t n;
    ck_assert(tokenizer_encode(t, NULL, 0, 0, 0, &ids, &n, &e));
    ck_assert_ptr_nonnull(ids);
    ck_assert_uint_eq(n, 0);
    free(ids);
    ck_assert(tokenizer_encode(t, "", 0, TOKENIZE_BOS, 1, &ids, &n, &e));
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(ids[0], tokenizer_bos(t));
    free(ids);
    /* Refused by their lengths: these texts are never read. */
    ck_assert(!tokenizer_encode(t, "", (size_t)1 << 30, 0, 1000, &ids, &n, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    ck_assert(!tokenizer_encode(t, "", SIZE_MAX, 0, SIZE_MAX, &ids, &n, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    tokenizer_destroy(&t);
}
END_TEST

/* ---- bad files ------------------------------------------------------------------------------- */

static const struct vocab_extra bad_class[] = {{"x1", 7}};
static const struct vocab_extra zero_class[] = {{"x1", 0}};
static const struct vocab_extra one_token[] = {{"ab", TOKEN_NORMAL}};
static const char *const unknown_result[] = {"a b", "a c"};
static const char *const unknown_left[] = {"aa b"};
static const char *const no_space[] = {"ab"};
static const char *const two_spaces[] = {"a b c"};
static const char *const no_right[] = {"a "};
static const char *const no_left[] = {" b"};
static const char *const empty_merge[] = {""};

#define BAD(...)                                                                                   \
    {                                                                                              \
        .bos = -1, .eos = -1, .drop_byte = -1, __VA_ARGS__                                         \
    }
#define MERGES(list) .extra = one_token, .n_extra = 1, .merges = list, .n_merges = COUNT(list)

static const struct {
    struct vocab_spec spec;
    enum err_code code;
    const char *names; /* part of the message */
} bad_files[] = {
    {BAD(.model = "llama"), ERR_UNSUPPORTED, "\"llama\""},
    {BAD(.model = ""), ERR_FORMAT, "tokenizer.ggml.model"},
    {BAD(.pre = "gpt-9"), ERR_UNSUPPORTED, "deepseek-llm"},
    {BAD(.pre = ""), ERR_FORMAT, "tokenizer.ggml.pre"},
    {BAD(.no_tokens_key = true), ERR_FORMAT, "tokenizer.ggml.tokens"},
    {BAD(.types_missing = -1), ERR_FORMAT, "tokenizer.ggml.token_type"},
    {BAD(.types_missing = 1), ERR_FORMAT, "255 entries for 256 tokens"},
    {BAD(.extra = bad_class, .n_extra = 1), ERR_FORMAT, "token 256 is 7"},
    {BAD(.extra = zero_class, .n_extra = 1), ERR_FORMAT, "token 256 is 0"},
    {BAD(.no_merges_key = true), ERR_FORMAT, "tokenizer.ggml.merges"},
    {BAD(MERGES(unknown_result)), ERR_FORMAT, "merges[1]"},
    {BAD(MERGES(unknown_left)), ERR_FORMAT, "merges[0]"},
    {BAD(MERGES(no_space)), ERR_FORMAT, "merges[0]"},
    {BAD(MERGES(two_spaces)), ERR_FORMAT, "merges[0]"},
    {BAD(MERGES(no_right)), ERR_FORMAT, "merges[0]"},
    {BAD(MERGES(no_left)), ERR_FORMAT, "merges[0]"},
    {BAD(MERGES(empty_merge)), ERR_FORMAT, "merges[0]"},
    {{.bos = -1, .eos = -1, .drop_byte = 'A'}, ERR_FORMAT, "0x41"},
    {{.bos = -1, .eos = -1, .drop_byte = 0xf4}, ERR_FORMAT, "0xF4"},
    {{.bos = 256, .eos = -1, .drop_byte = -1}, ERR_FORMAT, "bos_token_id is 256"},
    {{.bos = -1, .eos = UINT32_MAX, .drop_byte = -1}, ERR_FORMAT, "eos_token_id"},
};

START_TEST(bad_files_are_refused)
{
    struct tokenizer *t;
    struct err e = ERR_INIT;
    ck_assert(!support_tokenizer(&bad_files[_i].spec, &t, &e));
    ck_assert_ptr_null(t);
    ck_assert_msg(e.code == bad_files[_i].code && strstr(e.msg, bad_files[_i].names),
                  "%s error: %s (instead of %s)", err_code_name(e.code), e.msg,
                  bad_files[_i].names);
    ck_assert(!support_tokenizer(&bad_files[_i].spec, &t, NULL));
}
END_TEST

START_TEST(good_file_is_accepted)
{
    struct vocab_spec spec = VOCAB_SPEC_INIT;
    struct tokenizer *t = open_spec(&spec);
    ck_assert_int_eq(tokenizer_bos(t), -1);
    ck_assert_int_eq(tokenizer_eos(t), -1);
    expect_ids(t, "hi", 2, TOKENIZE_BOS, "104 105");
    tokenizer_destroy(&t);
}
END_TEST

/* ---- program --------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    return tc;
}

static Suite *tokenizer_suite(void)
{
    Suite *s = suite_create("tokenizer");
    TCase *tc = add_case(s, "golden");
    tcase_add_loop_test(tc, tiny_cases, 0, COUNT(tiny));
    tcase_add_loop_test(tc, real_cases, 0, COUNT(real));
    tcase_add_loop_test(tc, real_inp_out, 0, COUNT(real));
    tc = add_case(s, "pieces");
    tcase_add_loop_test(tc, golden_pieces, 0, COUNT(pieces_files));
    tcase_add_loop_test(tc, cuts_by_hand, 0, COUNT(cuts));
    tcase_add_test(tc, unknown_pretokenizer);
    tc = add_case(s, "merging");
    tcase_add_test(tc, merging_equals_its_definition);
    tcase_add_test(tc, bytes_without_token);
    tc = add_case(s, "special tokens");
    tcase_add_loop_test(tc, special_tokens_in_text, 0, COUNT(mark_cases));
    tcase_add_test(tc, looking_up);
    tcase_add_test(tc, llama_takes_whole_pieces_and_adds_bos);
    tc = add_case(s, "hostile texts");
    tcase_add_loop_test(tc, huge_texts, 0, COUNT(huge));
    tcase_add_loop_test(tc, huge_texts_interpreted, 0, COUNT(huge));
    tcase_add_test(tc, one_huge_word_merges_completely);
    tcase_add_loop_test(tc, random_texts_round_trip, 0, COUNT(tiny));
    tcase_add_test(tc, invalid_utf8_is_encoded_byte_for_byte);
    tcase_add_test(tc, bytes_named_by_special_tokens);
    tc = add_case(s, "limits");
    tcase_add_test(tc, max_ids_is_kept);
    tcase_add_test(tc, empty_and_hopeless_texts);
    tc = add_case(s, "bad files");
    tcase_add_loop_test(tc, bad_files_are_refused, 0, COUNT(bad_files));
    tcase_add_test(tc, good_file_is_accepted);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(tokenizer_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
