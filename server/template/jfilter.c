/* Owns: filters over single values: texts, numbers, JSON; and the look-up of all filters. */
#include <config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/jbuiltin.h"
#include "template/jeval.h"
#include "template/jjson.h"
#include "template/jrun.h"
#include "template/jseq.h"
#include "template/jtext.h"

/* Calls a method of texts on str(self). */
static struct jval by_method(struct jrun *r, struct jval self, const char *name,
                             const struct jargs *args)
{
    struct jval s = jval_str(jtext_of(r, self));
    return jbuiltin_call(r, jmethod_find(s, jstr_text(name)), s, args);
}

/* ---- any value ---- */

JBUILTIN(f_default)
{
    bool use = self.type == J_UNDEF || (jarg_truth(a[1], false) && !jval_truth(self));
    if (!use)
        return self;
    return a[0].type == J_MISSING ? jval_str(JSTR_EMPTY) : a[0];
}

JBUILTIN(f_attr)
{
    struct jstr name = jarg_str(r, a[0], JSTR_EMPTY);
    if (r->failed || self.type != J_DICT)
        return r->failed ? JVAL_NONE : jeval_attribute(r, self, name);
    const struct jbuiltin *method = jmethod_find(self, name); /* fields only, not keys */
    return method ? jeval_attribute(r, self, name) : JVAL_UNDEF;
}

JBUILTIN(f_string)
{
    return jval_str(jtext_of(r, self));
}

JBUILTIN(f_tojson)
{
    struct jjson_style style = {.ascii = jarg_truth(a[0], false),
                                .sort_keys = jarg_truth(a[3], false),
                                .pretty = a[1].type != J_MISSING && a[1].type != J_NONE,
                                .key_separator = jstr_text(": ")};
    struct jsb b;
    if (style.pretty && a[1].type == J_STR) {
        style.indent = a[1].s;
    } else if (style.pretty) {
        int64_t n = jarg_int(r, a[1], 0);
        jsb_init(&b, r);
        jsb_repeat(&b, jstr_text(" "), n > 0 ? (size_t)n : 0);
        style.indent = jsb_take(&b);
    }
    style.item_separator = jstr_text(style.pretty ? "," : ", ");
    if (a[2].type == J_LIST && a[2].list->n == 2) {
        style.item_separator = jarg_str(r, a[2].list->items[0], JSTR_EMPTY);
        style.key_separator = jarg_str(r, a[2].list->items[1], JSTR_EMPTY);
    } else if (a[2].type != J_MISSING && a[2].type != J_NONE) {
        return JFAIL(r, ERR_FORMAT, "tojson needs two separators");
    }
    jsb_init(&b, r);
    jjson_dump(r, &b, self, &style);
    return jval_str(jsb_take(&b));
}

JBUILTIN(f_from_json)
{
    struct jstr s = jarg_str(r, self, JSTR_EMPTY);
    return r->failed ? JVAL_NONE : jjson_parse(r, s);
}

/* ---- texts ---- */

JBUILTIN(f_upper)
{
    return by_method(r, self, "upper", all);
}

JBUILTIN(f_lower)
{
    return by_method(r, self, "lower", all);
}

JBUILTIN(f_capitalize)
{
    return by_method(r, self, "capitalize", all);
}

JBUILTIN(f_trim)
{
    return by_method(r, self, "strip", all);
}

JBUILTIN(f_center)
{
    struct jval width = a[0].type == J_MISSING ? jval_int(80) : a[0];
    return by_method(r, self, "center", &(struct jargs){.n = 1, .v = &width});
}

JBUILTIN(f_replace)
{
    struct jstr s = jtext_of(r, self), old = jtext_of(r, a[0]), fresh = jtext_of(r, a[1]);
    int64_t max = a[2].type == J_NONE ? -1 : jarg_int(r, a[2], -1);
    return jval_str(jstr_replace(r, s, old, fresh, max));
}

/* Every word (after white space, brackets, hyphens) begins with a capital, the rest is small. */
JBUILTIN(f_title)
{
    struct jstr s = jtext_of(r, self);
    struct jsb b;
    bool start = true;
    jsb_init(&b, r);
    for (size_t at = 0; at < s.n && !r->failed;) {
        size_t begin = at;
        uint32_t cp = jstr_next(s, &at);
        bool breaks = jchar_space(cp) || (cp < 0x80 && cp && strchr("-({[<", (int)cp));
        jsb_char(&b, start ? jchar_upper(cp) : jchar_lower(cp), jstr_mark_at(s, begin));
        start = breaks;
    }
    return jval_str(jsb_take(&b));
}

JBUILTIN(f_wordcount)
{
    struct jstr s = jtext_of(r, self);
    int64_t n = 0;
    bool inside = false;
    for (size_t at = 0; at < s.n;) {
        bool word = jchar_word(jstr_next(s, &at));
        n += word && !inside;
        inside = word;
    }
    jrun_work(r, s.n);
    return jval_int(n);
}

JBUILTIN(f_indent)
{
    struct jstr s = jtext_of(r, self), indent;
    bool first = jarg_truth(a[1], false), blank = jarg_truth(a[2], false);
    struct jsb b;
    jsb_init(&b, r);
    if (a[0].type == J_STR) {
        indent = a[0].s;
    } else {
        int64_t n = jarg_int(r, a[0], 4);
        jsb_repeat(&b, jstr_text(" "), n > 0 ? (size_t)n : 0);
        indent = jsb_take(&b);
    }
    /* the text is read as if one more line end followed, so a final one shows as an empty line */
    for (size_t at = 0, line = 0; at <= s.n && !r->failed; line++) {
        size_t len = 0, next = jstr_line(s, at, &len);
        if (line)
            jsb_text(&b, "\n");
        if ((line ? len || blank : first))
            jsb_str(&b, indent);
        jsb_str(&b, jstr_sub(s, at, len));
        if (next == s.n && at + len == s.n)
            break; /* no line end here */
        at = next;
    }
    return jval_str(jsb_take(&b));
}

JBUILTIN(f_truncate)
{
    struct jstr s = jtext_of(r, self), end = jarg_str(r, a[2], jstr_text("..."));
    int64_t length = jarg_int(r, a[0], 255),
            leeway = a[3].type == J_NONE ? 5 : jarg_int(r, a[3], 5);
    int64_t tail = (int64_t)jstr_count(end);
    if (r->failed)
        return JVAL_NONE;
    if (length < tail || leeway < 0)
        return JFAIL(r, ERR_FORMAT, "truncate: the length is shorter than what is put at the end");
    size_t n = jstr_count(s);
    if (n <= (uint64_t)length || n - (uint64_t)length <= (uint64_t)leeway)
        return jval_str(s);
    struct jstr kept = jstr_sub(s, 0, jstr_offset(s, (size_t)(length - tail)));
    if (!jarg_truth(a[1], false)) {
        const char *space = kept.n ? memrchr(kept.p, ' ', kept.n) : NULL;
        if (space)
            kept.n = (size_t)(space - kept.p);
    }
    return jval_str(jstr_cat(r, kept, end));
}

JBUILTIN(f_escape)
{
    struct jstr s = jtext_of(r, self);
    struct jsb b;
    jsb_init(&b, r);
    for (size_t at = 0; at < s.n && !r->failed; at++) {
        const unsigned char *mark = jstr_mark_at(s, at);
        const char *entity = s.p[at] == '&'    ? "&amp;"
                             : s.p[at] == '<'  ? "&lt;"
                             : s.p[at] == '>'  ? "&gt;"
                             : s.p[at] == '"'  ? "&#34;"
                             : s.p[at] == '\'' ? "&#39;"
                                               : NULL;
        jsb_add(&b, entity ? entity : s.p + at, entity ? strlen(entity) : 1, mark);
    }
    return jval_str(jsb_take(&b));
}

/* In a query a space is a plus and a slash is not safe. */
static void url_quote(struct jsb *b, struct jstr s, bool query)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t at = 0; at < s.n && !b->r->failed; at++) {
        unsigned char c = (unsigned char)s.p[at];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     (c && strchr("_.-~", c)) || (c == '/' && !query);
        bool plus = c == ' ' && query;
        const char out[] = {plus ? '+' : '%', hex[c >> 4], hex[c & 15]};
        jsb_add(b, plain ? s.p + at : out, plain || plus ? 1 : 3, jstr_mark_at(s, at));
    }
}

JBUILTIN(f_urlencode)
{
    struct jsb b;
    jsb_init(&b, r);
    bool pairs = self.type == J_DICT || self.type == J_LIST;
    const struct jlist *l = self.type == J_DICT ? jdict_items(r, self.dict)
                            : pairs             ? self.list
                                                : NULL;
    if (!pairs)
        url_quote(&b, jtext_of(r, self), false);
    for (size_t i = 0; l && i < l->n && !r->failed; i++) {
        struct jval pair = l->items[i];
        if (pair.type != J_LIST || pair.list->n != 2)
            return JFAIL(r, ERR_FORMAT, "urlencode needs a text, a mapping or pairs");
        if (i)
            jsb_text(&b, "&");
        url_quote(&b, jtext_of(r, pair.list->items[0]), true);
        jsb_text(&b, "=");
        url_quote(&b, jtext_of(r, pair.list->items[1]), true);
    }
    return jval_str(jsb_take(&b));
}

JBUILTIN(f_format)
{
    struct jstr s = jtext_of(r, self);
    if (all->n && all->n_named)
        return JFAIL(r, ERR_FORMAT, "format takes positional or named arguments, not both");
    if (!all->n_named)
        return jval_str(
            jformat_percent(r, s, jval_list(jlist_view(r, all->v, all->n, JLIST_TUPLE))));
    struct jdict *d = jdict_new(r);
    for (size_t i = 0; i < all->n_named && !r->failed; i++)
        jdict_set(r, d, jval_str(all->named[i].name), all->named[i].v);
    return r->failed ? JVAL_NONE : jval_str(jformat_percent(r, s, jval_dict(d)));
}

/* ---- numbers ---- */

enum { MAX_NUMBER_TEXT = 400 };

/* Copies a number's spelling without white space around it and without the underscores between its
 * digits. False when it is too long or has other underscores. */
static bool spelling(struct jstr s, char out[MAX_NUMBER_TEXT])
{
    size_t n = 0;
    s = jstr_trim(s, true, true);
    if (s.n >= MAX_NUMBER_TEXT)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool between = i > 0 && i + 1 < s.n && strchr("0123456789abcdefABCDEF", s.p[i - 1]) &&
                       strchr("0123456789abcdefABCDEF", s.p[i + 1]);
        if (s.p[i] == '_' && !between)
            return false;
        if (s.p[i] != '_')
            out[n++] = s.p[i];
    }
    out[n] = '\0';
    return n > 0 && strlen(out) == n;
}

static bool parse_float(struct jstr s, double *out)
{
    char text[MAX_NUMBER_TEXT], *end;
    if (!spelling(s, text) || strpbrk(text, "xXpP()"))
        return false;
    *out = strtod(text, &end);
    return *end == '\0';
}

JBUILTIN(f_filesizeformat)
{
    static const char *const units[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
    bool binary = jarg_truth(a[0], false);
    double base = binary ? 1024 : 1000, bytes = 0, unit = base;
    char text[64];
    if (jval_is_number(self))
        bytes = jval_as_float(self);
    else if (self.type != J_STR || !parse_float(self.s, &bytes))
        return JFAIL(r, ERR_FORMAT, "filesizeformat needs a number, not '%s'",
                     jval_type_name(self));
    size_t i = 0;
    while (i + 1 < sizeof units / sizeof *units && bytes >= unit * base) {
        unit *= base;
        i++;
    }
    if (bytes == 1)
        snprintf(text, sizeof text, "1 Byte");
    else if (bytes < base)
        snprintf(text, sizeof text, "%.0f Bytes", trunc(bytes));
    else
        snprintf(text, sizeof text, "%.1f %c%sB", bytes / unit,
                 binary && i == 0 ? 'K' : units[i][0], binary ? "i" : "");
    struct jsb b;
    jsb_init(&b, r);
    jsb_text(&b, text);
    return jval_str(jsb_take(&b));
}

static bool parse_int(struct jrun *r, struct jstr s, int base, int64_t *out)
{
    char text[MAX_NUMBER_TEXT];
    if (!spelling(s, text))
        return false;
    const char *p = text;
    bool negative = *p == '-';
    p += *p == '-' || *p == '+';
    char kind = p[0] == '0' ? (char)(p[1] | 0x20) : '\0';
    int prefixed = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (prefixed && (base == 0 || base == prefixed)) {
        base = prefixed;
        p += 2;
    }
    if (base == 0)
        base = 10;
    int64_t n = 0;
    bool any = false;
    for (; *p; p++, any = true) {
        int c = *p | 0x20, digit = *p <= '9' ? *p - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
        if (digit < 0 || digit >= base)
            return false;
        if (__builtin_mul_overflow(n, base, &n) || __builtin_sub_overflow(n, digit, &n)) {
            JFAIL(r, ERR_LIMIT, "a number grows beyond 64 bits");
            return true;
        }
    }
    if (!negative && n == INT64_MIN)
        JFAIL(r, ERR_LIMIT, "a number grows beyond 64 bits");
    *out = negative || r->failed ? n : -n;
    return any;
}

JBUILTIN(f_int)
{
    int64_t n = 0, base = jarg_int(r, a[1], 10);
    double f = NAN;
    struct jval fallback = a[0].type == J_MISSING ? jval_int(0) : a[0];
    if (!r->failed && base != 0 && (base < 2 || base > 36))
        return JFAIL(r, ERR_FORMAT, "the base of a number must be 0 or from 2 to 36");
    if (jval_is_integral(self))
        return jval_int(jval_as_int(self));
    if (self.type == J_UNDEF) {
        jval_fail_undef(r, self);
        return JVAL_NONE;
    }
    if (self.type == J_STR && parse_int(r, self.s, (int)base, &n))
        return jval_int(n);
    if (self.type == J_FLOAT)
        f = self.f;
    else if (self.type != J_STR || !parse_float(self.s, &f))
        return fallback;
    if (!isfinite(f))
        return fallback;
    if (fabs(f) >= 9.2e18)
        return JFAIL(r, ERR_LIMIT, "a number grows beyond 64 bits");
    return jval_int((int64_t)f);
}

JBUILTIN(f_float)
{
    double f;
    if (jval_is_number(self))
        return jval_float(jval_as_float(self));
    if (self.type == J_UNDEF) {
        jval_fail_undef(r, self);
        return JVAL_NONE;
    }
    if (self.type == J_STR && parse_float(self.s, &f))
        return jval_float(f);
    return a[0].type == J_MISSING ? jval_float(0) : a[0];
}

JBUILTIN(f_abs)
{
    if (self.type == J_FLOAT)
        return jval_float(fabs(self.f));
    if (!jval_is_integral(self))
        return JFAIL(r, ERR_FORMAT, "abs needs a number, not '%s'", jval_type_name(self));
    int64_t n = jval_as_int(self);
    if (n == INT64_MIN)
        return JFAIL(r, ERR_LIMIT, "a number grows beyond 64 bits");
    return jval_int(n < 0 ? -n : n);
}

/* To `precision` decimals, halves to even, as the decimal form of the double decides. */
static double round_decimal(double f, int64_t precision)
{
    char text[512];
    if (!isfinite(f) || precision > 22)
        return f;
    if (precision >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)precision, f);
        return strtod(text, NULL);
    }
    double unit = pow(10, (double)-precision);
    return isfinite(unit) ? rint(f / unit) * unit : 0;
}

static struct jval round_int(struct jrun *r, int64_t n, int64_t precision)
{
    int64_t unit = 1;
    if (precision >= 0)
        return jval_int(n);
    for (int64_t i = precision; i < 0; i++) {
        if (__builtin_mul_overflow(unit, 10, &unit))
            return jval_int(0);
    }
    int64_t rest = n % unit, down = n - rest, half = unit / 2;
    int64_t size = rest < 0 ? -rest : rest;
    bool away = size > half || (size == half && (down / unit) % 2 != 0);
    if (away && __builtin_add_overflow(down, rest < 0 ? -unit : unit, &down))
        return JFAIL(r, ERR_LIMIT, "a number grows beyond 64 bits");
    return jval_int(down);
}

JBUILTIN(f_round)
{
    int64_t precision = jarg_int(r, a[0], 0);
    struct jstr method = jarg_str(r, a[1], jstr_text("common"));
    if (self.type == J_UNDEF) {
        jval_fail_undef(r, self);
        return JVAL_NONE;
    }
    if (!r->failed && !jval_is_number(self))
        return JFAIL(r, ERR_FORMAT, "round needs a number, not '%s'", jval_type_name(self));
    if (jstr_is(method, "common"))
        return self.type == J_FLOAT ? jval_float(round_decimal(self.f, precision))
                                    : round_int(r, jval_as_int(self), precision);
    double unit = pow(10, (double)precision), scaled = jval_as_float(self) * unit;
    if (jstr_is(method, "ceil"))
        return jval_float(ceil(scaled) / unit);
    if (jstr_is(method, "floor"))
        return jval_float(floor(scaled) / unit);
    return JFAIL(r, ERR_FORMAT, "round: the method is 'common', 'ceil' or 'floor'");
}

static const struct jbuiltin table[] = {
    {"default", "default_value boolean", f_default},
    {"d", "default_value boolean", f_default},
    {"attr", "!name", f_attr},
    {"string", "", f_string},
    {"safe", "", f_string},
    {"tojson", "ensure_ascii indent separators sort_keys", f_tojson},
    {"from_json", "", f_from_json},
    {"fromjson", "", f_from_json},
    {"upper", "", f_upper},
    {"lower", "", f_lower},
    {"capitalize", "", f_capitalize},
    {"title", "", f_title},
    {"trim", "chars", f_trim},
    {"center", "width", f_center},
    {"replace", "!old !new count", f_replace},
    {"wordcount", "", f_wordcount},
    {"indent", "width first blank", f_indent},
    {"truncate", "length killwords end leeway", f_truncate},
    {"escape", "", f_escape},
    {"e", "", f_escape},
    {"forceescape", "", f_escape},
    {"urlencode", "", f_urlencode},
    {"format", NULL, f_format},
    {"filesizeformat", "binary", f_filesizeformat},
    {"int", "default base", f_int},
    {"float", "default", f_float},
    {"abs", "", f_abs},
    {"round", "precision method", f_round},
};

const struct jbuiltin *jfilter_find(struct jstr name)
{
    const struct jbuiltin *def = jbuiltin_find(table, sizeof table / sizeof *table, name);
    return def ? def : jseq_find(name);
}
