/* Owns: the patterns of the known pre-tokenizers and cutting a text with them.
 * Refuses to know: tokens, vocabularies, files.
 *
 * Patterns run in PCRE2 with UTF and Unicode properties, compiled to machine code where the host
 * allows that. A scan keeps one cursor per pattern and goes down one level for each fragment, so a
 * text needs no memory beyond the cursors. A fragment is matched as a subject of its own: patterns
 * see neither before its start nor beyond its end.
 *
 * Every pattern does linear work on every text, hostile ones included: no match is retried over a
 * run of characters from each position of that run. match_limit turns a mistake in that into an
 * error instead of a hang.
 */
#include <config.h>

#include "text/pretok.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "text/classes.h"

enum { MAX_PATTERNS = 6, HEAP_LIMIT_KIB = 64 * 1024 };

struct kind {
    const char *name;
    struct pretok_traits traits;
    const char *patterns[MAX_PATTERNS + 1]; /* NULL-terminated */
};

#define BLANKS "[" WHITE "]*[\\r\\n]+|[" WHITE "]+(?![^" WHITE "])|[" WHITE "]+"
#define HAN_TO_HANGUL "[\\x{4e00}-\\x{9fa5}\\x{0800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"

/* deepseek-llm: the trailing blanks are `\s+$`; the look-behind keeps the search from trying every
 * position of a run of blanks that does not reach the end. */
#define LLM_PUNCT                                                                                  \
    "[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]"
#define PATTERNS_LLM                                                                               \
    "[\\r\\n]", "[" WHITE "]?[" CASED "]+", "[" WHITE "]?" LLM_PUNCT "+",                          \
        "(?<![" WHITE "])[" WHITE "]++$", HAN_TO_HANGUL, "[" NUMBER "]+"

#define PATTERNS_CODER                                                                             \
    "[\\r\\n]", "[" WHITE "]?[" LETTER "]+", "[" WHITE "]?[" PUNCT "]+", HAN_TO_HANGUL,            \
        "[" NUMBER "]"

#define PATTERNS_V3                                                                                \
    "[" NUMBER "]{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",           \
        "[!-/:-@\\[-`{-~][A-Za-z]+"                                                                \
        "|[^\\r\\n" LETTER PUNCT SYMBOL "]?[" LETTER MARK "]+"                                     \
        "| ?[" PUNCT SYMBOL "]+[\\r\\n]*"                                                          \
        "|" BLANKS

#define CONTRACTION_OR_WORD "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n" LETTER NUMBER "]?[" LETTER "]+"
#define PATTERNS_GPT4(digits)                                                                      \
    CONTRACTION_OR_WORD "|[" NUMBER "]" digits "| ?[^" WHITE LETTER NUMBER "]+[\\r\\n]*|" BLANKS

static const struct kind kinds[] = {
    {"deepseek-llm", {false, false}, {PATTERNS_LLM}},
    {"deepseek-coder", {false, false}, {PATTERNS_CODER}},
    {"deepseek-v3", {false, false}, {PATTERNS_V3}},
    {"joyai-llm", {false, false}, {PATTERNS_V3}},
    {"qwen2", {false, false}, {PATTERNS_GPT4("")}},
    {"deepseek-r1-qwen", {false, false}, {PATTERNS_GPT4("")}},
    {"llama-bpe", {true, true}, {PATTERNS_GPT4("{1,3}")}},
};

struct pretok {
    const struct kind *kind;
    size_t n_patterns;
    pcre2_code *codes[MAX_PATTERNS]; /* owned */
};

/* One pattern on one fragment [pos, end) of the text. Facts: begin <= pos <= end; when match_end >
 * pos, [match_begin, match_end) is the next match at or after pos, or both are `end` for none. */
struct cursor {
    size_t begin, pos, end;
    size_t match_begin, match_end;
};

struct pretok_scan {
    const struct pretok *pretok; /* borrowed */
    const char *text;            /* borrowed until the next start */
    size_t level;                /* deepest active cursor */
    struct cursor cursors[MAX_PATTERNS];
    pcre2_match_data *match;     /* owned */
    pcre2_match_context *limits; /* owned */
};

/* ---- compiled patterns ----------------------------------------------------------------------- */

static bool fail_unknown(const char *name, size_t len, struct err *e)
{
    struct buf known;
    char begin[41], quoted[64];
    snprintf(begin, sizeof begin, "%.*s", (int)(len < 40 ? len : 40), name);
    buf_init(&known, 256);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        buf_printf(&known, "%s%s", i ? ", " : "", kinds[i].name);
    err_set(e, ERR_UNSUPPORTED, 0, __FILE__, __LINE__, "pre-tokenizer %s is not known (known: %s)",
            log_quote(quoted, sizeof quoted, begin), buf_str(&known));
    buf_release(&known);
    return false;
}

static const struct kind *find_kind(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, name, len) == 0)
            return &kinds[i];
    return NULL;
}

static bool compile(const char *pattern, pcre2_code **out, struct err *e)
{
    int code;
    PCRE2_SIZE at;
    *out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
    if (!*out) {
        char why[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        FAIL(e, ERR_INTERNAL, "pre-tokenizer pattern, byte %zu: %s", (size_t)at, why);
    }
    /* Fails where the host forbids generated code (hardened services): the interpreter serves. */
    (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);
    return true;
}

bool pretok_create(const char *name, size_t len, struct pretok **out, struct err *e)
{
    *out = NULL;
    const struct kind *kind = find_kind(name, len);
    if (!kind)
        return fail_unknown(name, len, e);
    struct pretok *p = mem_zalloc(sizeof *p);
    p->kind = kind;
    for (; kind->patterns[p->n_patterns]; p->n_patterns++)
        TRY(compile(kind->patterns[p->n_patterns], &p->codes[p->n_patterns], e));
    *out = p;
    return true;
fail:
    pretok_destroy(&p);
    return false;
}

void pretok_destroy(struct pretok **pp)
{
    struct pretok *p = *pp;
    if (!p)
        return;
    for (size_t i = 0; i < p->n_patterns; i++)
        pcre2_code_free(p->codes[i]);
    free(p);
    *pp = NULL;
}

struct pretok_traits pretok_traits(const struct pretok *p)
{
    return p->kind->traits;
}

/* ---- cutting --------------------------------------------------------------------------------- */

bool pretok_scan_create(const struct pretok *p, struct pretok_scan **out, struct err *e)
{
    *out = NULL;
    struct pretok_scan *s = mem_zalloc(sizeof *s);
    s->pretok = p;
    s->match = pcre2_match_data_create(1, NULL);
    s->limits = pcre2_match_context_create(NULL);
    if (!s->match || !s->limits) {
        pretok_scan_destroy(&s);
        FAIL(e, ERR_NOMEM, "no memory for the pre-tokenizer");
    }
    pcre2_set_heap_limit(s->limits, HEAP_LIMIT_KIB);
    pretok_scan_start(s, "", 0);
    *out = s;
    return true;
}

void pretok_scan_destroy(struct pretok_scan **sp)
{
    struct pretok_scan *s = *sp;
    if (!s)
        return;
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->limits);
    free(s);
    *sp = NULL;
}

static void enter(struct pretok_scan *s, size_t level, size_t begin, size_t end)
{
    s->level = level;
    s->cursors[level] = (struct cursor){
        .begin = begin, .pos = begin, .end = end, .match_begin = begin, .match_end = begin};
}

void pretok_scan_start(struct pretok_scan *s, const char *text, size_t len)
{
    s->text = text;
    enter(s, 0, 0, len);
    uint64_t limit = 100000 + 8 * (uint64_t)len;
    pcre2_set_match_limit(s->limits, limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX);
}

/* Finds the next match of the cursor's pattern at or after its position. */
static bool find_match(struct pretok_scan *s, struct err *e)
{
    struct cursor *c = &s->cursors[s->level];
    const pcre2_code *code = s->pretok->codes[s->level];
    PCRE2_SPTR subject = (PCRE2_SPTR)s->text + c->begin;
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int rc = pcre2_match(code, subject, c->end - c->begin, c->pos - c->begin, options, s->match,
                         s->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, subject, c->end - c->begin, c->pos - c->begin,
                         options | PCRE2_NO_JIT, s->match, s->limits);
    if (rc == PCRE2_ERROR_NOMATCH) {
        c->match_begin = c->match_end = c->end;
        return true;
    }
    if (rc < 0)
        FAIL(e, ERR_LIMIT, "the pre-tokenizer gave up on a text of %zu bytes (PCRE2 error %d)",
             c->end - c->begin, rc);
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->match);
    c->match_begin = c->begin + at[0];
    c->match_end = c->begin + at[1];
    return true;
}

bool pretok_scan_next(struct pretok_scan *s, const char **piece, size_t *len, struct err *e)
{
    for (;;) {
        struct cursor *c = &s->cursors[s->level];
        if (c->pos == c->end) {
            if (s->level == 0)
                break;
            s->level--;
            continue;
        }
        if (c->match_end <= c->pos && !find_match(s, e))
            return false;
        size_t begin = c->pos;
        c->pos = begin < c->match_begin ? c->match_begin : c->match_end;
        if (s->level + 1 == s->pretok->n_patterns) {
            *piece = s->text + begin;
            *len = c->pos - begin;
            return true;
        }
        enter(s, s->level + 1, begin, c->pos);
    }
    *piece = s->text;
    *len = 0;
    return true;
}
