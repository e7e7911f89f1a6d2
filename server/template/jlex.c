/* Owns: where tags begin and end, which white space around them disappears, the spelling of
 * literals. Refuses to know: what the names inside tags mean (jparse.c), except `raw`.
 *
 * Outside tags the lexer looks for the next opening sign; the text before it is cut by the rules of
 * the tag that follows, the text after a tag by the rules of the tag's closing sign, which consumes
 * the white space it removes.
 */
#include <config.h>

#include "template/jlex.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void jlex_init(struct jlex *l, const char *src, size_t n, struct jarena *arena, struct err *e)
{
    *l = (struct jlex){.src = src, .n = n, .line = 1, .arena = arena, .err = e};
}

const char *jtok_name(enum jtok_kind kind)
{
    static const char *const names[] = {
        [JTOK_END] = "end of the template",
        [JTOK_TEXT] = "text",
        [JTOK_TAG_OPEN] = "{%",
        [JTOK_TAG_CLOSE] = "%}",
        [JTOK_PRINT_OPEN] = "{{",
        [JTOK_PRINT_CLOSE] = "}}",
        [JTOK_NAME] = "name",
        [JTOK_STRING] = "string",
        [JTOK_INT] = "number",
        [JTOK_FLOAT] = "number",
        [JTOK_ADD] = "+",
        [JTOK_SUB] = "-",
        [JTOK_MUL] = "*",
        [JTOK_DIV] = "/",
        [JTOK_FLOORDIV] = "//",
        [JTOK_MOD] = "%",
        [JTOK_POW] = "**",
        [JTOK_TILDE] = "~",
        [JTOK_EQ] = "==",
        [JTOK_NE] = "!=",
        [JTOK_LT] = "<",
        [JTOK_LE] = "<=",
        [JTOK_GT] = ">",
        [JTOK_GE] = ">=",
        [JTOK_ASSIGN] = "=",
        [JTOK_PIPE] = "|",
        [JTOK_DOT] = ".",
        [JTOK_COMMA] = ",",
        [JTOK_COLON] = ":",
        [JTOK_LPAREN] = "(",
        [JTOK_RPAREN] = ")",
        [JTOK_LBRACKET] = "[",
        [JTOK_RBRACKET] = "]",
        [JTOK_LBRACE] = "{",
        [JTOK_RBRACE] = "}",
        [JTOK_IN] = "in",
    };
    return names[kind];
}

/* ---- position ---- */

static int line_of(struct jlex *l, size_t at)
{
    for (; l->line_at < at; l->line_at++)
        l->line += l->src[l->line_at] == '\n';
    return l->line;
}

static struct jtok token(struct jlex *l, enum jtok_kind kind, size_t at)
{
    return (struct jtok){.kind = kind, .line = line_of(l, at)};
}

static struct jtok fail_at(struct jlex *l, size_t at, enum err_code code, const char *what)
{
    if (!l->failed)
        err_set(l->err, code, 0, __FILE__, __LINE__, "line %d: %s", line_of(l, at), what);
    l->failed = true;
    l->at = l->n;
    l->mode = JLEX_OUTSIDE;
    l->pending = JTOK_END;
    return token(l, JTOK_END, l->line_at);
}

static bool has(const struct jlex *l, size_t at, const char *text)
{
    size_t n = strlen(text);
    return l->n - at >= n && memcmp(l->src + at, text, n) == 0;
}

static size_t skip_space(const struct jlex *l, size_t at)
{
    struct jstr s = {.p = l->src, .n = l->n};
    while (at < l->n) {
        size_t next = at;
        if (!jchar_space(jstr_next(s, &next)))
            break;
        at = next;
    }
    return at;
}

/* ---- closing signs ---- */

/* If a closing sign (two characters, such as "%}") stands at `at`, with or without - or + before
 * it, returns where reading goes on after it and the white space it removes; else 0. */
static size_t closing(const struct jlex *l, size_t at, const char *sign, bool trims_newline)
{
    if (l->src[at] == '-' && has(l, at + 1, sign))
        return skip_space(l, at + 3);
    if (trims_newline && l->src[at] == '+' && has(l, at + 1, sign))
        return at + 3;
    if (!has(l, at, sign))
        return 0;
    at += 2;
    return trims_newline && at < l->n && l->src[at] == '\n' ? at + 1 : at;
}

/* ---- outside tags ---- */

/* The text [begin, end) before a tag or comment whose opening sign is followed by `sign`. */
static struct jstr text_before(const struct jlex *l, size_t begin, size_t end, char sign,
                               bool strips_line)
{
    struct jstr s = {.p = l->src + begin, .n = end - begin};
    if (sign == '-')
        return jstr_trim(s, false, true);
    if (sign == '+' || !strips_line)
        return s;
    size_t line = s.n;
    while (line > 0 && s.p[line - 1] != '\n')
        line--;
    bool at_line_start = line > 0 || begin == 0 || l->src[begin - 1] == '\n';
    struct jstr indent = jstr_sub(s, line, s.n - line);
    if (at_line_start && jstr_trim(indent, true, false).n == 0)
        s.n = line;
    return s;
}

static size_t find_open(const struct jlex *l, size_t at)
{
    while (at < l->n) {
        const char *brace = memchr(l->src + at, '{', l->n - at);
        if (!brace)
            return l->n;
        at = (size_t)(brace - l->src);
        if (at + 1 < l->n && strchr("{%#", brace[1]) && brace[1])
            return at;
        at++;
    }
    return l->n;
}

static char sign_at(const struct jlex *l, size_t at)
{
    return at < l->n && (l->src[at] == '-' || l->src[at] == '+') ? l->src[at] : '\0';
}

/* Where reading goes on after "{% NAME %}" at `at` (NAME = raw or endraw), or 0. */
static size_t raw_tag(const struct jlex *l, size_t at, const char *name)
{
    size_t p = at + 2;
    p = skip_space(l, p + (sign_at(l, p) != '\0'));
    if (!has(l, p, name))
        return 0;
    bool ends = strcmp(name, "endraw") == 0;
    p = skip_space(l, p + strlen(name));
    return p < l->n ? closing(l, p, "%}", ends) : 0;
}

/* Text of a raw block whose opening tag ended at l->at. */
static struct jtok raw_block(struct jlex *l, size_t tag)
{
    size_t begin = l->at;
    for (size_t at = begin; at + 1 < l->n; at++) {
        const char *brace = memchr(l->src + at, '{', l->n - at);
        if (!brace)
            break;
        at = (size_t)(brace - l->src);
        size_t after = at + 1 < l->n && brace[1] == '%' ? raw_tag(l, at, "endraw") : 0;
        if (!after)
            continue;
        struct jtok t = token(l, JTOK_TEXT, begin);
        t.text = text_before(l, begin, at, sign_at(l, at + 2), true);
        l->at = after;
        return t;
    }
    return fail_at(l, tag, ERR_FORMAT, "raw is never closed, {% endraw %} is missing");
}

static bool skip_comment(struct jlex *l, size_t at)
{
    size_t begin = at + 2;
    begin += sign_at(l, begin) != '\0';
    for (size_t p = begin; p < l->n; p++) {
        const char *hash = memchr(l->src + p, '#', l->n - p);
        if (!hash)
            break;
        size_t end = (size_t)(hash - l->src);
        if (end > begin && sign_at(l, end - 1) && has(l, end, "#}"))
            end--;
        size_t after = closing(l, end, "#}", true);
        if (after) {
            l->at = after;
            return true;
        }
        p = (size_t)(hash - l->src);
    }
    fail_at(l, at, ERR_FORMAT, "a comment is never closed, #} is missing");
    return false;
}

static struct jtok open_tag(struct jlex *l, enum jtok_kind kind)
{
    struct jtok t = token(l, kind, l->at);
    l->at += 2;
    l->at += sign_at(l, l->at) != '\0';
    l->mode = kind == JTOK_TAG_OPEN ? JLEX_TAG : JLEX_PRINT;
    l->open = 0;
    return t;
}

static struct jtok outside(struct jlex *l)
{
    if (l->pending != JTOK_END) {
        enum jtok_kind kind = l->pending;
        l->pending = JTOK_END;
        return open_tag(l, kind);
    }
    while (l->at < l->n) {
        size_t begin = l->at, at = find_open(l, begin);
        char kind = at < l->n ? l->src[at + 1] : '\0';
        struct jtok t = token(l, JTOK_TEXT, begin);
        t.text = (struct jstr){.p = l->src + begin, .n = at - begin};
        if (kind)
            t.text = text_before(l, begin, at, sign_at(l, at + 2), kind != '{');
        l->at = at;
        size_t raw = kind == '%' ? raw_tag(l, at, "raw") : 0;
        if (kind == '#') {
            if (!skip_comment(l, at))
                return token(l, JTOK_END, l->line_at);
        } else if (raw) {
            /* the text before a raw block comes first; the block follows on the next call */
            if (t.text.n)
                return t;
            l->at = raw;
            return raw_block(l, at);
        } else if (kind) {
            l->pending = kind == '%' ? JTOK_TAG_OPEN : JTOK_PRINT_OPEN;
        }
        if (t.text.n)
            return t;
        if (l->pending != JTOK_END)
            return outside(l);
    }
    return token(l, JTOK_END, l->n);
}

/* ---- inside tags: literals ---- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* Digits of `base`, single underscores between them. Returns the end. */
static size_t digits(const struct jlex *l, size_t at, int base)
{
    while (at < l->n) {
        if (digit_value(l->src[at]) < base)
            at++;
        else if (l->src[at] == '_' && at + 1 < l->n && digit_value(l->src[at + 1]) < base)
            at++;
        else
            break;
    }
    return at;
}

static struct jtok integer(struct jlex *l, size_t begin, size_t end, int base)
{
    struct jtok t = token(l, JTOK_INT, begin);
    for (size_t at = begin; at < end; at++) {
        if (l->src[at] == '_')
            continue;
        if (__builtin_mul_overflow(t.i, base, &t.i) ||
            __builtin_add_overflow(t.i, digit_value(l->src[at]), &t.i))
            return fail_at(l, begin, ERR_LIMIT, "a number is too large (64 bits are allowed)");
    }
    l->at = end;
    return t;
}

static struct jtok floating(struct jlex *l, size_t begin, size_t end)
{
    struct jtok t = token(l, JTOK_FLOAT, begin);
    char text[64];
    size_t n = 0;
    for (size_t at = begin; at < end; at++) {
        if (l->src[at] == '_')
            continue;
        if (n == sizeof text - 1)
            return fail_at(l, begin, ERR_LIMIT, "a number has too many digits");
        text[n++] = l->src[at];
    }
    text[n] = '\0';
    t.f = strtod(text, NULL);
    l->at = end;
    return t;
}

static struct jtok number(struct jlex *l)
{
    size_t begin = l->at;
    char second = begin + 2 < l->n && l->src[begin] == '0' ? l->src[begin + 1] : '\0';
    int base = strchr("xX", second) && second   ? 16
               : strchr("oO", second) && second ? 8
               : strchr("bB", second) && second ? 2
                                                : 10;
    if (base != 10) {
        size_t end = digits(l, begin + 2, base);
        if (end > begin + 2)
            return integer(l, begin + 2, end, base);
    }
    size_t end = digits(l, begin, 10), whole = end;
    bool after_dot = begin > 0 && l->src[begin - 1] == '.';
    if (!after_dot && end + 1 < l->n && l->src[end] == '.' && digit_value(l->src[end + 1]) < 10)
        end = digits(l, end + 1, 10);
    if (!after_dot && end + 1 < l->n && (l->src[end] == 'e' || l->src[end] == 'E')) {
        size_t p = end + 1;
        p += sign_at(l, p) != '\0';
        if (p < l->n && digit_value(l->src[p]) < 10)
            end = digits(l, p, 10);
    }
    return end > whole ? floating(l, begin, end) : integer(l, begin, end, 10);
}

/* Writes the character that the escape at src[at] (after the backslash) stands for to `out`.
 * Returns the bytes read, 0 when it is malformed; *n_out = bytes written (at most 8). */
static size_t escape(const struct jlex *l, size_t at, size_t end, char *out, size_t *n_out)
{
    static const char plain[] = "n\nt\tr\rb\bf\fv\va\a\\\\''\"\"";
    char c = l->src[at];
    *n_out = 1;
    for (size_t i = 0; plain[i]; i += 2) {
        if (plain[i] == c) {
            out[0] = plain[i + 1];
            return 1;
        }
    }
    uint32_t cp = 0;
    size_t used = 1, want = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == '\n') {
        *n_out = 0;
        return 1;
    }
    if (c >= '0' && c <= '7') {
        for (used = 0; used < 3 && at + used < end && digit_value(l->src[at + used]) < 8; used++)
            cp = cp * 8 + (uint32_t)digit_value(l->src[at + used]);
    } else if (want) {
        for (; used <= want; used++) {
            if (at + used >= end || digit_value(l->src[at + used]) > 15)
                return 0;
            cp = cp * 16 + (uint32_t)digit_value(l->src[at + used]);
        }
    } else { /* not an escape: both characters stay */
        out[0] = '\\';
        out[1] = c;
        *n_out = (unsigned char)c < 0x80 ? 2 : 1;
        return (unsigned char)c < 0x80 ? 1 : (size_t)-1;
    }
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        return 0;
    *n_out = utf8_encode(cp, out);
    return used;
}

/* src[begin, end) between the quotes, with backslashes. */
static struct jtok unescape(struct jlex *l, size_t begin, size_t end)
{
    struct jtok t = token(l, JTOK_STRING, begin);
    char *p = jarena_alloc(l->arena, end - begin);
    if (!p)
        return fail_at(l, begin, l->arena->out_of_memory ? ERR_NOMEM : ERR_LIMIT,
                       "the template needs too much memory");
    size_t n = 0;
    for (size_t at = begin; at < end;) {
        if (l->src[at] != '\\') {
            p[n++] = l->src[at++];
            continue;
        }
        char out[8];
        size_t n_out, used = escape(l, at + 1, end, out, &n_out);
        if (used == 0)
            return fail_at(l, at, ERR_FORMAT, "a string contains a malformed \\ escape");
        memcpy(p + n, out, n_out); /* never longer than its spelling */
        n += n_out;
        at += 1 + (used == (size_t)-1 ? 0 : used);
    }
    t.text = (struct jstr){.p = p, .n = n};
    return t;
}

static struct jtok string(struct jlex *l)
{
    size_t begin = l->at + 1, at = begin;
    char quote = l->src[l->at];
    bool escapes = false;
    while (at < l->n && l->src[at] != quote) {
        if (l->src[at] == '\\') {
            escapes = true;
            at++;
        }
        at++;
    }
    if (at >= l->n)
        return fail_at(l, l->at, ERR_FORMAT, "a string is never closed");
    struct jtok t = token(l, JTOK_STRING, begin);
    t.text = (struct jstr){.p = l->src + begin, .n = at - begin};
    if (escapes)
        t = unescape(l, begin, at);
    if (!l->failed)
        l->at = at + 1;
    return t;
}

/* ---- inside tags: the rest ---- */

static struct jtok name(struct jlex *l, size_t end)
{
    struct jtok t = token(l, JTOK_NAME, l->at);
    struct jstr s = {.p = l->src, .n = l->n};
    size_t at = end;
    while (at < l->n) {
        size_t next = at;
        if (!jchar_word(jstr_next(s, &next)))
            break;
        at = next;
    }
    t.text = jstr_sub(s, l->at, at - l->at);
    l->at = at;
    return t;
}

static struct jtok operator_at(struct jlex *l)
{
    static const struct {
        char text[3];
        enum jtok_kind kind;
    } table[] = {
        {"//", JTOK_FLOORDIV}, {"**", JTOK_POW},     {"==", JTOK_EQ},      {"!=", JTOK_NE},
        {"<=", JTOK_LE},       {">=", JTOK_GE},      {"+", JTOK_ADD},      {"-", JTOK_SUB},
        {"*", JTOK_MUL},       {"/", JTOK_DIV},      {"%", JTOK_MOD},      {"~", JTOK_TILDE},
        {"<", JTOK_LT},        {">", JTOK_GT},       {"=", JTOK_ASSIGN},   {"|", JTOK_PIPE},
        {".", JTOK_DOT},       {",", JTOK_COMMA},    {":", JTOK_COLON},    {"(", JTOK_LPAREN},
        {")", JTOK_RPAREN},    {"[", JTOK_LBRACKET}, {"]", JTOK_RBRACKET}, {"{", JTOK_LBRACE},
        {"}", JTOK_RBRACE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!has(l, l->at, table[i].text))
            continue;
        enum jtok_kind kind = table[i].kind;
        bool opens = kind == JTOK_LPAREN || kind == JTOK_LBRACKET || kind == JTOK_LBRACE;
        bool closes = kind == JTOK_RPAREN || kind == JTOK_RBRACKET || kind == JTOK_RBRACE;
        if (closes && l->open == 0)
            return fail_at(l, l->at, ERR_FORMAT, "a closing bracket has no opening one");
        l->open += opens;
        l->open -= closes;
        struct jtok t = token(l, kind, l->at);
        l->at += strlen(table[i].text);
        return t;
    }
    return fail_at(l, l->at, ERR_FORMAT, "a character that means nothing inside a tag");
}

static struct jtok inside(struct jlex *l)
{
    l->at = skip_space(l, l->at);
    if (l->at >= l->n)
        return fail_at(l, l->n, ERR_FORMAT,
                       l->mode == JLEX_TAG ? "a tag is never closed, %} is missing"
                                           : "an expression is never closed, }} is missing");
    if (l->open == 0) {
        bool tag = l->mode == JLEX_TAG;
        size_t after = closing(l, l->at, tag ? "%}" : "}}", tag);
        if (after) {
            struct jtok t = token(l, tag ? JTOK_TAG_CLOSE : JTOK_PRINT_CLOSE, l->at);
            l->at = after;
            l->mode = JLEX_OUTSIDE;
            return t;
        }
    }
    char c = l->src[l->at];
    if (c >= '0' && c <= '9')
        return number(l);
    if (c == '\'' || c == '"')
        return string(l);
    size_t end = l->at;
    uint32_t cp = jstr_next((struct jstr){.p = l->src, .n = l->n}, &end);
    if (cp == '_' || jchar_alpha(cp))
        return name(l, end);
    return operator_at(l);
}

struct jtok jlex_next(struct jlex *l)
{
    if (l->failed)
        return token(l, JTOK_END, l->line_at);
    return l->mode == JLEX_OUTSIDE ? outside(l) : inside(l);
}
