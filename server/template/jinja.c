/* Owns: the public face: from bytes to a compiled template, from a compiled template to text and
 * data spans. What lies between is in jlex.c, jparse.c (compiling) and jeval.c (rendering).
 */
#include <config.h>

#include "template/jinja.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "template/jast.h"
#include "template/jeval.h"
#include "template/jjson.h"
#include "template/jparse.h"
#include "template/jrun.h"

/* ---- compiling ---- */

static bool check_source(const char *src, size_t len, const struct jinja_limits *limits,
                         struct err *e)
{
    if (len > limits->max_source_bytes)
        FAIL(e, ERR_LIMIT, "the template is longer than %zu bytes", limits->max_source_bytes);
    if (!utf8_valid(src, len))
        FAIL(e, ERR_FORMAT, "the template is not valid UTF-8");
    if (len && memchr(src, '\0', len))
        FAIL(e, ERR_FORMAT, "the template contains a NUL character");
    return true;
}

/* Copies the source, line ends turned into \n, without its last line end. Returns its length. */
static size_t normalise(char *to, const char *src, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (src[i] == '\r') {
            to[n++] = '\n';
            i += i + 1 < len && src[i + 1] == '\n';
        } else {
            to[n++] = src[i];
        }
    }
    return n && to[n - 1] == '\n' ? n - 1 : n;
}

bool jinja_compile(const char *src, size_t len, const struct jinja_limits *limits,
                   struct jinja_template **out, struct err *e)
{
    *out = NULL;
    if (!check_source(src, len, limits, e))
        return false;
    struct jinja_template *t = mem_zalloc(sizeof *t);
    jarena_init(&t->arena, limits->max_memory_bytes);
    char *copy = jarena_alloc(&t->arena, len);
    if (!copy) {
        err_set(e, t->arena.out_of_memory ? ERR_NOMEM : ERR_LIMIT, 0, __FILE__, __LINE__,
                "the template needs too much memory");
        goto fail;
    }
    TRY(jparse_template(t, copy, normalise(copy, src, len), limits, e));
    *out = t;
    return true;
fail:
    jinja_destroy(&t);
    return false;
}

void jinja_destroy(struct jinja_template **t)
{
    if (!*t)
        return;
    jarena_release(&(*t)->arena);
    free(*t);
    *t = NULL;
}

/* ---- rendering ---- */

static bool is_trusted(const struct jinja_input *in, struct jstr name)
{
    for (const char *const *p = in->trusted; p && *p; p++) {
        if (jstr_is(name, *p))
            return true;
    }
    return false;
}

/* What a name means before the template sets it: a variable, else a function, else nothing. */
static struct jval initial(struct jrun *r, const struct jinja_input *in, const struct jname *n)
{
    struct jstr name = {.p = n->p, .n = n->n};
    json_t *j = in->vars ? json_object_getn(in->vars, n->p, n->n) : NULL;
    if (j)
        return jjson_value(r, j, !is_trusted(in, name));
    const struct jbuiltin *function = jfunction_find(name);
    if (function)
        return (struct jval){.type = J_FUNCTION, .function = function};
    return (struct jval){.type = J_UNDEF, .undef = {.name = n->p, .name_len = n->n}};
}

static void set_up_names(struct jrun *r, const struct jinja_input *in)
{
    r->root = jrun_alloc(r, r->t->n_names, sizeof *r->root);
    for (size_t i = 0; i < r->t->n_names && !r->failed; i++)
        r->root[i] = initial(r, in, &r->t->names[i]);
}

static bool push_span(struct jinja_spans *spans, size_t *cap, size_t begin, size_t end)
{
    if (spans->n == *cap) {
        size_t grown = *cap ? *cap * 2 : 16;
        struct jinja_span *p = mem_try_reallocarray(spans->span, grown, sizeof *p);
        if (!p)
            return false;
        spans->span = p;
        *cap = grown;
    }
    spans->span[spans->n++] = (struct jinja_span){.begin = begin, .end = end};
    return true;
}

static bool collect_spans(struct jstr s, struct jinja_spans *spans)
{
    size_t cap = 0;
    if (s.n == 0 || !s.mark)
        return true;
    if (s.mark == JSTR_DATA)
        return push_span(spans, &cap, 0, s.n);
    for (size_t at = 0; at < s.n;) {
        const unsigned char *first = memchr(s.mark + at, 1, s.n - at);
        if (!first)
            break;
        size_t begin = (size_t)(first - s.mark);
        const unsigned char *last = memchr(first, 0, s.n - begin);
        size_t end = last ? (size_t)(last - s.mark) : s.n;
        if (!push_span(spans, &cap, begin, end))
            return false;
        at = end;
    }
    return true;
}

static bool deliver(struct jrun *r, struct jstr s, struct buf *out, struct jinja_spans *spans)
{
    if (spans && !collect_spans(s, spans))
        FAIL(r->err, ERR_NOMEM, "the host is out of memory");
    size_t before = out->len;
    if (buf_append(out, s.p, s.n))
        return true;
    bool full = s.n > out->max_bytes || before > out->max_bytes - s.n;
    FAIL(r->err, full ? ERR_LIMIT : ERR_NOMEM, "the rendered text does not fit, it has %zu bytes",
         s.n);
}

bool jinja_render(const struct jinja_template *t, const struct jinja_input *in,
                  const struct jinja_limits *limits, struct buf *out, struct jinja_spans *spans,
                  struct err *e)
{
    struct err local;
    struct jrun r;
    struct jsb b;
    bool ok = false;
    if (spans)
        *spans = (struct jinja_spans){.n = 0};
    jrun_init(&r, t, limits, e ? e : &local);
    r.now = in->now;
    jsb_init(&b, &r);
    r.out = &b;
    set_up_names(&r, in);
    if (!r.failed && jeval_template(&r))
        ok = deliver(&r, jsb_take(&b), out, spans);
    jrun_release(&r);
    if (!ok && spans)
        jinja_spans_release(spans);
    return ok;
}

void jinja_spans_release(struct jinja_spans *spans)
{
    free(spans->span);
    *spans = (struct jinja_spans){.n = 0};
}
