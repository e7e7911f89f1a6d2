/* Owns: scopes, control flow, look-up of attributes and items, calls of macros. Refuses to know
 * what single filters, tests and methods do (tables in jfilter.c, jtest.c, jmethod.c, jfunction.c).
 *
 * Scopes: the top level is an array by name id (r->root), which starts as the variables. Loops,
 * with blocks, captured blocks and macro calls each open a small scope; `if` does not. Reading goes
 * outwards, setting stays in the innermost one. A macro remembers the scope it was defined in, so
 * scopes stay alive until the render ends; a loop whose body defines no macro reuses one scope.
 */
#include <config.h>

#include "template/jeval.h"

#include <string.h>

#include "template/jast.h"
#include "template/jrun.h"
#include "template/jtext.h"

struct jscope {
    struct jscope *outer;
    struct jvec values;
    uint32_t *names; /* of values, same capacity */
};

struct jmacro {
    const struct jcallable *def;
    struct jscope *scope; /* where it was defined */
    bool is_caller;
};

struct jloop {
    const struct jstmt *stmt;
    struct jscope *scope; /* around the loop */
    const struct jlist *items;
    size_t at;
    unsigned depth;   /* of recursion, from 0 */
    struct jval last; /* of changed(); J_MISSING before the first */
};

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

static struct jval eval(struct jrun *r, const struct jexpr *x);
static enum flow run_body(struct jrun *r, const struct jstmt *s);

size_t jloop_index(const struct jloop *loop)
{
    return loop->at;
}

size_t jloop_length(const struct jloop *loop)
{
    return loop->items->n;
}

bool jloop_changed(struct jrun *r, struct jloop *loop, struct jval now)
{
    bool changed = loop->last.type == J_MISSING || !jval_equal(r, loop->last, now);
    loop->last = now;
    return changed;
}

struct jstr jmacro_name(const struct jmacro *macro)
{
    return macro->is_caller ? jstr_text("caller") : macro->def->text;
}

/* ---- scopes ---- */

static struct jscope *scope_new(struct jrun *r, struct jscope *outer)
{
    struct jscope *s = jrun_alloc(r, 1, sizeof *s);
    if (s)
        *s = (struct jscope){.outer = outer};
    return s;
}

static struct jval *scope_find(struct jrun *r, const struct jscope *s, uint32_t name)
{
    for (size_t i = 0; i < s->values.n; i++) {
        if (s->names[i] == name)
            return &s->values.v[i];
    }
    jrun_work(r, s->values.n * 8);
    return NULL;
}

static struct jval look_up(struct jrun *r, uint32_t name)
{
    for (const struct jscope *s = r->scope; s; s = s->outer) {
        struct jval *v = scope_find(r, s, name);
        if (v)
            return *v;
    }
    return r->root[name];
}

static void bind(struct jrun *r, struct jscope *s, uint32_t name, struct jval v)
{
    if (!s) {
        r->root[name] = v;
        return;
    }
    struct jval *old = scope_find(r, s, name);
    if (old) {
        *old = v;
        return;
    }
    size_t cap = s->values.cap;
    if (!jvec_push(r, &s->values, v))
        return;
    if (s->values.cap != cap) {
        uint32_t *names = jrun_resize(r, s->names, cap * sizeof *names,
                                      s->values.cap * sizeof *names);
        if (!names) {
            s->values.n = 0;
            return;
        }
        s->names = names;
    }
    s->names[s->values.n - 1] = name;
}

/* ---- attributes and items ---- */

static struct jval undefined_in(struct jval owner, struct jstr name)
{
    bool fits = name.n && name.n <= UINT32_MAX;
    return (struct jval){.type = J_UNDEF,
                         .undef = {.name = fits ? name.p : NULL,
                                   .name_len = fits ? (uint32_t)name.n : 0,
                                   .owner = owner.type}};
}

static struct jval fail_undef(struct jrun *r, struct jval v)
{
    jval_fail_undef(r, v);
    return JVAL_NONE;
}

static struct jval loop_attribute(const struct jloop *l, struct jstr name)
{
    size_t n = l->items->n, i = l->at;
    const struct {
        const char *name;
        struct jval v;
    } fields[] = {
        {"index", jval_int((int64_t)i + 1)},
        {"index0", jval_int((int64_t)i)},
        {"first", jval_bool(i == 0)},
        {"last", jval_bool(i + 1 == n)},
        {"length", jval_int((int64_t)n)},
        {"revindex", jval_int((int64_t)(n - i))},
        {"revindex0", jval_int((int64_t)(n - i) - 1)},
        {"depth", jval_int((int64_t)l->depth + 1)},
        {"depth0", jval_int((int64_t)l->depth)},
        {"previtem", i > 0 ? l->items->items[i - 1] : JVAL_UNDEF},
        {"nextitem", i + 1 < n ? l->items->items[i + 1] : JVAL_UNDEF},
    };
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        if (jstr_is(name, fields[f].name))
            return fields[f].v;
    }
    return (struct jval){.type = J_MISSING};
}

/* Fields and methods, not keys; J_MISSING when there is none. */
static struct jval own_attribute(struct jrun *r, struct jval v, struct jstr name)
{
    struct jval found = {.type = J_MISSING};
    if (v.type == J_LOOP)
        found = loop_attribute(v.loop, name);
    else if (v.type == J_NAMESPACE)
        found = jdict_get_str(r, v.dict, name);
    else if (v.type == J_LIST && v.list->grouped && jstr_is(name, "grouper"))
        found = v.list->items[0];
    else if (v.type == J_LIST && v.list->grouped && jstr_is(name, "list"))
        found = v.list->items[1];
    else if (v.type == J_MACRO && jstr_is(name, "name"))
        found = jval_str(jmacro_name(v.macro));
    else if (v.type == J_CYCLER && jstr_is(name, "current"))
        found = v.cycler->items->items[v.cycler->at];
    if (found.type != J_MISSING)
        return found;
    const struct jbuiltin *def = jmethod_find(v, name);
    struct jmethod *m = def ? jrun_alloc(r, 1, sizeof *m) : NULL;
    if (!m)
        return found;
    *m = (struct jmethod){.self = v, .def = def};
    return (struct jval){.type = J_METHOD, .method = m};
}

struct jval jeval_attribute(struct jrun *r, struct jval v, struct jstr name)
{
    if (v.type == J_UNDEF)
        return fail_undef(r, v);
    struct jval found = own_attribute(r, v, name);
    if (found.type == J_MISSING && v.type == J_DICT)
        found = jdict_get_str(r, v.dict, name);
    return found.type == J_MISSING ? undefined_in(v, name) : found;
}

struct jval jeval_item(struct jrun *r, struct jval v, struct jval key)
{
    struct jval found = {.type = J_MISSING};
    if (v.type == J_UNDEF)
        return fail_undef(r, v);
    if (v.type == J_DICT)
        found = jdict_get(r, v.dict, key);
    else if (jval_is_integral(key) && jrun_work(r, v.type == J_STR ? v.s.n : 0))
        found = jval_at(v, jval_as_int(key));
    if (found.type == J_MISSING && key.type == J_STR)
        found = own_attribute(r, v, key.s);
    if (found.type == J_MISSING)
        return undefined_in(v, key.type == J_STR ? key.s : JSTR_EMPTY);
    return found;
}

/* Python's rules for one end of a slice. */
static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high)
{
    if (i < 0)
        i += n;
    return i < low ? low : i > high ? high : i;
}

static struct jval slice_string(struct jrun *r, struct jstr s, int64_t start, size_t n,
                                int64_t step)
{
    size_t at = jstr_offset(s, (size_t)start);
    if (!jrun_work(r, s.n))
        return JVAL_NONE;
    if (step == 1) {
        struct jstr rest = jstr_sub(s, at, s.n - at);
        return jval_str(jstr_sub(rest, 0, jstr_offset(rest, n)));
    }
    struct jsb b;
    jsb_init(&b, r);
    for (size_t i = 0; i < n && !r->failed; i++) {
        size_t end = at;
        jstr_next(s, &end);
        jsb_str(&b, jstr_sub(s, at, end - at));
        if (i + 1 == n)
            break;
        for (int64_t k = 0; k < step; k++)
            jstr_next(s, &at);
        for (int64_t k = 0; k > step; k--)
            at = jstr_prev(s, at);
    }
    return jval_str(jsb_take(&b));
}

static struct jval slice_range(struct jrun *r, const struct jrange *of, int64_t start, size_t n,
                               int64_t step)
{
    struct jrange *part = jrun_alloc(r, 1, sizeof *part);
    int64_t stride;
    if (!part)
        return JVAL_NONE;
    if (__builtin_mul_overflow(of->step, step, &stride)) /* then there is at most one element */
        stride = of->step;
    *part = (struct jrange){
        .start = n ? of->start + start * of->step : of->start, .step = stride, .n = n};
    return (struct jval){.type = J_RANGE, .range = part};
}

static struct jval slice(struct jrun *r, struct jval v, const struct jval at[3])
{
    size_t length;
    int64_t step = jarg_int(r, at[2], 1);
    if ((v.type != J_STR && v.type != J_LIST && v.type != J_RANGE) || !jval_length(v, &length) ||
        r->failed)
        return r->failed ? JVAL_NONE : undefined_in(v, JSTR_EMPTY);
    if (step == 0)
        return JFAIL(r, ERR_FORMAT, "the step of a slice is zero");
    int64_t n = (int64_t)length, low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    int64_t start = at[0].type == J_MISSING ? (step < 0 ? high : 0)
                                            : clamp(jarg_int(r, at[0], 0), n, low, high);
    int64_t stop = at[1].type == J_MISSING ? (step < 0 ? -1 : n)
                                           : clamp(jarg_int(r, at[1], 0), n, low, high);
    size_t count = 0;
    if (step > 0 && stop > start)
        count = ((uint64_t)(stop - start) - 1) / (uint64_t)step + 1;
    else if (step < 0 && start > stop)
        count = ((uint64_t)(start - stop) - 1) / -(uint64_t)step + 1;
    if (v.type == J_RANGE && !r->failed)
        return slice_range(r, v.range, start, count, step);
    if (r->failed || count == 0)
        return v.type == J_STR ? jval_str(JSTR_EMPTY)
                               : jval_list(jlist_view(r, NULL, 0, v.list->kind));
    if (v.type == J_STR)
        return slice_string(r, v.s, start, count, step);
    if (step == 1)
        return jval_list(jlist_view(r, v.list->items + start, count, v.list->kind));
    struct jval *items = jrun_alloc(r, count, sizeof *items);
    for (size_t i = 0; items && i < count; i++)
        items[i] = v.list->items[start + (int64_t)i * step];
    return jrun_work(r, count * sizeof *items)
               ? jval_list(jlist_view(r, items, count, v.list->kind))
               : JVAL_NONE;
}

/* ---- calls ---- */

struct arg_list {
    struct jvec plain;
    struct jnamed *named;
    size_t n_named, named_cap;
};

static bool push_named(struct jrun *r, struct arg_list *list, struct jstr name, struct jval v)
{
    if (list->n_named == list->named_cap) {
        size_t cap = list->named_cap ? list->named_cap * 2 : 4;
        struct jnamed *grown = jrun_resize(r, list->named, list->named_cap * sizeof *grown,
                                           cap * sizeof *grown);
        if (!grown)
            return false;
        list->named = grown;
        list->named_cap = cap;
    }
    list->named[list->n_named++] = (struct jnamed){.name = name, .v = v};
    return jrun_work(r, sizeof *list->named);
}

static void push_star(struct jrun *r, struct arg_list *list, const struct jarg *a, struct jval v)
{
    if (a->kind == JARG_STAR) {
        const struct jlist *l = jval_elements(r, v);
        for (size_t i = 0; l && i < l->n && !r->failed; i++)
            jvec_push(r, &list->plain, l->items[i]);
        return;
    }
    if (v.type != J_DICT) {
        JFAIL(r, ERR_FORMAT, "** needs a mapping, not '%s'", jval_type_name(v));
        return;
    }
    for (size_t i = 0; i < v.dict->n && !r->failed; i++) {
        if (v.dict->entry[i].key.type == J_STR)
            push_named(r, list, v.dict->entry[i].key.s, v.dict->entry[i].value);
        else
            JFAIL(r, ERR_FORMAT, "the names of arguments must be texts");
    }
}

static struct jargs eval_args(struct jrun *r, const struct jarg *a)
{
    struct arg_list list = {.n_named = 0};
    for (; a && !r->failed; a = a->next) {
        struct jval v = eval(r, a->x);
        if (r->failed)
            break;
        if (a->kind == JARG_PLAIN)
            jvec_push(r, &list.plain, v);
        else if (a->kind == JARG_NAMED)
            push_named(r, &list, a->name, v);
        else
            push_star(r, &list, a, v);
    }
    return (struct jargs){
        .n = list.plain.n, .v = list.plain.v, .n_named = list.n_named, .named = list.named};
}

/* Runs statements with their output caught. */
static struct jval capture(struct jrun *r, const struct jstmt *body, enum flow *flow)
{
    struct jsb b, *outer = r->out;
    jsb_init(&b, r);
    r->out = &b;
    *flow = run_body(r, body);
    r->out = outer;
    return jval_str(jsb_take(&b));
}

/* Takes a named argument out of consideration: value, or J_MISSING. */
static struct jval take_named(struct jrun *r, const struct jargs *args, bool *used,
                              struct jstr name)
{
    jrun_work(r, args->n_named * sizeof *args->named);
    for (size_t i = 0; i < args->n_named; i++) {
        if (!used[i] && jstr_equal(args->named[i].name, name)) {
            used[i] = true;
            return args->named[i].v;
        }
    }
    return (struct jval){.type = J_MISSING};
}

/* Arguments without a parameter go into varargs and kwargs where the macro reads these. */
static void bind_rest(struct jrun *r, const struct jmacro *m, const struct jargs *args, size_t from,
                      const bool *used)
{
    struct jstr name = jmacro_name(m);
    size_t n = args->n > from ? args->n - from : 0;
    if (m->def->uses_varargs)
        bind(r, r->scope, JNAME_VARARGS,
             jval_list(jlist_view(r, n ? args->v + from : NULL, n, JLIST_TUPLE)));
    else if (n)
        JFAIL(r, ERR_FORMAT, "macro '%.*s' takes not more than %zu arguments",
              (int)(name.n < 60 ? name.n : 60), name.p, from);
    struct jdict *rest = m->def->uses_kwargs ? jdict_new(r) : NULL;
    for (size_t i = 0; i < args->n_named && !r->failed; i++) {
        struct jstr key = args->named[i].name;
        if (!used[i] && rest)
            jdict_set(r, rest, jval_str(key), args->named[i].v);
        else if (!used[i])
            JFAIL(r, ERR_FORMAT, "macro '%.*s' has no parameter '%.*s'",
                  (int)(name.n < 60 ? name.n : 60), name.p, (int)(key.n < 60 ? key.n : 60), key.p);
    }
    if (rest)
        bind(r, r->scope, JNAME_KWARGS, jval_dict(rest));
}

static void bind_params(struct jrun *r, const struct jmacro *m, const struct jargs *args)
{
    bool *used = jrun_alloc(r, args->n_named, sizeof *used);
    if (!used)
        return;
    memset(used, 0, args->n_named * sizeof *used);
    size_t i = 0;
    for (const struct jparam *p = m->def->params; p && !r->failed; p = p->next) {
        struct jval v = take_named(r, args, used, p->text);
        if (v.type != J_MISSING && i < args->n)
            JFAIL(r, ERR_FORMAT, "the argument '%.*s' is given twice",
                  (int)(p->text.n < 60 ? p->text.n : 60), p->text.p);
        if (i < args->n)
            v = args->v[i++];
        else if (v.type == J_MISSING && p->fallback)
            v = eval(r, p->fallback);
        else if (v.type == J_MISSING)
            v = undefined_in(v, p->text);
        bind(r, r->scope, p->name, v);
    }
    if (!r->failed)
        bind_rest(r, m, args, i, used);
}

static struct jval run_macro(struct jrun *r, const struct jmacro *m, const struct jargs *args,
                             struct jval caller)
{
    struct jscope *outer = r->scope;
    struct jval result = JVAL_NONE;
    enum flow flow;
    r->scope = scope_new(r, m->scope);
    if (r->scope) {
        if (caller.type != J_MISSING && !m->def->uses_caller)
            JFAIL(r, ERR_FORMAT, "the macro does not use the block it is called with");
        else if (m->def->uses_caller && !m->is_caller)
            bind(r, r->scope, JNAME_CALLER,
                 caller.type == J_MISSING ? undefined_in(caller, jstr_text("caller")) : caller);
        bind_params(r, m, args);
        result = capture(r, m->def->body, &flow);
    }
    r->scope = outer;
    return result;
}

static enum flow run_loop(struct jrun *r, struct jloop *loop);

/* loop(items) inside a recursive loop. */
static struct jval recurse(struct jrun *r, const struct jloop *loop, const struct jargs *args)
{
    if (!loop->stmt->loop.recursive || args->n != 1 || args->n_named)
        return JFAIL(r, ERR_FORMAT, "loop(…) works in recursive loops, with one list");
    const struct jlist *items = jval_elements(r, args->v[0]);
    struct jloop inner = {
        .stmt = loop->stmt, .scope = loop->scope, .items = items, .depth = loop->depth + 1};
    struct jloop *own = jrun_alloc(r, 1, sizeof *own);
    if (!own || !items)
        return JVAL_NONE;
    *own = inner;
    struct jsb b, *out = r->out;
    jsb_init(&b, r);
    r->out = &b;
    run_loop(r, own);
    r->out = out;
    return jval_str(jsb_take(&b));
}

static struct jval join_once(struct jcycler *joiner)
{
    return joiner->at++ ? joiner->items->items[0] : jval_str(JSTR_EMPTY);
}

static struct jval call_any(struct jrun *r, struct jval v, const struct jargs *args,
                            struct jval caller)
{
    switch (v.type) {
    case J_MACRO:
        return run_macro(r, v.macro, args, caller);
    case J_LOOP:
        return recurse(r, v.loop, args);
    case J_FUNCTION:
        return jbuiltin_call(r, v.function, JVAL_NONE, args);
    case J_METHOD:
        return jbuiltin_call(r, v.method->def, v.method->self, args);
    case J_JOINER:
        return join_once(v.cycler);
    case J_UNDEF:
        return fail_undef(r, v);
    default:
        return JFAIL(r, ERR_FORMAT, "'%s' object is not callable", jval_type_name(v));
    }
}

struct jval jeval_call(struct jrun *r, struct jval v, const struct jargs *args, struct jval caller)
{
    if (r->calls >= r->limits->max_depth)
        return JFAIL(r, ERR_LIMIT, "calls are nested deeper than %u", r->limits->max_depth);
    if (!jrun_step(r))
        return JVAL_NONE;
    r->calls++;
    struct jval result = call_any(r, v, args, caller);
    r->calls--;
    return r->failed ? JVAL_NONE : result;
}

/* ---- expressions ---- */

static struct jval apply_named(struct jrun *r, const struct jop *op, struct jval v)
{
    struct jargs args = eval_args(r, op->args);
    r->line = op->line;
    if (!op->def)
        return JFAIL(r, ERR_UNSUPPORTED, "no %s is named '%.*s'",
                     op->kind == JOP_FILTER ? "filter" : "test",
                     (int)(op->name.n < 60 ? op->name.n : 60), op->name.p);
    if (!jrun_step(r))
        return JVAL_NONE;
    struct jval result = jbuiltin_call(r, op->def, v, &args);
    if (op->kind == JOP_TEST && op->negated)
        result = jval_bool(!jval_truth(result));
    return result;
}

static struct jval apply_op(struct jrun *r, const struct jop *op, struct jval v, struct jval caller)
{
    struct jval at[3];
    struct jargs args;
    switch (op->kind) {
    case JOP_ATTR:
        r->line = op->line;
        return jeval_attribute(r, v, op->name);
    case JOP_ITEM:
        at[0] = eval(r, op->index[0]);
        r->line = op->line;
        return r->failed ? JVAL_NONE : jeval_item(r, v, at[0]);
    case JOP_SLICE:
        for (int i = 0; i < 3; i++) {
            at[i] = op->index[i] ? eval(r, op->index[i]) : JVAL_NONE;
            if (at[i].type == J_NONE)
                at[i].type = J_MISSING;
        }
        r->line = op->line;
        if (v.type == J_UNDEF)
            return fail_undef(r, v);
        return r->failed ? JVAL_NONE : slice(r, v, at);
    case JOP_CALL:
        args = eval_args(r, op->args);
        r->line = op->line;
        return r->failed ? JVAL_NONE : jeval_call(r, v, &args, caller);
    default:
        return apply_named(r, op, v);
    }
}

/* `caller` goes to the last operation, when that is a call. */
static struct jval eval_postfix(struct jrun *r, const struct jexpr *x, struct jval caller)
{
    struct jval none = {.type = J_MISSING}, v = eval(r, x->base);
    for (const struct jop *op = x->ops; op && jrun_work(r, 0); op = op->next)
        v = apply_op(r, op, v, op->next ? none : caller);
    return v;
}

static struct jval eval_chain(struct jrun *r, const struct jexpr *x)
{
    struct jval v = eval(r, x->first);
    for (const struct jpart *p = x->rest; p && !r->failed; p = p->next) {
        struct jval right = eval(r, p->x);
        r->line = x->line;
        if (!r->failed)
            v = jarith(r, p->op, v, right);
    }
    return v;
}

static struct jval eval_concat(struct jrun *r, const struct jexpr *x)
{
    struct jstr s = jtext_of(r, eval(r, x->first));
    for (const struct jpart *p = x->rest; p && !r->failed; p = p->next)
        s = jstr_cat(r, s, jtext_of(r, eval(r, p->x)));
    return jval_str(s);
}

static bool holds(struct jrun *r, const struct jpart *p, struct jval a, struct jval b)
{
    static const char *const signs[] = {
        [JTOK_LT] = "<", [JTOK_LE] = "<=", [JTOK_GT] = ">", [JTOK_GE] = ">="};
    if (p->op == JTOK_IN)
        return jval_contains(r, b, a) != p->negated;
    if (p->op == JTOK_EQ || p->op == JTOK_NE)
        return jval_equal(r, a, b) == (p->op == JTOK_EQ);
    int c = jval_compare(r, a, b, signs[p->op]);
    if (c == JVAL_UNORDERED)
        return false;
    return p->op == JTOK_LT ? c < 0 : p->op == JTOK_LE ? c <= 0 : p->op == JTOK_GT ? c > 0 : c >= 0;
}

static struct jval eval_compare(struct jrun *r, const struct jexpr *x)
{
    struct jval a = eval(r, x->first);
    for (const struct jpart *p = x->rest; p && !r->failed; p = p->next) {
        struct jval b = eval(r, p->x);
        r->line = x->line;
        if (r->failed || !holds(r, p, a, b))
            return jval_bool(false);
        a = b;
    }
    return jval_bool(true);
}

/* The first operand that decides, or the last. */
static struct jval eval_words(struct jrun *r, const struct jexpr *x)
{
    struct jval v = eval(r, x->first);
    for (const struct jpart *p = x->rest; p && !r->failed; p = p->next) {
        if (jval_truth(v) == (x->kind == JX_OR))
            break;
        v = eval(r, p->x);
    }
    return v;
}

static struct jval eval_sign(struct jrun *r, const struct jexpr *x)
{
    struct jval v = eval(r, x->first);
    r->line = x->line;
    if (v.type == J_UNDEF)
        return fail_undef(r, v);
    if (!jval_is_number(v))
        return r->failed
                   ? JVAL_NONE
                   : JFAIL(r, ERR_FORMAT, "a sign needs a number, not '%s'", jval_type_name(v));
    if (v.type == J_FLOAT)
        return jval_float(x->kind == JX_NEG ? -v.f : v.f);
    return jarith(r, x->kind == JX_NEG ? JTOK_SUB : JTOK_ADD, jval_int(0), v);
}

static struct jval eval_list(struct jrun *r, const struct jexpr *x)
{
    struct jvec vec = {.n = 0};
    for (const struct jpart *p = x->rest; p && !r->failed; p = p->next)
        jvec_push(r, &vec, eval(r, p->x));
    return jval_list(jlist_from(r, &vec, x->kind == JX_LIST ? JLIST_LIST : JLIST_TUPLE));
}

static struct jval eval_dict(struct jrun *r, const struct jexpr *x)
{
    struct jdict *d = jdict_new(r);
    for (const struct jpart *p = x->rest; p && !r->failed; p = p->next) {
        struct jval key = eval(r, p->key), v = eval(r, p->x);
        if (!r->failed)
            jdict_set(r, d, key, v);
    }
    return jval_dict(d);
}

static struct jval eval_any(struct jrun *r, const struct jexpr *x)
{
    switch (x->kind) {
    case JX_CONST:
        return x->value;
    case JX_NAME:
        return look_up(r, x->name);
    case JX_ARITH:
        return eval_chain(r, x);
    case JX_CONCAT:
        return eval_concat(r, x);
    case JX_COMPARE:
        return eval_compare(r, x);
    case JX_AND:
    case JX_OR:
        return eval_words(r, x);
    case JX_NOT:
        return jval_bool(!jval_truth(eval(r, x->first)));
    case JX_NEG:
    case JX_POS:
        return eval_sign(r, x);
    case JX_COND:
        if (jval_truth(eval(r, x->test)))
            return eval(r, x->yes);
        return x->no ? eval(r, x->no) : JVAL_UNDEF;
    case JX_LIST:
    case JX_TUPLE:
        return eval_list(r, x);
    case JX_DICT:
        return eval_dict(r, x);
    default:
        return eval_postfix(r, x, (struct jval){.type = J_MISSING});
    }
}

static struct jval eval(struct jrun *r, const struct jexpr *x)
{
    if (!jrun_enter(r))
        return JVAL_NONE;
    r->line = x->line;
    struct jval v = eval_any(r, x);
    jrun_leave(r);
    return r->failed ? JVAL_NONE : v;
}

/* ---- assignment ---- */

static void assign(struct jrun *r, struct jscope *scope, const struct jtarget *t, struct jval v);

static void assign_tuple(struct jrun *r, struct jscope *scope, const struct jtarget *t,
                         struct jval v)
{
    const struct jlist *l = jval_elements(r, v);
    if (!l)
        return;
    if (l->n != t->n_items) {
        JFAIL(r, ERR_FORMAT, "%zu values cannot be unpacked into %zu names", l->n, t->n_items);
        return;
    }
    size_t i = 0;
    for (const struct jtarget *item = t->items; item && !r->failed; item = item->next)
        assign(r, scope, item, l->items[i++]);
}

static void assign(struct jrun *r, struct jscope *scope, const struct jtarget *t, struct jval v)
{
    if (t->kind == JT_TUPLE) {
        assign_tuple(r, scope, t, v);
    } else if (t->kind == JT_NAME) {
        bind(r, scope, t->name, v);
    } else {
        struct jval owner = look_up(r, t->name);
        if (owner.type == J_NAMESPACE)
            jdict_set(r, owner.dict, jval_str(t->field), v);
        else
            JFAIL(r, ERR_FORMAT, "cannot assign to an attribute of '%s', only of a namespace",
                  jval_type_name(owner));
    }
}

/* ---- loops ---- */

/* The elements for which the loop's condition holds. */
static const struct jlist *filter_items(struct jrun *r, const struct jstmt *s,
                                        const struct jlist *items)
{
    struct jscope *outer = r->scope, *scope = scope_new(r, outer);
    struct jvec kept = {.n = 0};
    for (size_t i = 0; scope && i < items->n && jrun_step(r); i++) {
        scope->values.n = 0;
        assign(r, scope, s->loop.target, items->items[i]);
        r->scope = scope;
        bool keep = jval_truth(eval(r, s->loop.test));
        r->scope = outer;
        if (keep)
            jvec_push(r, &kept, items->items[i]);
    }
    return jlist_from(r, &kept, JLIST_LIST);
}

/* Runs the body for every element of loop->items, or the else part. */
static enum flow run_loop(struct jrun *r, struct jloop *loop)
{
    const struct jstmt *s = loop->stmt;
    struct jscope *outer = r->scope, *scope = NULL;
    enum flow flow = FLOW_NEXT;
    if (s->loop.test) {
        r->scope = loop->scope;
        loop->items = filter_items(r, s, loop->items);
        r->scope = outer;
    }
    if (r->failed)
        return FLOW_NEXT;
    if (loop->items->n == 0) {
        r->scope = scope_new(r, loop->scope);
        flow = r->scope ? run_body(r, s->loop.otherwise) : FLOW_NEXT;
        r->scope = outer;
        return flow;
    }
    for (; loop->at < loop->items->n && jrun_step(r); loop->at++) {
        if (!scope || s->loop.captures)
            scope = scope_new(r, loop->scope);
        if (!scope)
            break;
        scope->values.n = 0;
        bind(r, scope, JNAME_LOOP, (struct jval){.type = J_LOOP, .loop = loop});
        assign(r, scope, s->loop.target, loop->items->items[loop->at]);
        r->scope = scope;
        flow = r->failed ? FLOW_NEXT : run_body(r, s->loop.body);
        r->scope = outer;
        if (flow == FLOW_BREAK)
            break;
    }
    if (loop->at == loop->items->n)
        loop->at--; /* whoever still holds the loop sees its last turn */
    return FLOW_NEXT;
}

static enum flow run_for(struct jrun *r, const struct jstmt *s)
{
    struct jval v = eval(r, s->loop.iter);
    r->line = s->line;
    const struct jlist *items = r->failed ? NULL : jval_elements(r, v);
    struct jloop *loop = jrun_alloc(r, 1, sizeof *loop);
    if (!items || !loop)
        return FLOW_NEXT;
    *loop = (struct jloop){.stmt = s, .scope = r->scope, .items = items};
    return run_loop(r, loop);
}

/* ---- statements ---- */

static enum flow run_if(struct jrun *r, const struct jstmt *s)
{
    for (const struct jbranch *b = s->branches; b && !r->failed; b = b->next) {
        if (!b->test || jval_truth(eval(r, b->test)))
            return r->failed ? FLOW_NEXT : run_body(r, b->body);
    }
    return FLOW_NEXT;
}

static struct jval apply_filters(struct jrun *r, const struct jop *op, struct jval v)
{
    for (; op && !r->failed; op = op->next)
        v = apply_named(r, op, v);
    return v;
}

/* Runs a block in a scope of its own, output caught and filtered. */
static struct jval run_captured(struct jrun *r, const struct jstmt *s, enum flow *flow)
{
    struct jscope *outer = r->scope;
    struct jval v = JVAL_NONE;
    *flow = FLOW_NEXT;
    r->scope = scope_new(r, outer);
    if (r->scope)
        v = capture(r, s->set.body, flow);
    r->scope = outer;
    return r->failed ? JVAL_NONE : apply_filters(r, s->set.filters, v);
}

static enum flow run_set(struct jrun *r, const struct jstmt *s)
{
    enum flow flow = FLOW_NEXT;
    struct jval v = s->kind == JS_SET ? eval(r, s->set.x) : run_captured(r, s, &flow);
    r->line = s->line;
    if (!r->failed && flow == FLOW_NEXT)
        assign(r, r->scope, s->set.target, v);
    return flow;
}

static enum flow run_filter_block(struct jrun *r, const struct jstmt *s)
{
    enum flow flow;
    struct jval v = run_captured(r, s, &flow);
    if (!r->failed && flow == FLOW_NEXT)
        jtext_str(r, r->out, v);
    return flow;
}

static struct jval macro_value(struct jrun *r, const struct jcallable *def, bool is_caller)
{
    struct jmacro *m = jrun_alloc(r, 1, sizeof *m);
    if (!m)
        return JVAL_NONE;
    *m = (struct jmacro){.def = def, .scope = r->scope, .is_caller = is_caller};
    return (struct jval){.type = J_MACRO, .macro = m};
}

static void run_call_block(struct jrun *r, const struct jstmt *s)
{
    struct jval caller = macro_value(r, s->call.caller, true);
    if (!r->failed)
        caller = eval_postfix(r, s->call.x, caller);
    if (!r->failed)
        jtext_str(r, r->out, caller);
}

static enum flow run_with(struct jrun *r, const struct jstmt *s)
{
    struct jscope *outer = r->scope, *scope = scope_new(r, outer);
    for (const struct jbinding *b = s->with.bindings; b && !r->failed; b = b->next) {
        struct jval v = eval(r, b->x); /* in the outer scope */
        if (!r->failed)
            assign(r, scope, b->target, v);
    }
    if (r->failed)
        return FLOW_NEXT;
    r->scope = scope;
    enum flow flow = run_body(r, s->with.body);
    r->scope = outer;
    return flow;
}

static enum flow run_stmt(struct jrun *r, const struct jstmt *s)
{
    struct jval v;
    switch (s->kind) {
    case JS_TEXT:
        jsb_str(r->out, s->text);
        return FLOW_NEXT;
    case JS_PRINT:
        for (const struct jpart *p = s->print; p && !r->failed; p = p->next) {
            v = eval(r, p->x);
            if (!r->failed)
                jtext_str(r, r->out, v);
        }
        return FLOW_NEXT;
    case JS_IF:
        return run_if(r, s);
    case JS_FOR:
        return run_for(r, s);
    case JS_SET:
    case JS_SET_BLOCK:
        return run_set(r, s);
    case JS_MACRO:
        v = macro_value(r, s->macro, false);
        bind(r, r->scope, s->macro->name, v);
        return FLOW_NEXT;
    case JS_CALL:
        run_call_block(r, s);
        return FLOW_NEXT;
    case JS_FILTER:
        return run_filter_block(r, s);
    case JS_WITH:
        return run_with(r, s);
    case JS_BREAK:
        return FLOW_BREAK;
    default:
        return FLOW_CONTINUE;
    }
}

static enum flow run_body(struct jrun *r, const struct jstmt *s)
{
    enum flow flow = FLOW_NEXT;
    if (!s || !jrun_enter(r))
        return FLOW_NEXT;
    for (; s && flow == FLOW_NEXT && jrun_step(r); s = s->next) {
        r->line = s->line;
        flow = run_stmt(r, s);
    }
    jrun_leave(r);
    return r->failed ? FLOW_NEXT : flow;
}

bool jeval_template(struct jrun *r)
{
    run_body(r, r->t->body);
    return !r->failed;
}
