/* Owns: the grammar (the one of Jinja 3.1, minus templates that load templates), the numbering of
 * names, and the nesting limit. Refuses to know: what anything means when it runs (jeval.c).
 *
 * Recursive descent with one token of look-ahead. Every construct that can contain itself passes
 * through enter(), which counts; chains are loops. After the first error the current token is the
 * end of the template, so that everything unwinds.
 */
#include <config.h>

#include "template/jparse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "template/jast.h"
#include "template/jbuiltin.h"
#include "template/jinja.h"
#include "template/jlex.h"

struct parse {
    struct jinja_template *t;
    struct jlex lex;
    struct jtok cur, ahead;
    bool has_ahead;
    struct err *err;
    bool failed;
    unsigned depth, max_depth;
    unsigned loops;       /* loops around this place, within the macro */
    unsigned conditional; /* branches around this place: unknown filters fail only when reached */
    struct jop *unknown;  /* first unknown filter or test that would be reached for sure */
    bool used_name[JNAME_FIRST_FREE]; /* of the macro being read */
    bool defined_macro;               /* since the flag was last cleared */
    uint32_t *index;                  /* name ids by hash, + 1 */
    size_t index_cap, names_cap;
};

/* ---- errors, memory, tokens ---- */

static void fail_code(struct parse *p, int line, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void fail_code(struct parse *p, int line, enum err_code code, const char *fmt, ...)
{
    if (!p->failed && !p->lex.failed) {
        char text[sizeof p->err->msg];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        err_set(p->err, code, 0, __FILE__, __LINE__, "line %d: %s", line, text);
    }
    p->failed = true;
    p->has_ahead = false;
    p->cur = (struct jtok){.kind = JTOK_END, .line = line};
}

#define PFAIL(p, ...) fail_code((p), (p)->cur.line, ERR_FORMAT, __VA_ARGS__)

/* Zeroed memory of the template. On failure a dummy is impossible, so callers check for NULL. */
static void *make(struct parse *p, size_t bytes)
{
    void *m = p->failed ? NULL : jarena_alloc(&p->t->arena, bytes);
    if (m)
        return memset(m, 0, bytes);
    fail_code(p, p->cur.line, p->t->arena.out_of_memory ? ERR_NOMEM : ERR_LIMIT,
              "the template needs too much memory");
    return NULL;
}

static void advance(struct parse *p)
{
    if (p->failed)
        return;
    p->cur = p->has_ahead ? p->ahead : jlex_next(&p->lex);
    p->has_ahead = false;
    if (p->lex.failed)
        p->failed = true;
}

static const struct jtok *peek(struct parse *p)
{
    if (!p->has_ahead && !p->failed) {
        p->ahead = jlex_next(&p->lex);
        p->has_ahead = true;
        if (p->lex.failed)
            fail_code(p, p->cur.line, ERR_FORMAT, "syntax");
    }
    return p->has_ahead ? &p->ahead : &p->cur;
}

static bool at_name(const struct parse *p, const char *name)
{
    return p->cur.kind == JTOK_NAME && jstr_is(p->cur.text, name);
}

static bool skip_name(struct parse *p, const char *name)
{
    if (!at_name(p, name))
        return false;
    advance(p);
    return true;
}

static bool skip(struct parse *p, enum jtok_kind kind)
{
    if (p->cur.kind != kind)
        return false;
    advance(p);
    return true;
}

static void fail_expected(struct parse *p, const char *what)
{
    if (p->cur.kind == JTOK_NAME)
        PFAIL(p, "expected %s, got '%.*s'", what, (int)(p->cur.text.n < 60 ? p->cur.text.n : 60),
              p->cur.text.p);
    else
        PFAIL(p, "expected %s, got %s", what, jtok_name(p->cur.kind));
}

static bool expect(struct parse *p, enum jtok_kind kind)
{
    if (p->cur.kind == kind) {
        advance(p);
        return !p->failed;
    }
    fail_expected(p, jtok_name(kind));
    return false;
}

static struct jstr expect_name(struct parse *p)
{
    struct jstr s = p->cur.text;
    if (p->cur.kind != JTOK_NAME) {
        fail_expected(p, "a name");
        return JSTR_EMPTY;
    }
    advance(p);
    return s;
}

static bool enter(struct parse *p)
{
    if (++p->depth <= p->max_depth)
        return true;
    fail_code(p, p->cur.line, ERR_LIMIT, "tags and expressions are nested deeper than %u",
              p->max_depth);
    return false;
}

static void leave(struct parse *p)
{
    p->depth--;
}

/* ---- names ---- */

static uint64_t hash_name(struct jstr s)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h ^ h >> 31;
}

static bool grow_names(struct parse *p)
{
    struct jinja_template *t = p->t;
    if (t->n_names < p->names_cap)
        return true;
    size_t cap = p->names_cap ? p->names_cap * 2 : 64;
    struct jname *names = make(p, cap * sizeof *names);
    uint32_t *index = make(p, cap * 2 * sizeof *index);
    if (!names || !index)
        return false;
    if (t->n_names)
        memcpy(names, t->names, t->n_names * sizeof *names);
    for (size_t i = 0; i < t->n_names; i++) {
        size_t at = hash_name((struct jstr){.p = names[i].p, .n = names[i].n}) & (cap * 2 - 1);
        while (index[at])
            at = (at + 1) & (cap * 2 - 1);
        index[at] = (uint32_t)i + 1;
    }
    t->names = names;
    p->names_cap = cap;
    p->index = index;
    p->index_cap = cap * 2;
    return true;
}

/* Id of a name; the same text always has the same id. */
static uint32_t intern(struct parse *p, struct jstr s)
{
    struct jinja_template *t = p->t;
    if (!grow_names(p))
        return 0;
    size_t at = hash_name(s) & (p->index_cap - 1);
    for (; p->index[at]; at = (at + 1) & (p->index_cap - 1)) {
        struct jname *n = &t->names[p->index[at] - 1];
        if (jstr_equal((struct jstr){.p = n->p, .n = n->n}, s))
            return p->index[at] - 1;
    }
    t->names[t->n_names] = (struct jname){.p = s.p, .n = (uint32_t)s.n};
    p->index[at] = (uint32_t)++t->n_names;
    return (uint32_t)t->n_names - 1;
}

/* ---- expressions ---- */

static struct jexpr *parse_expr(struct parse *p);
static struct jexpr *parse_or(struct parse *p);
static struct jexpr *parse_unary(struct parse *p, bool with_filters);
static struct jexpr *parse_tuple(struct parse *p, struct jexpr *(*element)(struct parse *),
                                 bool may_be_empty);

static struct jexpr *make_expr(struct parse *p, enum jexpr_kind kind)
{
    struct jexpr *x = make(p, sizeof *x);
    if (x) {
        x->kind = kind;
        x->line = p->cur.line;
    }
    return x;
}

static struct jexpr *constant(struct parse *p, struct jval v)
{
    struct jexpr *x = make_expr(p, JX_CONST);
    if (x)
        x->value = v;
    advance(p);
    return x;
}

static struct jexpr *parse_name(struct parse *p)
{
    struct jstr s = p->cur.text;
    if (jstr_is(s, "true") || jstr_is(s, "True"))
        return constant(p, jval_bool(true));
    if (jstr_is(s, "false") || jstr_is(s, "False"))
        return constant(p, jval_bool(false));
    if (jstr_is(s, "none") || jstr_is(s, "None"))
        return constant(p, JVAL_NONE);
    struct jexpr *x = make_expr(p, JX_NAME);
    if (!x)
        return NULL;
    x->name = intern(p, s);
    if (x->name < JNAME_FIRST_FREE)
        p->used_name[x->name] = true;
    advance(p);
    return x;
}

/* Neighbouring strings are one string. */
static struct jexpr *parse_string(struct parse *p)
{
    struct jexpr *x = constant(p, jval_str(p->cur.text));
    while (x && p->cur.kind == JTOK_STRING) {
        struct jstr a = x->value.s, b = p->cur.text;
        char *joined = make(p, a.n + b.n);
        if (!joined)
            return NULL;
        if (a.n)
            memcpy(joined, a.p, a.n);
        if (b.n)
            memcpy(joined + a.n, b.p, b.n);
        x->value.s = (struct jstr){.p = joined, .n = a.n + b.n};
        advance(p);
    }
    return x;
}

/* Appends an element and returns where the next one goes. */
static struct jpart **append_part(struct parse *p, struct jpart **end, enum jtok_kind op,
                                  struct jexpr *key, struct jexpr *x)
{
    struct jpart *part = make(p, sizeof *part);
    if (!part)
        return end;
    *part = (struct jpart){.op = op, .key = key, .x = x};
    *end = part;
    return &part->next;
}

static struct jexpr *parse_list(struct parse *p)
{
    struct jexpr *x = make_expr(p, JX_LIST);
    advance(p);
    if (!x)
        return NULL;
    struct jpart **end = &x->rest;
    while (!p->failed && p->cur.kind != JTOK_RBRACKET) {
        end = append_part(p, end, JTOK_COMMA, NULL, parse_expr(p));
        if (p->cur.kind != JTOK_RBRACKET)
            expect(p, JTOK_COMMA);
    }
    expect(p, JTOK_RBRACKET);
    return x;
}

static struct jexpr *parse_dict(struct parse *p)
{
    struct jexpr *x = make_expr(p, JX_DICT);
    advance(p);
    if (!x)
        return NULL;
    struct jpart **end = &x->rest;
    while (!p->failed && p->cur.kind != JTOK_RBRACE) {
        struct jexpr *key = parse_expr(p);
        expect(p, JTOK_COLON);
        end = append_part(p, end, JTOK_COLON, key, parse_expr(p));
        if (p->cur.kind != JTOK_RBRACE)
            expect(p, JTOK_COMMA);
    }
    expect(p, JTOK_RBRACE);
    return x;
}

static struct jexpr *parse_primary(struct parse *p)
{
    struct jexpr *x;
    switch (p->cur.kind) {
    case JTOK_NAME:
        return parse_name(p);
    case JTOK_STRING:
        return parse_string(p);
    case JTOK_INT:
        return constant(p, jval_int(p->cur.i));
    case JTOK_FLOAT:
        return constant(p, jval_float(p->cur.f));
    case JTOK_LPAREN:
        advance(p);
        x = parse_tuple(p, parse_expr, true);
        expect(p, JTOK_RPAREN);
        return x;
    case JTOK_LBRACKET:
        return parse_list(p);
    case JTOK_LBRACE:
        return parse_dict(p);
    default:
        fail_expected(p, "an expression");
        return NULL;
    }
}

static struct jarg *parse_arg(struct parse *p)
{
    struct jarg *a = make(p, sizeof *a);
    if (!a)
        return NULL;
    if (skip(p, JTOK_MUL)) {
        a->kind = JARG_STAR;
    } else if (skip(p, JTOK_POW)) {
        a->kind = JARG_STAR_STAR;
    } else if (p->cur.kind == JTOK_NAME && peek(p)->kind == JTOK_ASSIGN) {
        a->kind = JARG_NAMED;
        a->name = p->cur.text;
        advance(p);
        advance(p);
    }
    a->x = parse_expr(p);
    return a;
}

/* "(…)" at the current token. */
static struct jarg *parse_args(struct parse *p)
{
    struct jarg *first = NULL, **end = &first;
    enum jarg_kind last = JARG_PLAIN;
    expect(p, JTOK_LPAREN);
    while (!p->failed && p->cur.kind != JTOK_RPAREN) {
        struct jarg *a = parse_arg(p);
        if (!a)
            return NULL;
        if (a->kind == JARG_PLAIN && last != JARG_PLAIN)
            PFAIL(p, "a positional argument follows a named one");
        last = a->kind;
        *end = a;
        end = &a->next;
        if (p->cur.kind != JTOK_RPAREN)
            expect(p, JTOK_COMMA);
    }
    expect(p, JTOK_RPAREN);
    return first;
}

static struct jop *make_op(struct parse *p, enum jop_kind kind)
{
    struct jop *op = make(p, sizeof *op);
    if (op) {
        op->kind = kind;
        op->line = p->cur.line;
    }
    return op;
}

/* Name of a filter or test, dots included. */
static struct jstr parse_dotted(struct parse *p)
{
    struct jstr s = expect_name(p);
    while (!p->failed && skip(p, JTOK_DOT)) {
        struct jstr more = expect_name(p);
        if (!p->failed)
            s.n = (size_t)(more.p + more.n - s.p);
    }
    return s;
}

static void note_unknown(struct parse *p, struct jop *op)
{
    if (!op->def && !p->conditional && !p->unknown)
        p->unknown = op;
}

/* "| NAME (…)" with the sign already read. */
static struct jop *parse_filter(struct parse *p)
{
    struct jop *op = make_op(p, JOP_FILTER);
    if (!op)
        return NULL;
    op->name = parse_dotted(p);
    op->def = jfilter_find(op->name);
    if (p->cur.kind == JTOK_LPAREN)
        op->args = parse_args(p);
    note_unknown(p, op);
    return op;
}

/* Whether the current token begins the one argument a test may have without parentheses. */
static bool begins_test_argument(const struct parse *p)
{
    static const char *const words[] = {"else", "or",  "and", "is",       "if",
                                        "in",   "not", "for", "recursive"};
    switch (p->cur.kind) {
    case JTOK_STRING:
    case JTOK_INT:
    case JTOK_FLOAT:
    case JTOK_LBRACKET:
    case JTOK_LBRACE:
        return true;
    case JTOK_NAME:
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            if (at_name(p, words[i]))
                return false;
        }
        return true;
    default:
        return false;
    }
}

static void parse_postfix(struct parse *p, struct jexpr **base, struct jop ***end);

static struct jop *parse_test(struct parse *p)
{
    advance(p); /* is */
    struct jop *op = make_op(p, JOP_TEST);
    if (!op)
        return NULL;
    op->negated = skip_name(p, "not");
    op->name = parse_dotted(p);
    op->def = jtest_find(op->name);
    if (p->cur.kind == JTOK_LPAREN) {
        op->args = parse_args(p);
    } else if (begins_test_argument(p)) {
        struct jarg *a = make(p, sizeof *a);
        struct jexpr *x = parse_primary(p);
        struct jop **end = NULL;
        parse_postfix(p, &x, &end);
        if (!a)
            return NULL;
        a->x = x;
        op->args = a;
    }
    note_unknown(p, op);
    return op;
}

/* What stands between the brackets of a[…]. */
static struct jop *parse_subscript(struct parse *p)
{
    struct jop *op = make_op(p, JOP_ITEM);
    advance(p);
    if (!op)
        return NULL;
    for (int i = 0; i < 3; i++) {
        if (p->cur.kind != JTOK_COLON && p->cur.kind != JTOK_RBRACKET)
            op->index[i] = parse_tuple(p, parse_expr, false);
        if (i == 2 || p->cur.kind != JTOK_COLON)
            break;
        op->kind = JOP_SLICE;
        advance(p);
    }
    if (op->kind == JOP_ITEM && !op->index[0])
        fail_expected(p, "an expression");
    expect(p, JTOK_RBRACKET);
    return op;
}

static struct jop *parse_attribute(struct parse *p)
{
    advance(p); /* . */
    struct jop *op = make_op(p, JOP_ATTR);
    if (op && p->cur.kind == JTOK_INT) {
        op->kind = JOP_ITEM;
        op->index[0] = constant(p, jval_int(p->cur.i));
    } else if (op) {
        op->name = expect_name(p);
    }
    return op;
}

static struct jop *parse_call(struct parse *p)
{
    struct jop *op = make_op(p, JOP_CALL);
    struct jarg *args = parse_args(p);
    if (op)
        op->args = args;
    return op;
}

/* Hangs an operation on *base, which becomes a postfix expression if it is none yet. *end: where
 * the next operation goes; NULL at first. */
static void add_op(struct parse *p, struct jexpr **base, struct jop ***end, struct jop *op)
{
    if (!op || !*base)
        return;
    if (!*end) {
        struct jexpr *x = make_expr(p, JX_POSTFIX);
        if (!x)
            return;
        x->base = *base;
        *base = x;
        *end = &x->ops;
    }
    **end = op;
    *end = &op->next;
}

static void parse_postfix(struct parse *p, struct jexpr **base, struct jop ***end)
{
    while (!p->failed) {
        if (p->cur.kind == JTOK_DOT)
            add_op(p, base, end, parse_attribute(p));
        else if (p->cur.kind == JTOK_LBRACKET)
            add_op(p, base, end, parse_subscript(p));
        else if (p->cur.kind == JTOK_LPAREN)
            add_op(p, base, end, parse_call(p));
        else
            return;
    }
}

static void parse_filters(struct parse *p, struct jexpr **base, struct jop ***end)
{
    while (!p->failed) {
        if (skip(p, JTOK_PIPE))
            add_op(p, base, end, parse_filter(p));
        else if (at_name(p, "is"))
            add_op(p, base, end, parse_test(p));
        else if (p->cur.kind == JTOK_LPAREN)
            add_op(p, base, end, parse_call(p));
        else
            return;
    }
}

static struct jexpr *parse_unary(struct parse *p, bool with_filters)
{
    struct jexpr *x;
    if (p->cur.kind == JTOK_SUB || p->cur.kind == JTOK_ADD) {
        x = make_expr(p, p->cur.kind == JTOK_SUB ? JX_NEG : JX_POS);
        advance(p);
        if (!enter(p))
            return NULL;
        struct jexpr *operand = parse_unary(p, false);
        leave(p);
        if (x)
            x->first = operand;
    } else {
        x = parse_primary(p);
    }
    struct jop **end = NULL;
    parse_postfix(p, &x, &end);
    if (with_filters)
        parse_filters(p, &x, &end);
    return x;
}

static struct jexpr *parse_unary_full(struct parse *p)
{
    return parse_unary(p, true);
}

/* operand (operator operand)… with the operators lo … hi. */
static struct jexpr *parse_chain(struct parse *p, enum jexpr_kind kind, enum jtok_kind lo,
                                 enum jtok_kind hi, struct jexpr *(*operand)(struct parse *))
{
    struct jexpr *first = operand(p);
    if (p->cur.kind < lo || p->cur.kind > hi)
        return first;
    struct jexpr *x = make_expr(p, kind);
    if (!x)
        return NULL;
    x->first = first;
    struct jpart **end = &x->rest;
    while (p->cur.kind >= lo && p->cur.kind <= hi) {
        enum jtok_kind op = p->cur.kind;
        advance(p);
        end = append_part(p, end, op, NULL, operand(p));
    }
    return x;
}

static struct jexpr *parse_pow(struct parse *p)
{
    return parse_chain(p, JX_ARITH, JTOK_POW, JTOK_POW, parse_unary_full);
}

static struct jexpr *parse_product(struct parse *p)
{
    return parse_chain(p, JX_ARITH, JTOK_MUL, JTOK_MOD, parse_pow);
}

static struct jexpr *parse_concat(struct parse *p)
{
    return parse_chain(p, JX_CONCAT, JTOK_TILDE, JTOK_TILDE, parse_product);
}

static struct jexpr *parse_sum(struct parse *p)
{
    return parse_chain(p, JX_ARITH, JTOK_ADD, JTOK_SUB, parse_concat);
}

/* Reads a comparison operator; false when there is none. */
static bool comparison(struct parse *p, enum jtok_kind *op, bool *negated)
{
    *negated = false;
    *op = p->cur.kind;
    if (p->cur.kind >= JTOK_EQ && p->cur.kind <= JTOK_GE) {
        advance(p);
        return true;
    }
    *op = JTOK_IN;
    if (skip_name(p, "in"))
        return true;
    if (!at_name(p, "not") || peek(p)->kind != JTOK_NAME || !jstr_is(peek(p)->text, "in"))
        return false;
    *negated = true;
    advance(p);
    advance(p);
    return true;
}

static struct jexpr *parse_compare(struct parse *p)
{
    struct jexpr *first = parse_sum(p), *x = NULL;
    struct jpart **end = NULL;
    enum jtok_kind op;
    bool negated;
    while (!p->failed && comparison(p, &op, &negated)) {
        if (!x) {
            x = make_expr(p, JX_COMPARE);
            if (!x)
                return NULL;
            x->first = first;
            end = &x->rest;
        }
        struct jpart **next = append_part(p, end, op, NULL, parse_sum(p));
        if (*end)
            (*end)->negated = negated;
        end = next;
    }
    return x ? x : first;
}

static struct jexpr *parse_not(struct parse *p)
{
    if (!at_name(p, "not"))
        return parse_compare(p);
    struct jexpr *x = make_expr(p, JX_NOT);
    advance(p);
    if (!enter(p))
        return NULL;
    struct jexpr *operand = parse_not(p);
    leave(p);
    if (x)
        x->first = operand;
    return x;
}

static struct jexpr *parse_words(struct parse *p, enum jexpr_kind kind, const char *word,
                                 struct jexpr *(*operand)(struct parse *))
{
    struct jexpr *first = operand(p);
    if (!at_name(p, word))
        return first;
    struct jexpr *x = make_expr(p, kind);
    if (!x)
        return NULL;
    x->first = first;
    struct jpart **end = &x->rest;
    while (skip_name(p, word))
        end = append_part(p, end, JTOK_NAME, NULL, operand(p));
    return x;
}

static struct jexpr *parse_and(struct parse *p)
{
    return parse_words(p, JX_AND, "and", parse_not);
}

static struct jexpr *parse_or(struct parse *p)
{
    return parse_words(p, JX_OR, "or", parse_and);
}

/* yes [if test [else no]] */
static struct jexpr *parse_expr(struct parse *p)
{
    struct jop *unknown = p->unknown;
    if (!enter(p))
        return NULL;
    struct jexpr *x = parse_or(p);
    while (!p->failed && at_name(p, "if")) {
        p->unknown = unknown; /* an unknown filter in the first part may never be reached */
        p->conditional++;
        struct jexpr *cond = make_expr(p, JX_COND);
        advance(p);
        struct jexpr *test = parse_or(p);
        struct jexpr *no = skip_name(p, "else") ? parse_expr(p) : NULL;
        p->conditional--;
        if (!cond)
            break;
        cond->test = test;
        cond->yes = x;
        cond->no = no;
        x = cond;
    }
    leave(p);
    return p->failed ? NULL : x;
}

static bool ends_tuple(const struct parse *p)
{
    return p->cur.kind == JTOK_TAG_CLOSE || p->cur.kind == JTOK_PRINT_CLOSE ||
           p->cur.kind == JTOK_RPAREN || p->cur.kind == JTOK_RBRACKET || at_name(p, "in") ||
           at_name(p, "recursive");
}

/* One element, or with a comma a tuple of them. */
static struct jexpr *parse_tuple(struct parse *p, struct jexpr *(*element)(struct parse *),
                                 bool may_be_empty)
{
    struct jexpr *x = NULL;
    if (!may_be_empty || p->cur.kind != JTOK_RPAREN) {
        struct jexpr *first = element(p);
        if (p->cur.kind != JTOK_COMMA)
            return first;
        x = make_expr(p, JX_TUPLE);
        if (!x)
            return NULL;
        struct jpart **end = append_part(p, &x->rest, JTOK_COMMA, NULL, first);
        while (skip(p, JTOK_COMMA) && !ends_tuple(p))
            end = append_part(p, end, JTOK_COMMA, NULL, element(p));
        return x;
    }
    return make_expr(p, JX_TUPLE);
}

/* ---- targets and signatures ---- */

static struct jtarget *parse_target(struct parse *p, bool fields);

static struct jtarget *parse_target_item(struct parse *p, bool fields)
{
    if (skip(p, JTOK_LPAREN)) {
        if (!enter(p))
            return NULL;
        struct jtarget *t = parse_target(p, fields);
        leave(p);
        expect(p, JTOK_RPAREN);
        return t;
    }
    static const char *const reserved[] = {"true", "True", "false", "False", "none", "None"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (at_name(p, reserved[i]))
            PFAIL(p, "cannot assign to '%s'", reserved[i]);
    }
    struct jtarget *t = make(p, sizeof *t);
    struct jstr s = expect_name(p);
    if (p->failed || !t)
        return NULL;
    t->name = intern(p, s);
    if (fields && skip(p, JTOK_DOT)) {
        t->kind = JT_FIELD;
        t->field = expect_name(p);
    }
    return t;
}

static struct jtarget *parse_target(struct parse *p, bool fields)
{
    struct jtarget *first = parse_target_item(p, fields);
    if (p->cur.kind != JTOK_COMMA)
        return first;
    struct jtarget *t = make(p, sizeof *t);
    if (!t || !first)
        return NULL;
    t->kind = JT_TUPLE;
    t->items = first;
    t->n_items = 1;
    for (struct jtarget *last = first;
         skip(p, JTOK_COMMA) && !ends_tuple(p) && p->cur.kind != JTOK_ASSIGN;
         last = last->next, t->n_items++) {
        last->next = parse_target_item(p, fields);
        if (!last->next)
            return NULL;
    }
    return t;
}

static void parse_signature(struct parse *p, struct jcallable *c)
{
    struct jparam **end = &c->params;
    bool optional = false;
    expect(p, JTOK_LPAREN);
    while (!p->failed && p->cur.kind != JTOK_RPAREN) {
        struct jparam *param = make(p, sizeof *param);
        if (!param)
            return;
        param->text = expect_name(p);
        param->name = intern(p, param->text);
        if (skip(p, JTOK_ASSIGN))
            param->fallback = parse_expr(p);
        else if (optional)
            PFAIL(p, "a parameter without default follows one with a default");
        optional = param->fallback != NULL;
        *end = param;
        end = &param->next;
        if (p->cur.kind != JTOK_RPAREN)
            expect(p, JTOK_COMMA);
    }
    expect(p, JTOK_RPAREN);
}

/* ---- statements ---- */

/* Statements up to a tag whose name is in `ends` (separated by spaces); the parser then stands on
 * that name. `opener`: the tag that is open, NULL at the top. */
static struct jstmt *parse_body(struct parse *p, const char *opener, int line, const char *ends);

static bool word_in(struct jstr s, const char *words)
{
    for (const char *w = words; w && *w;) {
        size_t n = strcspn(w, " ");
        if (s.n == n && memcmp(s.p, w, n) == 0)
            return true;
        w += n + (w[n] == ' ');
    }
    return false;
}

/* Reads "%}", the body and "{% END %}", all but the last "%}". */
static struct jstmt *parse_block(struct parse *p, const char *opener, int line, const char *ends)
{
    expect(p, JTOK_TAG_CLOSE);
    if (!enter(p))
        return NULL;
    struct jstmt *body = parse_body(p, opener, line, ends);
    leave(p);
    return body;
}

static void parse_if(struct parse *p, struct jstmt *s)
{
    struct jbranch **end = &s->branches;
    for (bool more = true; more && !p->failed;) {
        bool otherwise = at_name(p, "else");
        struct jbranch *b = make(p, sizeof *b);
        advance(p); /* if, elif, else */
        if (!b)
            break;
        if (!otherwise)
            b->test = parse_tuple(p, parse_expr, false);
        p->conditional += end == &s->branches;
        b->body = parse_block(p, "if", s->line, otherwise ? "endif" : "elif else endif");
        *end = b;
        end = &b->next;
        more = !at_name(p, "endif");
    }
    p->conditional--;
    advance(p);
}

static void parse_for(struct parse *p, struct jstmt *s)
{
    bool outer = p->defined_macro;
    advance(p);
    s->loop.target = parse_target(p, false);
    if (!skip_name(p, "in"))
        fail_expected(p, "'in'");
    s->loop.iter = parse_tuple(p, parse_or, false);
    if (skip_name(p, "if"))
        s->loop.test = parse_expr(p);
    s->loop.recursive = skip_name(p, "recursive");
    p->loops++;
    p->defined_macro = false;
    s->loop.body = parse_block(p, "for", s->line, "else endfor");
    s->loop.captures = p->defined_macro;
    p->defined_macro |= outer;
    p->loops--;
    if (skip_name(p, "else"))
        s->loop.otherwise = parse_block(p, "for", s->line, "endfor");
    advance(p);
}

static struct jop *parse_block_filters(struct parse *p)
{
    struct jop *first = NULL, **end = &first;
    while (!p->failed && skip(p, JTOK_PIPE)) {
        *end = parse_filter(p);
        if (*end)
            end = &(*end)->next;
    }
    return first;
}

static void parse_set(struct parse *p, struct jstmt *s)
{
    advance(p);
    s->set.target = parse_target(p, true);
    if (skip(p, JTOK_ASSIGN)) {
        s->set.x = parse_tuple(p, parse_expr, false);
        return;
    }
    s->kind = JS_SET_BLOCK;
    s->set.filters = parse_block_filters(p);
    s->set.body = parse_block(p, "set", s->line, "endset");
    advance(p);
}

/* Body of a macro or caller block: loops around it do not count, names it uses are noted. */
static void parse_callable_body(struct parse *p, struct jcallable *c, int line, const char *opener,
                                const char *ends)
{
    bool outer[JNAME_FIRST_FREE];
    unsigned loops = p->loops;
    memcpy(outer, p->used_name, sizeof outer);
    memset(p->used_name, 0, sizeof outer);
    p->loops = 0;
    c->body = parse_block(p, opener, line, ends);
    c->uses_caller = p->used_name[JNAME_CALLER];
    c->uses_varargs = p->used_name[JNAME_VARARGS];
    c->uses_kwargs = p->used_name[JNAME_KWARGS];
    for (size_t i = 0; i < JNAME_FIRST_FREE; i++)
        p->used_name[i] |= outer[i];
    p->loops = loops;
    p->defined_macro = true;
    advance(p);
}

static void parse_macro(struct parse *p, struct jstmt *s)
{
    struct jcallable *c = make(p, sizeof *c);
    advance(p);
    if (!c)
        return;
    s->macro = c;
    c->text = expect_name(p);
    c->name = intern(p, c->text);
    parse_signature(p, c);
    parse_callable_body(p, c, s->line, "macro", "endmacro");
}

static void parse_call_block(struct parse *p, struct jstmt *s)
{
    struct jcallable *c = make(p, sizeof *c);
    advance(p);
    if (!c)
        return;
    s->call.caller = c;
    if (p->cur.kind == JTOK_LPAREN)
        parse_signature(p, c);
    s->call.x = parse_expr(p);
    const struct jop *op = s->call.x && s->call.x->kind == JX_POSTFIX ? s->call.x->ops : NULL;
    while (op && op->next)
        op = op->next;
    if (!op || op->kind != JOP_CALL)
        PFAIL(p, "expected a call of a macro");
    parse_callable_body(p, c, s->line, "call", "endcall");
}

static void parse_filter_block(struct parse *p, struct jstmt *s)
{
    advance(p);
    s->set.filters = parse_filter(p);
    if (s->set.filters)
        s->set.filters->next = parse_block_filters(p);
    s->set.body = parse_block(p, "filter", s->line, "endfilter");
    advance(p);
}

static void parse_with(struct parse *p, struct jstmt *s)
{
    struct jbinding **end = &s->with.bindings;
    advance(p);
    while (!p->failed && p->cur.kind != JTOK_TAG_CLOSE) {
        struct jbinding *b = make(p, sizeof *b);
        if (!b)
            return;
        b->target = parse_target_item(p, false);
        expect(p, JTOK_ASSIGN);
        b->x = parse_expr(p);
        *end = b;
        end = &b->next;
        if (p->cur.kind != JTOK_TAG_CLOSE)
            expect(p, JTOK_COMMA);
    }
    s->with.body = parse_block(p, "with", s->line, "endwith");
    advance(p);
}

/* Marks the assistant's words for training; nothing to us but a scope. */
static void parse_generation(struct parse *p, struct jstmt *s)
{
    advance(p);
    s->with.body = parse_block(p, "generation", s->line, "endgeneration");
    advance(p);
}

static void parse_loop_control(struct parse *p, struct jstmt *s)
{
    if (p->loops == 0)
        PFAIL(p, "%s outside of a loop", s->kind == JS_BREAK ? "break" : "continue");
    advance(p);
}

/* {{ a, b }} */
static void parse_output(struct parse *p, struct jstmt *s)
{
    advance(p);
    append_part(p, &s->print, JTOK_COMMA, NULL, parse_tuple(p, parse_expr, false));
}

/* {% print a, b %}: one after the other, not as a tuple */
static void parse_print(struct parse *p, struct jstmt *s)
{
    struct jpart **end = &s->print;
    advance(p);
    do
        end = append_part(p, end, JTOK_COMMA, NULL, parse_expr(p));
    while (skip(p, JTOK_COMMA));
}

static const struct {
    const char *name;
    enum jstmt_kind kind;
    void (*parse)(struct parse *, struct jstmt *);
} tags[] = {
    {"if", JS_IF, parse_if},
    {"for", JS_FOR, parse_for},
    {"set", JS_SET, parse_set},
    {"macro", JS_MACRO, parse_macro},
    {"call", JS_CALL, parse_call_block},
    {"filter", JS_FILTER, parse_filter_block},
    {"with", JS_WITH, parse_with},
    {"generation", JS_WITH, parse_generation},
    {"print", JS_PRINT, parse_print},
    {"break", JS_BREAK, parse_loop_control},
    {"continue", JS_CONTINUE, parse_loop_control},
};

static void fail_tag(struct parse *p, const char *opener, const char *ends)
{
    static const char known[] = "include import from extends block autoescape trans do debug";
    struct jstr s = p->cur.text;
    int n = (int)(s.n < 60 ? s.n : 60);
    if (word_in(s, known))
        fail_code(p, p->cur.line, ERR_UNSUPPORTED, "the tag '%.*s' is not supported here", n, s.p);
    else if (opener)
        PFAIL(p, "unexpected tag '%.*s'; the innermost open tag is '%s', it may be followed by: %s",
              n, s.p, opener, ends);
    else
        PFAIL(p, "unexpected tag '%.*s'", n, s.p);
}

static void parse_tag(struct parse *p, struct jstmt *s, const char *opener, const char *ends)
{
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (at_name(p, tags[i].name)) {
            s->kind = tags[i].kind;
            tags[i].parse(p, s);
            expect(p, JTOK_TAG_CLOSE);
            return;
        }
    }
    if (p->cur.kind == JTOK_NAME)
        fail_tag(p, opener, ends);
    else
        fail_expected(p, "the name of a tag");
}

static struct jstmt *parse_body(struct parse *p, const char *opener, int line, const char *ends)
{
    struct jstmt *first = NULL, **end = &first;
    while (!p->failed && p->cur.kind != JTOK_END) {
        struct jstmt *s = make(p, sizeof *s);
        if (!s)
            return NULL;
        s->line = p->cur.line;
        if (p->cur.kind == JTOK_TEXT) {
            s->kind = JS_TEXT;
            s->text = p->cur.text;
            advance(p);
        } else if (p->cur.kind == JTOK_PRINT_OPEN) {
            s->kind = JS_PRINT;
            parse_output(p, s);
            expect(p, JTOK_PRINT_CLOSE);
        } else {
            expect(p, JTOK_TAG_OPEN);
            if (p->cur.kind == JTOK_NAME && word_in(p->cur.text, ends))
                return first;
            parse_tag(p, s, opener, ends);
        }
        *end = s;
        end = &s->next;
    }
    if (opener && !p->failed)
        fail_code(p, line, ERR_FORMAT, "'%s' is never closed, expected one of: %s", opener, ends);
    return first;
}

bool jparse_template(struct jinja_template *t, const char *src, size_t n,
                     const struct jinja_limits *limits, struct err *e)
{
    static const char *const own[] = {[JNAME_LOOP] = "loop",
                                      [JNAME_CALLER] = "caller",
                                      [JNAME_VARARGS] = "varargs",
                                      [JNAME_KWARGS] = "kwargs"};
    struct parse p = {.t = t, .err = e, .max_depth = limits->max_depth};
    jlex_init(&p.lex, src, n, &t->arena, e);
    for (size_t i = 0; i < JNAME_FIRST_FREE; i++)
        intern(&p, jstr_text(own[i]));
    advance(&p);
    t->body = parse_body(&p, NULL, 1, NULL);
    if (!p.failed && p.unknown)
        fail_code(&p, p.unknown->line, ERR_UNSUPPORTED, "no %s is named '%.*s'",
                  p.unknown->kind == JOP_FILTER ? "filter" : "test",
                  (int)(p.unknown->name.n < 60 ? p.unknown->name.n : 60), p.unknown->name.p);
    return !p.failed;
}
