/* Owns: Python's two ways of formatting, "%s" % x and "{}".format(x), for the types a template has.
 * Both reduce to struct spec and share the code that lays out a number or text in a field.
 */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "template/jeval.h"
#include "template/jrun.h"
#include "template/jtext.h"

enum { MAX_PRECISION = 100, DIGITS_BYTES = 512 };

struct spec {
    uint32_t fill;
    char align; /* < > ^ =, 0: as the type has it */
    char sign;  /* + or space, 0: only minus */
    char group; /* , or _, 0: none */
    bool alternate;
    int64_t width;
    int64_t precision; /* -1: not given */
    char type;         /* 0: none */
};

/* ---- laying out ---- */

/* Writes sign or base prefix and body into a field of spec->width code points. */
static void put_field(struct jrun *r, struct jsb *b, const struct spec *spec, const char *prefix,
                      struct jstr body, char default_align)
{
    size_t used = strlen(prefix) + jstr_count(body);
    size_t pad = spec->width > 0 && (uint64_t)spec->width > used ? (size_t)spec->width - used : 0;
    char align = spec->align ? spec->align : default_align;
    size_t before = align == '<' ? 0 : align == '^' ? pad / 2 : pad;
    struct jsb one;
    jsb_init(&one, r);
    jsb_char(&one, spec->fill, NULL);
    struct jstr fill = jsb_take(&one);
    if (align == '=')
        jsb_text(b, prefix);
    jsb_repeat(b, fill, before);
    if (align != '=')
        jsb_text(b, prefix);
    jsb_str(b, body);
    jsb_repeat(b, fill, pad - before);
}

static const char *sign_of(const struct spec *spec, bool negative)
{
    return negative ? "-" : spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "";
}

/* Separates the digits before the point of `digits` into groups, in place. */
static void group_digits(char digits[DIGITS_BYTES], char sign, size_t every)
{
    size_t whole = strspn(digits, "0123456789abcdefABCDEF"), n = strlen(digits);
    if (whole == 0)
        return;
    size_t signs = (whole - 1) / every;
    if (n + signs >= DIGITS_BYTES)
        return;
    memmove(digits + whole + signs, digits + whole, n - whole + 1);
    for (size_t from = whole, to = whole + signs, run = 0; from > 0;) {
        if (run == every) {
            digits[--to] = sign;
            run = 0;
        }
        digits[--to] = digits[--from];
        run++;
    }
}

static void put_number(struct jrun *r, struct jsb *b, const struct spec *spec, const char *sign,
                       const char *base, char digits[DIGITS_BYTES], bool data)
{
    char prefix[8];
    size_t every = *base ? 4 : 3, n = strspn(digits, "0123456789abcdefABCDEF");
    size_t rest = strlen(digits) - n, signs = strlen(sign) + strlen(base);
    bool zeros = spec->group && spec->fill == '0' && spec->align == '=';
    while (zeros && n + rest + 1 < DIGITS_BYTES && spec->width > 0 &&
           n + (n - 1) / every + rest + signs < (uint64_t)spec->width) {
        memmove(digits + 1, digits, n + rest + 1); /* the zeros are grouped too */
        digits[0] = '0';
        n++;
    }
    if (spec->group)
        group_digits(digits, spec->group, every);
    snprintf(prefix, sizeof prefix, "%s%s", sign, base);
    struct jstr body = jstr_text(digits);
    body.mark = data ? JSTR_DATA : NULL;
    put_field(r, b, spec, prefix, body, '>');
}

static void put_integer(struct jrun *r, struct jsb *b, const struct spec *spec, struct jval v)
{
    int64_t i = jval_as_int(v);
    uint64_t u = i < 0 ? -(uint64_t)i : (uint64_t)i;
    char digits[DIGITS_BYTES];
    const char *base = "";
    size_t at = 64;
    switch (spec->type) {
    case 'x':
        snprintf(digits, sizeof digits, "%" PRIx64, u);
        base = "0x";
        break;
    case 'X':
        snprintf(digits, sizeof digits, "%" PRIX64, u);
        base = "0X";
        break;
    case 'o':
        snprintf(digits, sizeof digits, "%" PRIo64, u);
        base = "0o";
        break;
    case 'b':
        digits[at] = '\0';
        do
            digits[--at] = (char)('0' + (u & 1));
        while (u >>= 1);
        memmove(digits, digits + at, 65 - at);
        base = "0b";
        break;
    default:
        snprintf(digits, sizeof digits, "%" PRIu64, u);
    }
    if (spec->precision > 0) { /* only printf-like: at least so many digits */
        size_t n = strlen(digits), want = (size_t)spec->precision;
        if (want > n) {
            memmove(digits + want - n, digits, n + 1);
            memset(digits, '0', want - n);
        }
    }
    put_number(r, b, spec, sign_of(spec, i < 0), spec->alternate ? base : "", digits, v.data);
}

static void put_float(struct jrun *r, struct jsb *b, const struct spec *spec, struct jval v)
{
    double f = jval_as_float(v), magnitude = fabs(f);
    int precision = spec->precision < 0 ? 6 : (int)spec->precision;
    char digits[DIGITS_BYTES];
    bool bare = !spec->type && spec->precision < 0;
    if (bare || !isfinite(f)) {
        jtext_float(magnitude, digits);
    } else if (spec->type == 'e' || spec->type == 'E') {
        snprintf(digits, sizeof digits, spec->type == 'e' ? "%.*e" : "%.*E", precision, magnitude);
    } else if (spec->type == 'f' || spec->type == 'F' || spec->type == '%') {
        snprintf(digits, sizeof digits - 1, "%.*f", precision,
                 spec->type == '%' ? magnitude * 100 : magnitude);
    } else {
        snprintf(digits, sizeof digits, spec->type == 'G' ? "%.*G" : "%.*g", precision, magnitude);
        if (!spec->type && !strpbrk(digits, ".e")) /* stays recognisable as a float */
            strncat(digits, ".0", sizeof digits - strlen(digits) - 1);
    }
    if (spec->type == '%')
        strncat(digits, "%", sizeof digits - strlen(digits) - 1);
    put_number(r, b, spec, sign_of(spec, signbit(f) && !isnan(f)), "", digits, v.data);
}

static void put_text(struct jrun *r, struct jsb *b, const struct spec *spec, struct jstr s)
{
    if (spec->precision >= 0)
        s = jstr_sub(s, 0, jstr_offset(s, (size_t)spec->precision));
    put_field(r, b, spec, "", s, '<');
}

static bool is_any(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool check_spec(struct jrun *r, const struct spec *spec)
{
    if (spec->precision > MAX_PRECISION && !is_any(spec->type, "sra") && spec->type)
        JFAIL(r, ERR_LIMIT, "a number format asks for more than %d digits", MAX_PRECISION);
    return !r->failed;
}

/* Digits at s[*at], at most 18; -1 when there are none. */
static int64_t read_number(struct jstr s, size_t *at)
{
    int64_t n = -1;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++) {
        if (n < (int64_t)1e17)
            n = (n < 0 ? 0 : n * 10) + (s.p[*at] - '0');
    }
    return n;
}

/* ---- "%" ---- */

struct percent {
    struct jrun *r;
    struct jstr format;
    size_t at; /* in format */
    struct jval args;
    size_t used; /* elements of a tuple, or 1 when the single value was */
};

static struct jval next_arg(struct percent *p)
{
    bool tuple = p->args.type == J_LIST && p->args.list->kind == JLIST_TUPLE;
    size_t n = tuple ? p->args.list->n : 1;
    if (p->used >= n)
        return JFAIL(p->r, ERR_FORMAT, "not enough arguments for the format string");
    struct jval v = tuple ? p->args.list->items[p->used] : p->args;
    p->used++;
    return v;
}

static struct jval keyed_arg(struct percent *p)
{
    size_t begin = ++p->at;
    while (p->at < p->format.n && p->format.p[p->at] != ')')
        p->at++;
    struct jstr key = jstr_sub(p->format, begin, p->at - begin);
    if (p->at < p->format.n)
        p->at++;
    if (p->args.type != J_DICT)
        return JFAIL(p->r, ERR_FORMAT, "the format needs a mapping");
    p->used = 1;
    struct jval v = jdict_get_str(p->r, p->args.dict, key);
    if (v.type == J_MISSING)
        return JFAIL(p->r, ERR_FORMAT, "the format names a key that the mapping has not: '%.*s'",
                     (int)(key.n < 60 ? key.n : 60), key.p);
    return v;
}

static struct spec percent_spec(struct percent *p)
{
    struct spec spec = {.fill = ' ', .align = '>', .precision = -1};
    struct jstr f = p->format;
    for (; p->at < f.n && is_any(f.p[p->at], "-+ #0"); p->at++) {
        char c = f.p[p->at];
        if (c == '-')
            spec.align = '<';
        else if (c == '+' || (c == ' ' && spec.sign != '+'))
            spec.sign = c;
        else if (c == '#')
            spec.alternate = true;
        else if (c == '0' && spec.align != '<')
            spec.fill = '0';
    }
    spec.width = read_number(f, &p->at);
    if (p->at < f.n && f.p[p->at] == '.') {
        p->at++;
        spec.precision = read_number(f, &p->at);
        if (spec.precision < 0)
            spec.precision = 0;
    }
    while (p->at < f.n && is_any(f.p[p->at], "hlL"))
        p->at++;
    return spec;
}

static void percent_number(struct percent *p, struct jsb *b, struct spec *spec, struct jval v)
{
    if (!jval_is_number(v)) {
        if (v.type == J_UNDEF)
            jval_fail_undef(p->r, v);
        else
            JFAIL(p->r, ERR_FORMAT, "%%%c needs a number, not '%s'", spec->type, jval_type_name(v));
        return;
    }
    if (spec->align == '<')
        spec->fill = ' ';
    else if (spec->fill == '0')
        spec->align = '=';
    if (is_any(spec->type, "eEfFgG")) {
        put_float(p->r, b, spec, v);
        return;
    }
    if (v.type == J_FLOAT && (is_any(spec->type, "xXo") || !(fabs(v.f) < 9.2e18))) {
        JFAIL(p->r, ERR_FORMAT, "%%%c needs an integer", spec->type);
        return;
    }
    if (v.type == J_FLOAT)
        v = jval_int((int64_t)v.f);
    put_integer(p->r, b, spec, v);
}

static void percent_char(struct percent *p, struct jsb *b, struct spec *spec, struct jval v)
{
    struct jsb one;
    jsb_init(&one, p->r);
    if (v.type == J_STR && jstr_count(v.s) == 1)
        jsb_str(&one, v.s);
    else if (v.type == J_INT && v.i >= 0 && v.i <= 0x10FFFF && (v.i < 0xD800 || v.i > 0xDFFF))
        jsb_char(&one, (uint32_t)v.i, v.data ? JSTR_DATA : NULL);
    else
        JFAIL(p->r, ERR_FORMAT, "%%c needs one character");
    put_text(p->r, b, spec, jsb_take(&one));
}

/* One conversion; the parser stands behind its "%". */
static void percent_one(struct percent *p, struct jsb *b)
{
    struct jval v = {.type = J_MISSING};
    struct jstr f = p->format;
    if (p->at < f.n && f.p[p->at] == '(')
        v = keyed_arg(p);
    struct spec spec = percent_spec(p);
    if (p->r->failed)
        return;
    if (p->at >= f.n) {
        JFAIL(p->r, ERR_FORMAT, "the format ends in the middle of a conversion");
        return;
    }
    spec.type = f.p[p->at++];
    if (spec.type == '%') {
        jsb_text(b, "%");
        return;
    }
    if (!is_any(spec.type, "sradiuxXoeEfFgGc")) {
        JFAIL(p->r, ERR_FORMAT, "the format has an unknown conversion");
        return;
    }
    if (v.type == J_MISSING)
        v = next_arg(p);
    if (p->r->failed || !check_spec(p->r, &spec))
        return;
    if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') {
        struct jsb text;
        jsb_init(&text, p->r);
        if (spec.type == 's')
            jtext_str(p->r, &text, v);
        else
            jtext_repr(p->r, &text, v);
        spec.fill = ' ';
        put_text(p->r, b, &spec, jsb_take(&text));
    } else if (spec.type == 'c') {
        percent_char(p, b, &spec, v);
    } else {
        percent_number(p, b, &spec, v);
    }
}

struct jstr jformat_percent(struct jrun *r, struct jstr format, struct jval args)
{
    struct percent p = {.r = r, .format = format, .args = args};
    struct jsb b;
    jsb_init(&b, r);
    while (p.at < format.n && !r->failed) {
        const char *sign = memchr(format.p + p.at, '%', format.n - p.at);
        size_t end = sign ? (size_t)(sign - format.p) : format.n;
        jsb_str(&b, jstr_sub(format, p.at, end - p.at));
        p.at = end;
        if (sign) {
            p.at++;
            percent_one(&p, &b);
        }
    }
    bool list = args.type == J_LIST, tuple = list && args.list->kind == JLIST_TUPLE;
    size_t given = tuple ? args.list->n : !list && args.type != J_DICT;
    if (!r->failed && p.used < given)
        JFAIL(r, ERR_FORMAT, "not all arguments are used by the format string");
    return jsb_take(&b);
}

/* ---- "{}" ---- */

struct braces {
    struct jrun *r;
    struct jstr format;
    size_t at;
    const struct jargs *args;
    int64_t next;   /* automatic number; -1 after an explicit one */
    bool automatic; /* an automatic number was used */
};

static size_t until(struct jstr s, size_t at, const char *set)
{
    while (at < s.n && !is_any(s.p[at], set))
        at++;
    return at;
}

static struct jval named_field(struct braces *f, struct jstr name)
{
    for (size_t i = 0; i < f->args->n_named; i++) {
        if (jstr_equal(f->args->named[i].name, name))
            return f->args->named[i].v;
    }
    return JFAIL(f->r, ERR_FORMAT, "the format names '%.*s', which was not given",
                 (int)(name.n < 60 ? name.n : 60), name.p);
}

/* Value of "name.attribute[item]" up to one of "!:}". */
static struct jval field_value(struct braces *f)
{
    struct jstr s = f->format;
    size_t begin = f->at, at = begin;
    f->at = until(s, at, ".[!:}");
    int64_t number = read_number(s, &at);
    struct jval v;
    if (f->at == begin || (number >= 0 && at == f->at)) {
        if ((number >= 0 && f->automatic) || (number < 0 && f->next < 0))
            return JFAIL(f->r, ERR_FORMAT, "the format mixes numbered and unnumbered fields");
        f->automatic = number < 0;
        if (number < 0)
            number = f->next++;
        else
            f->next = -1;
        if ((uint64_t)number >= f->args->n)
            return JFAIL(f->r, ERR_FORMAT, "not enough arguments for the format string");
        v = f->args->v[number];
    } else {
        v = named_field(f, jstr_sub(s, begin, f->at - begin));
    }
    while (!f->r->failed && f->at < s.n && is_any(s.p[f->at], ".[")) {
        bool item = s.p[f->at++] == '[';
        size_t from = f->at, digits = from;
        f->at = until(s, f->at, item ? "]" : ".[!:}");
        struct jstr key = jstr_sub(s, from, f->at - from);
        number = read_number(s, &digits);
        if (!item)
            v = jeval_attribute(f->r, v, key);
        else if (number >= 0 && digits == f->at)
            v = jeval_item(f->r, v, jval_int(number));
        else
            v = jeval_item(f->r, v, jval_str(key));
        f->at += item && f->at < s.n;
    }
    return v;
}

/* "[[fill]align][sign][#][0][width][group][.precision][type]" up to "}". */
static struct spec brace_spec(struct braces *f)
{
    struct spec spec = {.fill = ' ', .precision = -1};
    struct jstr s = f->format;
    size_t next = f->at;
    uint32_t first = f->at < s.n ? jstr_next(s, &next) : 0;
    if (next < s.n && first != '}' && is_any(s.p[next], "<>^=")) {
        spec.fill = first;
        spec.align = s.p[next];
        f->at = next + 1;
    } else if (f->at < s.n && is_any(s.p[f->at], "<>^=")) {
        spec.align = s.p[f->at++];
    }
    if (f->at < s.n && is_any(s.p[f->at], "+- "))
        spec.sign = s.p[f->at++];
    if (f->at < s.n && s.p[f->at] == '#') {
        spec.alternate = true;
        f->at++;
    }
    if (f->at < s.n && s.p[f->at] == '0' && !spec.align) {
        spec.fill = '0';
        spec.align = '=';
    }
    spec.width = read_number(s, &f->at);
    if (f->at < s.n && is_any(s.p[f->at], ",_"))
        spec.group = s.p[f->at++];
    if (f->at < s.n && s.p[f->at] == '.') {
        f->at++;
        spec.precision = read_number(s, &f->at);
    }
    if (f->at < s.n && s.p[f->at] != '}')
        spec.type = s.p[f->at++];
    return spec;
}

static void put_value(struct braces *f, struct jsb *b, struct spec *spec, struct jval v)
{
    bool number = jval_is_number(v);
    if (!check_spec(f->r, spec))
        return;
    if (v.type == J_BOOL && !spec->type)
        number = false;
    if (number && (is_any(spec->type, "eEfFgG%") || (v.type == J_FLOAT && !spec->type))) {
        if (spec->precision > MAX_PRECISION)
            JFAIL(f->r, ERR_LIMIT, "a number format asks for more than %d digits", MAX_PRECISION);
        else
            put_float(f->r, b, spec, v);
    } else if (number && v.type != J_FLOAT && (!spec->type || is_any(spec->type, "dxXobn")) &&
               spec->precision < 0) {
        put_integer(f->r, b, spec, v);
    } else if (!number && (!spec->type || spec->type == 's') && spec->align != '=' && !spec->sign) {
        put_text(f->r, b, spec, jtext_of(f->r, v));
    } else {
        JFAIL(f->r, ERR_FORMAT, "the format does not fit a value of type '%s'", jval_type_name(v));
    }
}

static void brace_one(struct braces *f, struct jsb *b)
{
    struct jstr s = f->format;
    struct jval v = field_value(f);
    struct spec spec = {.fill = ' ', .precision = -1};
    if (f->r->failed)
        return;
    if (v.type == J_UNDEF)
        v = jval_str(JSTR_EMPTY);
    if (f->at + 1 < s.n && s.p[f->at] == '!') {
        struct jsb text;
        jsb_init(&text, f->r);
        if (s.p[f->at + 1] == 's')
            jtext_str(f->r, &text, v);
        else
            jtext_repr(f->r, &text, v);
        v = jval_str(jsb_take(&text));
        f->at += 2;
    }
    if (f->at < s.n && s.p[f->at] == ':') {
        f->at++;
        spec = brace_spec(f);
    }
    if (f->at >= s.n || s.p[f->at] != '}') {
        JFAIL(f->r, ERR_FORMAT, "the format has a field that is malformed or not supported");
        return;
    }
    f->at++;
    put_value(f, b, &spec, v);
}

struct jstr jformat_braces(struct jrun *r, struct jstr format, const struct jargs *args)
{
    struct braces f = {.r = r, .format = format, .args = args};
    struct jsb b;
    jsb_init(&b, r);
    while (f.at < format.n && !r->failed) {
        size_t end = until(format, f.at, "{}");
        jsb_str(&b, jstr_sub(format, f.at, end - f.at));
        f.at = end;
        if (end >= format.n)
            break;
        bool doubled = end + 1 < format.n && format.p[end + 1] == format.p[end];
        f.at += doubled ? 2 : 1;
        if (doubled)
            jsb_str(&b, jstr_sub(format, end, 1));
        else if (format.p[end] == '{')
            brace_one(&f, &b);
        else
            JFAIL(r, ERR_FORMAT, "the format has a single '}'");
    }
    return jsb_take(&b);
}
