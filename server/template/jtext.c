/* Owns: str() and repr() of every type. Refuses to know JSON (jjson.c) and formats (jformat.c). */
#include <config.h>

#include "template/jtext.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "template/jast.h"
#include "template/jeval.h"
#include "template/jrun.h"

/* ---- numbers ---- */

/* Significant digits of |f| without trailing zeros to `digits`; returns the decimal exponent of the
 * first one. 15 digits always suffice when fewer do, except below the normal range. */
static int shortest_digits(double f, char digits[20])
{
    char text[32];
    int precision = fabs(f) < 2.3e-308 ? 1 : 15;
    do
        snprintf(text, sizeof text, "%.*e", precision - 1, fabs(f));
    while (strtod(text, NULL) != fabs(f) && precision++ < 17);
    char *e = strchr(text, 'e');
    size_t n = 0;
    for (const char *c = text; c < e; c++) {
        if (*c != '.')
            digits[n++] = *c;
    }
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return (int)strtol(e + 1, NULL, 10);
}

size_t jtext_float(double f, char out[JTEXT_NUMBER_BYTES])
{
    enum { SIZE = JTEXT_NUMBER_BYTES };
    const char *sign = signbit(f) && !isnan(f) ? "-" : "";
    if (!isfinite(f))
        return (size_t)snprintf(out, SIZE, "%s%s", sign, isnan(f) ? "nan" : "inf");
    char d[20];
    int e = shortest_digits(f, d), n = (int)strlen(d);
    if (e < -4 || e >= 16)
        return (size_t)snprintf(out, SIZE, "%s%c%s%se%c%02d", sign, d[0], n > 1 ? "." : "", d + 1,
                                e < 0 ? '-' : '+', abs(e));
    if (e < 0)
        return (size_t)snprintf(out, SIZE, "%s0.%.*s%s", sign, -e - 1, "000", d);
    if (n <= e + 1)
        return (size_t)snprintf(out, SIZE, "%s%s%.*s.0", sign, d, e + 1 - n, "0000000000000000");
    return (size_t)snprintf(out, SIZE, "%s%.*s.%s", sign, e + 1, d, d + e + 1);
}

/* ---- repr ---- */

static bool repr_char(struct jsb *b, uint32_t cp, char quote, const unsigned char *mark)
{
    char text[16];
    const char *plain = cp == '\n'                   ? "\\n"
                        : cp == '\r'                 ? "\\r"
                        : cp == '\t'                 ? "\\t"
                        : cp == '\\'                 ? "\\\\"
                        : cp == (unsigned char)quote ? (quote == '"' ? "\\\"" : "\\'")
                                                     : NULL;
    if (plain)
        return jsb_add(b, plain, 2, mark);
    if (jchar_printable(cp))
        return jsb_char(b, cp, mark);
    if (cp <= 0xFF)
        snprintf(text, sizeof text, "\\x%02" PRIx32, cp);
    else if (cp <= 0xFFFF)
        snprintf(text, sizeof text, "\\u%04" PRIx32, cp);
    else
        snprintf(text, sizeof text, "\\U%08" PRIx32, cp);
    return jsb_add(b, text, strlen(text), mark);
}

static bool repr_string(struct jrun *r, struct jsb *b, struct jstr s)
{
    bool doubled = s.n && memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n);
    const char *quote = doubled ? "\"" : "'";
    jsb_text(b, quote);
    for (size_t at = 0; at < s.n && !r->failed;) {
        size_t begin = at;
        uint32_t cp = jstr_next(s, &at);
        repr_char(b, cp, *quote, jstr_mark_at(s, begin));
    }
    return jsb_text(b, quote);
}

static bool repr_list(struct jrun *r, struct jsb *b, const struct jlist *l)
{
    static const struct {
        const char *open, *close;
    } signs[] = {[JLIST_LIST] = {"[", "]"},
                 [JLIST_TUPLE] = {"(", ")"},
                 [JLIST_ITERATOR] = {"[", "]"},
                 [JLIST_ITEMS] = {"dict_items([", "])"},
                 [JLIST_KEYS] = {"dict_keys([", "])"},
                 [JLIST_VALUES] = {"dict_values([", "])"}};
    jsb_text(b, signs[l->kind].open);
    for (size_t i = 0; i < l->n && !r->failed; i++) {
        if (i)
            jsb_text(b, ", ");
        jtext_repr(r, b, l->items[i]);
    }
    if (l->kind == JLIST_TUPLE && l->n == 1)
        jsb_text(b, ",");
    return jsb_text(b, signs[l->kind].close);
}

static bool repr_dict(struct jrun *r, struct jsb *b, const struct jdict *d)
{
    jsb_text(b, "{");
    for (size_t i = 0; i < d->n && !r->failed; i++) {
        if (i)
            jsb_text(b, ", ");
        jtext_repr(r, b, d->entry[i].key);
        jsb_text(b, ": ");
        jtext_repr(r, b, d->entry[i].value);
    }
    return jsb_text(b, "}");
}

static bool repr_number(struct jsb *b, struct jval v)
{
    char text[JTEXT_NUMBER_BYTES];
    if (v.type == J_FLOAT)
        jtext_float(v.f, text);
    else
        snprintf(text, sizeof text, "%" PRId64, v.i);
    return jsb_add(b, text, strlen(text), v.data ? JSTR_DATA : NULL);
}

static bool repr_object(struct jrun *r, struct jsb *b, struct jval v)
{
    char text[96];
    struct jstr name;
    switch (v.type) {
    case J_RANGE:
        snprintf(text, sizeof text,
                 v.range->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)",
                 (long long)v.range->start,
                 (long long)(v.range->start + (int64_t)v.range->n * v.range->step),
                 (long long)v.range->step);
        return jsb_text(b, text);
    case J_NAMESPACE:
        jsb_text(b, "<Namespace ");
        repr_dict(r, b, v.dict);
        return jsb_text(b, ">");
    case J_LOOP:
        snprintf(text, sizeof text, "<LoopContext %zu/%zu>", jloop_index(v.loop) + 1,
                 jloop_length(v.loop));
        return jsb_text(b, text);
    case J_MACRO:
        name = jmacro_name(v.macro);
        jsb_text(b, "<Macro '");
        jsb_str(b, name);
        return jsb_text(b, "'>");
    default:
        name = jstr_text(v.type == J_FUNCTION ? v.function->name
                         : v.type == J_METHOD ? v.method->def->name
                                              : jval_type_name(v));
        jsb_text(b, "<");
        jsb_str(b, name);
        return jsb_text(b, ">");
    }
}

static bool repr_any(struct jrun *r, struct jsb *b, struct jval v)
{
    switch (v.type) {
    case J_MISSING:
    case J_UNDEF:
        return jsb_text(b, "Undefined");
    case J_NONE:
        return jsb_text(b, "None");
    case J_BOOL:
        return jsb_text(b, v.b ? "True" : "False");
    case J_INT:
    case J_FLOAT:
        return repr_number(b, v);
    case J_STR:
        return repr_string(r, b, v.s);
    case J_LIST:
        return repr_list(r, b, v.list);
    case J_DICT:
        return repr_dict(r, b, v.dict);
    default:
        return repr_object(r, b, v);
    }
}

bool jtext_repr(struct jrun *r, struct jsb *b, struct jval v)
{
    if (!jrun_enter(r))
        return false;
    bool ok = repr_any(r, b, v);
    jrun_leave(r);
    return ok;
}

/* ---- str ---- */

bool jtext_str(struct jrun *r, struct jsb *b, struct jval v)
{
    if (v.type == J_STR)
        return jsb_str(b, v.s);
    if (v.type == J_UNDEF || v.type == J_MISSING)
        return !r->failed;
    return jtext_repr(r, b, v);
}

struct jstr jtext_of(struct jrun *r, struct jval v)
{
    if (v.type == J_STR)
        return v.s;
    struct jsb b;
    jsb_init(&b, r);
    jtext_str(r, &b, v);
    return jsb_take(&b);
}
