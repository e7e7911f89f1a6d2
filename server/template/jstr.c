/* Owns: views of marked UTF-8 text and the builder that keeps byte marks; classes and case of
 * characters as utf8proc has them. Refuses to know other value types.
 */
#include <config.h>

#include "template/jstr.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "template/jrun.h"

const unsigned char jstr_data_mark[1] = {1};

/* ---- views ---- */

struct jstr jstr_text(const char *s)
{
    return (struct jstr){.p = s, .n = strlen(s)};
}

static const unsigned char *mark_from(const unsigned char *mark, size_t at)
{
    return mark && mark != JSTR_DATA ? mark + at : mark;
}

struct jstr jstr_sub(struct jstr s, size_t begin, size_t n)
{
    if (n == 0)
        return JSTR_EMPTY;
    return (struct jstr){.p = s.p + begin, .n = n, .mark = mark_from(s.mark, begin)};
}

const unsigned char *jstr_mark_at(struct jstr s, size_t i)
{
    if (!s.mark || s.mark == JSTR_DATA)
        return s.mark;
    return s.mark[i] ? JSTR_DATA : NULL;
}

bool jstr_any_data(struct jstr s)
{
    if (s.n == 0 || !s.mark)
        return false;
    return s.mark == JSTR_DATA || memchr(s.mark, 1, s.n) != NULL;
}

bool jstr_is(struct jstr s, const char *text)
{
    return s.n == strlen(text) && (s.n == 0 || memcmp(s.p, text, s.n) == 0);
}

bool jstr_equal(struct jstr a, struct jstr b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

int jstr_compare(struct jstr a, struct jstr b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0; /* the order of UTF-8 bytes is that of code points */
    if (c)
        return c < 0 ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

size_t jstr_find(struct jstr s, struct jstr needle, size_t from)
{
    if (from > s.n || needle.n > s.n - from)
        return SIZE_MAX;
    if (needle.n == 0)
        return from;
    const char *hit = memmem(s.p + from, s.n - from, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : SIZE_MAX;
}

size_t jstr_rfind(struct jrun *r, struct jstr s, struct jstr needle, size_t end)
{
    if (needle.n > end)
        return SIZE_MAX;
    if (needle.n == 0)
        return end;
    for (size_t at = end - needle.n + 1; at-- > 0;) {
        const char *hit = memrchr(s.p, needle.p[0], at + 1);
        if (!hit)
            return SIZE_MAX;
        at = (size_t)(hit - s.p);
        if (!jrun_work(r, needle.n))
            return SIZE_MAX;
        if (memcmp(hit, needle.p, needle.n) == 0)
            return at;
    }
    return SIZE_MAX;
}

bool jstr_starts(struct jstr s, struct jstr prefix)
{
    return prefix.n <= s.n && jstr_equal(jstr_sub(s, 0, prefix.n), prefix);
}

bool jstr_ends(struct jstr s, struct jstr suffix)
{
    return suffix.n <= s.n && jstr_equal(jstr_sub(s, s.n - suffix.n, suffix.n), suffix);
}

/* ---- code points ---- */

static bool continues(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

size_t jstr_count(struct jstr s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++)
        count += !continues(s.p[i]);
    return count;
}

size_t jstr_offset(struct jstr s, size_t k)
{
    size_t at = 0;
    while (at < s.n && k > 0) {
        at++;
        while (at < s.n && continues(s.p[at]))
            at++;
        k--;
    }
    return at;
}

uint32_t jstr_next(struct jstr s, size_t *at)
{
    unsigned char c = (unsigned char)s.p[*at];
    uint32_t cp = c;
    size_t n = c < 0x80 ? 1 : utf8_decode(s.p + *at, s.n - *at, &cp);
    *at += n ? n : 1;
    return cp;
}

size_t jstr_prev(struct jstr s, size_t at)
{
    do
        at--;
    while (at > 0 && continues(s.p[at]));
    return at;
}

struct jstr jstr_trim(struct jstr s, bool left, bool right)
{
    size_t begin = 0, end = s.n;
    while (left && begin < end) {
        size_t next = begin;
        if (!jchar_space(jstr_next(s, &next)))
            break;
        begin = next;
    }
    while (right && end > begin) {
        size_t at = jstr_prev(s, end), next = at;
        if (!jchar_space(jstr_next(s, &next)))
            break;
        end = at;
    }
    return jstr_sub(s, begin, end - begin);
}

static bool ends_line(uint32_t cp)
{
    return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

size_t jstr_line(struct jstr s, size_t at, size_t *len)
{
    for (size_t begin = at; at < s.n;) {
        size_t next = at;
        uint32_t cp = jstr_next(s, &next);
        if (ends_line(cp)) {
            *len = at - begin;
            return cp == '\r' && next < s.n && s.p[next] == '\n' ? next + 1 : next;
        }
        at = next;
        *len = at - begin;
    }
    return at;
}

/* ---- characters ---- */

static utf8proc_category_t category(uint32_t cp)
{
    return utf8proc_category((utf8proc_int32_t)cp);
}

bool jchar_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1F);
    return cp == 0x85 || category(cp) == UTF8PROC_CATEGORY_ZS || cp == 0x2028 || cp == 0x2029;
}

bool jchar_alpha(uint32_t cp)
{
    if (cp < 0x80)
        return (cp | 0x20) >= 'a' && (cp | 0x20) <= 'z';
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool jchar_decimal(uint32_t cp)
{
    return cp < 0x80 ? cp >= '0' && cp <= '9' : category(cp) == UTF8PROC_CATEGORY_ND;
}

bool jchar_numeric(uint32_t cp)
{
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

bool jchar_word(uint32_t cp)
{
    return cp == '_' || jchar_alpha(cp) || jchar_numeric(cp);
}

bool jchar_printable(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 0x20 && cp < 0x7F;
    utf8proc_category_t c = category(cp);
    return c != UTF8PROC_CATEGORY_CN && !(c >= UTF8PROC_CATEGORY_ZS && c <= UTF8PROC_CATEGORY_CO);
}

bool jchar_is_upper(uint32_t cp)
{
    return category(cp) == UTF8PROC_CATEGORY_LU;
}

bool jchar_is_lower(uint32_t cp)
{
    return category(cp) == UTF8PROC_CATEGORY_LL;
}

uint32_t jchar_upper(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'a' && cp <= 'z' ? cp - 32 : cp;
    return (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp);
}

uint32_t jchar_lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
}

/* ---- builder ---- */

void jsb_init(struct jsb *b, struct jrun *r)
{
    *b = (struct jsb){.r = r};
}

static bool reserve(struct jsb *b, size_t extra)
{
    size_t max = b->r->limits->max_output_bytes;
    if (b->r->failed)
        return false;
    if (extra > max || b->n > max - extra) {
        JFAIL(b->r, ERR_LIMIT, "a text grows beyond %zu bytes", max);
        return false;
    }
    size_t need = b->n + extra;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap + b->cap / 2 : 64;
    if (cap < need)
        cap = need;
    char *p = jrun_resize(b->r, b->p, b->cap, cap);
    if (!p)
        return false;
    b->p = p;
    if (b->kind == JSB_MIXED) {
        unsigned char *mark = jrun_resize(b->r, b->mark, b->cap, cap);
        if (!mark)
            return false;
        b->mark = mark;
    }
    b->cap = cap;
    return true;
}

static bool make_mixed(struct jsb *b)
{
    b->mark = jrun_alloc(b->r, b->cap, 1);
    if (!b->mark)
        return false;
    memset(b->mark, b->kind == JSB_ALL_DATA, b->n);
    b->kind = JSB_MIXED;
    return true;
}

static void set_marks(unsigned char *to, size_t n, const unsigned char *mark)
{
    if (mark && mark != JSTR_DATA)
        memcpy(to, mark, n);
    else
        memset(to, mark != NULL, n);
}

bool jsb_add(struct jsb *b, const char *p, size_t n, const unsigned char *mark)
{
    if (n == 0)
        return !b->r->failed;
    if (!reserve(b, n))
        return false;
    bool uniform = !mark || mark == JSTR_DATA;
    if (b->n == 0 && uniform && b->kind != JSB_MIXED)
        b->kind = mark ? JSB_ALL_DATA : JSB_LITERAL;
    bool same = uniform && b->kind == (mark ? JSB_ALL_DATA : JSB_LITERAL);
    if (!same && b->kind != JSB_MIXED && !make_mixed(b))
        return false;
    memcpy(b->p + b->n, p, n);
    if (b->kind == JSB_MIXED)
        set_marks(b->mark + b->n, n, mark);
    b->n += n;
    return jrun_work(b->r, n);
}

bool jsb_str(struct jsb *b, struct jstr s)
{
    return jsb_add(b, s.p, s.n, s.mark);
}

bool jsb_text(struct jsb *b, const char *literal)
{
    return jsb_add(b, literal, strlen(literal), NULL);
}

bool jsb_char(struct jsb *b, uint32_t cp, const unsigned char *mark)
{
    char out[4];
    return jsb_add(b, out, utf8_encode(cp, out), mark);
}

bool jsb_repeat(struct jsb *b, struct jstr s, size_t times)
{
    uint64_t n;
    if (__builtin_mul_overflow((uint64_t)s.n, (uint64_t)times, &n) || !reserve(b, n))
        return s.n == 0 || (JFAIL(b->r, ERR_LIMIT, "a text grows beyond %zu bytes",
                                  b->r->limits->max_output_bytes),
                            false);
    for (size_t i = 0; s.n && i < times; i++) {
        if (!jsb_str(b, s))
            return false;
    }
    return true;
}

struct jstr jsb_take(struct jsb *b)
{
    struct jstr s = JSTR_EMPTY;
    if (b->n && !b->r->failed)
        s = (struct jstr){.p = b->p,
                          .n = b->n,
                          .mark = b->kind == JSB_MIXED      ? b->mark
                                  : b->kind == JSB_ALL_DATA ? JSTR_DATA
                                                            : NULL};
    jsb_init(b, b->r);
    return s;
}

/* ---- concatenation ---- */

/* Appends b to the newest concatenation, which is a. False when it has no room or no marks. */
static bool cat_in_place(struct jrun *r, struct jstr b)
{
    if (r->cat.cap - r->cat.n < b.n)
        return false;
    if (!r->cat.mark && b.mark != r->cat.uniform) {
        unsigned char *mark = jrun_alloc(r, r->cat.cap, 1);
        if (!mark)
            return false;
        memset(mark, r->cat.uniform != NULL, r->cat.n);
        r->cat.mark = mark;
    }
    memcpy(r->cat.p + r->cat.n, b.p, b.n);
    if (r->cat.mark)
        set_marks(r->cat.mark + r->cat.n, b.n, b.mark);
    r->cat.n += b.n;
    return true;
}

struct jstr jstr_cat(struct jrun *r, struct jstr a, struct jstr b)
{
    if (a.n == 0 || b.n == 0)
        return a.n == 0 ? b : a;
    size_t max = r->limits->max_output_bytes;
    if (a.n > max || b.n > max - a.n) {
        JFAIL(r, ERR_LIMIT, "a text grows beyond %zu bytes", max);
        return JSTR_EMPTY;
    }
    bool newest = a.p == r->cat.p && a.n == r->cat.n;
    if (!newest || r->cat.cap - r->cat.n < b.n) {
        size_t cap = a.n + b.n + (a.n + b.n) / 4 + 48;
        char *p = jrun_alloc(r, cap, 1);
        bool uniform = !a.mark || a.mark == JSTR_DATA;
        unsigned char *mark = uniform ? NULL : jrun_alloc(r, cap, 1);
        if (r->failed)
            return JSTR_EMPTY;
        memcpy(p, a.p, a.n);
        if (mark)
            memcpy(mark, a.mark, a.n);
        r->cat.p = p;
        r->cat.mark = mark;
        r->cat.uniform = uniform ? a.mark : NULL;
        r->cat.n = a.n;
        r->cat.cap = cap;
        jrun_work(r, a.n);
    }
    if (!cat_in_place(r, b) || !jrun_work(r, b.n))
        return JSTR_EMPTY;
    return (struct jstr){
        .p = r->cat.p, .n = r->cat.n, .mark = r->cat.mark ? r->cat.mark : r->cat.uniform};
}

/* ---- whole-text changes ---- */

struct jstr jstr_case(struct jrun *r, struct jstr s, char how)
{
    struct jsb b;
    jsb_init(&b, r);
    bool in_word = false;
    for (size_t at = 0; at < s.n && !r->failed;) {
        size_t begin = at;
        uint32_t cp = jstr_next(s, &at);
        bool up = how == 'u' || (how == 'c' && begin == 0) || (how == 't' && !in_word) ||
                  (how == 's' && !jchar_is_upper(cp));
        in_word = jchar_is_upper(cp) || jchar_is_lower(cp);
        if (up && cp == 0xDF) /* sharp s has no capital of one letter */
            jsb_add(&b, how == 'u' || how == 's' ? "SS" : "Ss", 2, jstr_mark_at(s, begin));
        else
            jsb_char(&b, up ? jchar_upper(cp) : jchar_lower(cp), jstr_mark_at(s, begin));
    }
    return jsb_take(&b);
}

struct jstr jstr_replace(struct jrun *r, struct jstr s, struct jstr old, struct jstr new_text,
                         int64_t max)
{
    struct jsb b;
    jsb_init(&b, r);
    size_t at = 0;
    while (max != 0 && !r->failed) {
        size_t hit = jstr_find(s, old, at);
        if (hit == SIZE_MAX)
            break;
        jsb_str(&b, jstr_sub(s, at, hit - at));
        jsb_str(&b, new_text);
        at = hit + old.n;
        max -= max > 0;
        if (old.n == 0) { /* between all characters, and at both ends */
            if (at == s.n)
                return jsb_take(&b);
            size_t next = at;
            jstr_next(s, &next);
            jsb_str(&b, jstr_sub(s, at, next - at));
            at = next;
        }
    }
    jsb_str(&b, jstr_sub(s, at, s.n - at));
    return jsb_take(&b);
}
