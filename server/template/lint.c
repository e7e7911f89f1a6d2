/* Owns: looking through templates without running them: which names they read from outside, and in
 * what order fixed text and variables follow each other. Refuses to know: the database.
 *
 * Names are followed through scopes as Jinja has them: loops, macros, call and with blocks open
 * one; what `set` binds stays until the scope ends; both branches of an `if` bind for what follows.
 * A name that is read while nothing binds it must be a declared variable.
 */
#include <config.h>

#include "template/lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "template/jast.h"
#include "template/jbuiltin.h"
#include "template/jinja.h"
#include "template/variables.h"

/* ---- which names a message reads from outside ---- */

struct walk {
    const struct jinja_template *t;
    unsigned *bound; /* [n_names] how many bindings are open */
    uint32_t *stack; /* names bound, oldest first */
    size_t n_stack, cap_stack;
    int line; /* of the statement or operation being looked at */
    void (*read)(void *ctx, const struct jname *name, int line);
    void *ctx;
};

static void walk_expr(struct walk *w, const struct jexpr *x);
static void walk_body(struct walk *w, const struct jstmt *s);
static void walk_stmt(struct walk *w, const struct jstmt *s);

static void bind(struct walk *w, uint32_t name)
{
    if (w->n_stack == w->cap_stack) {
        w->cap_stack = w->cap_stack ? w->cap_stack * 2 : 64;
        w->stack = mem_realloc(w->stack, w->cap_stack * sizeof *w->stack);
    }
    w->stack[w->n_stack++] = name;
    w->bound[name]++;
}

static void leave_scope(struct walk *w, size_t mark)
{
    while (w->n_stack > mark)
        w->bound[w->stack[--w->n_stack]]--;
}

static void read_name(struct walk *w, uint32_t name, int line)
{
    if (!w->bound[name])
        w->read(w->ctx, &w->t->names[name], line);
}

static void bind_target(struct walk *w, const struct jtarget *target)
{
    switch (target->kind) {
    case JT_NAME:
        bind(w, target->name);
        break;
    case JT_FIELD:
        read_name(w, target->name, w->line);
        break;
    case JT_TUPLE:
        for (const struct jtarget *t = target->items; t; t = t->next)
            bind_target(w, t);
        break;
    }
}

static void walk_ops(struct walk *w, const struct jop *op)
{
    for (; op; op = op->next) {
        for (size_t i = 0; i < 3; i++)
            walk_expr(w, op->index[i]);
        for (const struct jarg *a = op->args; a; a = a->next)
            walk_expr(w, a->x);
    }
}

static void walk_parts(struct walk *w, const struct jpart *part)
{
    for (; part; part = part->next) {
        walk_expr(w, part->key);
        walk_expr(w, part->x);
    }
}

static void walk_expr(struct walk *w, const struct jexpr *x)
{
    if (!x)
        return;
    switch (x->kind) {
    case JX_CONST:
        break;
    case JX_NAME:
        read_name(w, x->name, x->line);
        break;
    case JX_ARITH:
    case JX_CONCAT:
    case JX_COMPARE:
    case JX_AND:
    case JX_OR:
    case JX_NOT:
    case JX_NEG:
    case JX_POS:
    case JX_LIST:
    case JX_TUPLE:
    case JX_DICT:
        walk_expr(w, x->first);
        walk_parts(w, x->rest);
        break;
    case JX_COND:
        walk_expr(w, x->test);
        walk_expr(w, x->yes);
        walk_expr(w, x->no);
        break;
    case JX_POSTFIX:
        walk_expr(w, x->base);
        walk_ops(w, x->ops);
        break;
    }
}

static void walk_callable(struct walk *w, const struct jcallable *c)
{
    for (const struct jparam *p = c->params; p; p = p->next)
        walk_expr(w, p->fallback);
    size_t mark = w->n_stack;
    for (const struct jparam *p = c->params; p; p = p->next)
        bind(w, p->name);
    bind(w, JNAME_CALLER);
    bind(w, JNAME_VARARGS);
    bind(w, JNAME_KWARGS);
    walk_body(w, c->body);
    leave_scope(w, mark);
}

static void walk_loop(struct walk *w, const struct jstmt *s)
{
    walk_expr(w, s->loop.iter);
    size_t mark = w->n_stack;
    bind_target(w, s->loop.target);
    bind(w, JNAME_LOOP);
    walk_expr(w, s->loop.test);
    walk_body(w, s->loop.body);
    leave_scope(w, mark);
    walk_body(w, s->loop.otherwise);
}

static void walk_with(struct walk *w, const struct jstmt *s)
{
    for (const struct jbinding *b = s->with.bindings; b; b = b->next)
        walk_expr(w, b->x);
    size_t mark = w->n_stack;
    for (const struct jbinding *b = s->with.bindings; b; b = b->next)
        bind_target(w, b->target);
    walk_body(w, s->with.body);
    leave_scope(w, mark);
}

/* A block whose text goes through filters, and perhaps into a name. */
static void walk_block(struct walk *w, const struct jstmt *s)
{
    size_t mark = w->n_stack;
    walk_body(w, s->set.body);
    leave_scope(w, mark);
    walk_ops(w, s->set.filters);
    if (s->kind == JS_SET_BLOCK)
        bind_target(w, s->set.target);
}

static void walk_stmt(struct walk *w, const struct jstmt *s)
{
    w->line = s->line;
    switch (s->kind) {
    case JS_TEXT:
    case JS_BREAK:
    case JS_CONTINUE:
        break;
    case JS_PRINT:
        walk_parts(w, s->print);
        break;
    case JS_IF:
        for (const struct jbranch *b = s->branches; b; b = b->next) {
            walk_expr(w, b->test);
            walk_body(w, b->body);
        }
        break;
    case JS_FOR:
        walk_loop(w, s);
        break;
    case JS_SET:
        walk_expr(w, s->set.x);
        bind_target(w, s->set.target);
        break;
    case JS_SET_BLOCK:
    case JS_FILTER:
        walk_block(w, s);
        break;
    case JS_MACRO:
        bind(w, s->macro->name);
        walk_callable(w, s->macro);
        break;
    case JS_CALL:
        walk_expr(w, s->call.x);
        walk_callable(w, s->call.caller);
        break;
    case JS_WITH:
        walk_with(w, s);
        break;
    }
}

static void walk_body(struct walk *w, const struct jstmt *s)
{
    for (; s; s = s->next)
        walk_stmt(w, s);
}

/* ---- what the names mean ---- */

/* What is known of one declared variable. */
struct use {
    const char *name;
    bool own; /* declared by the version that is being looked at */
    bool used;
    bool shown;     /* printed or tested, not just put into another name */
    size_t before;  /* fixed tokens in front of the place where it is first shown */
    size_t message; /* that place */
};

struct looking {
    struct findings *f;
    const struct token_counter *tokens;
    struct use use[VARIABLES_MAX];
    size_t n_uses;
    const struct prompt_message *message; /* now */
    size_t position;                      /* its place in the prompt */
    size_t fixed;                         /* tokens of fixed text so far */
    size_t prefix;                        /* until the first thing that may vary */
    bool prefix_ended;
};

static size_t count(const struct looking *l, const char *text, size_t len)
{
    if (l->tokens && l->tokens->count)
        return l->tokens->count(l->tokens->ctx, text, len);
    return (len + 3) / 4;
}

static struct use *find_use(struct looking *l, const struct jname *name)
{
    for (size_t i = 0; i < l->n_uses; i++) {
        if (strlen(l->use[i].name) == name->n && memcmp(l->use[i].name, name->p, name->n) == 0)
            return &l->use[i];
    }
    return NULL;
}

static void on_read(void *ctx, const struct jname *name, int line)
{
    struct looking *l = ctx;
    struct use *use = find_use(l, name);
    struct jstr text = {.p = name->p, .n = name->n};
    char at[40];
    if (use)
        use->used = true;
    if (l->message->source != 0 || (use && use->own))
        return;
    snprintf(at, sizeof at, "messages[%zu]", l->message->index);
    if (jstr_is(text, "strftime_now"))
        findings_add(l->f, FINDING_ERROR, "impure", at,
                     "line %d asks for the time; use a variable of type date",
                     "第 %d 行读取当前时间；请改用 date 类型的变量", line);
    else if (!jfunction_find(text))
        findings_add(l->f, FINDING_ERROR, "undeclared-variable", at,
                     "line %d uses \"%.*s\", which is not declared",
                     "第 %d 行使用了未声明的变量“%.*s”", line, (int)(name->n < 64 ? name->n : 64),
                     name->p);
}

/* Statements that put nothing into the text. */
static bool is_silent(const struct jstmt *s)
{
    return s->kind == JS_SET || s->kind == JS_SET_BLOCK || s->kind == JS_MACRO;
}

/* Everything that was read so far and not shown yet is shown by this statement at the latest. */
static void note_shown(struct looking *l)
{
    for (size_t i = 0; i < l->n_uses; i++) {
        struct use *use = &l->use[i];
        if (!use->used || use->shown)
            continue;
        use->shown = true;
        use->before = l->fixed;
        use->message = l->position;
    }
}

static void look_at_message(struct looking *l, const struct prompt_message *m)
{
    struct walk w = {.t = m->compiled, .read = on_read, .ctx = l};
    w.bound = mem_calloc(w.t->n_names + 1, sizeof *w.bound);
    l->message = m;
    for (const struct jstmt *s = w.t->body; s; s = s->next) {
        if (s->kind == JS_TEXT) {
            size_t n = count(l, s->text.p, s->text.n);
            l->fixed += n;
            l->prefix += l->prefix_ended ? 0 : n;
            continue;
        }
        walk_stmt(&w, s);
        if (is_silent(s))
            continue;
        note_shown(l);
        l->prefix_ended = true;
    }
    free(w.bound);
    free(w.stack);
    l->position++;
}

static void judge_uses(struct looking *l)
{
    char at[100];
    for (size_t i = 0; i < l->n_uses; i++) {
        const struct use *use = &l->use[i];
        size_t behind = l->fixed - use->before;
        snprintf(at, sizeof at, "variables.%s", use->name);
        if (!use->used && use->own)
            findings_add(l->f, FINDING_WARNING, "unused-variable", at, "no message uses it",
                         "没有任何消息使用此变量");
        else if (use->shown && behind >= LINT_TAIL_TOKENS)
            findings_add(l->f, FINDING_WARNING, "breaks-prefix", at,
                         "%zu tokens of fixed text stand behind its first use (message %zu) and "
                         "cannot be cached; move fixed text in front of variables",
                         "首次使用处之后还有 %zu 个固定词元无法缓存（首次使用于第 %zu "
                         "条消息）；请把固定文字移到变量之前",
                         behind, use->message + 1);
    }
}

/* A version may hold tools for the day when requests may. */
static void judge_tools(const json_t *content, struct findings *f)
{
    if (json_array_size(json_object_get(content, "tools")) > 0)
        findings_add(f, FINDING_WARNING, "tools-not-supported", "tools",
                     "tools are not supported yet: every use of this version is refused",
                     "尚不支持工具：使用此版本的请求都会被拒绝");
}

static void add_uses(struct looking *l, const struct prompt *p)
{
    const json_t *own = json_object_get(prompt_content(p), "variables");
    const json_t *all = prompt_variables(p);
    for (size_t i = 0; i < json_array_size(all) && i < VARIABLES_MAX; i++)
        l->use[l->n_uses++] = (struct use){
            .name = json_string_value(json_object_get(json_array_get(all, i), "name")),
            .own = i < json_array_size(own), /* they stand in front */
        };
}

/* ---- examples and tests ---- */

/* Renders one set of values; tokens of the result, or -1 with a finding. */
static long long try_values(const struct looking *l, const struct prompt *p, const json_t *values,
                            const char *at)
{
    struct prompt_rendering r;
    struct err e = ERR_INIT;
    if (!prompt_render(p, values, &r, NULL, &e)) {
        findings_add(l->f, FINDING_ERROR, "does-not-render", at, "%s", "无法渲染：%s", e.msg);
        return -1;
    }
    size_t n = 0, i;
    json_t *m;
    json_array_foreach (r.messages, i, m) {
        const json_t *text = json_object_get(m, "content");
        n += count(l, json_string_value(text), json_string_length(text));
    }
    prompt_rendering_release(&r);
    return (long long)n;
}

static json_t *try_example(const struct looking *l, const struct prompt *p)
{
    const json_t *example = json_object_get(prompt_content(p), "example");
    json_t *tests = json_object_get(prompt_content(p), "tests"), *test;
    size_t i;
    json_array_foreach (tests, i, test) {
        char at[40];
        snprintf(at, sizeof at, "tests[%zu]", i);
        try_values(l, p, json_object_get(test, "variables"), at);
    }
    if (!example)
        return json_null();
    long long n = try_values(l, p, json_object_get(example, "variables"), "example");
    return n < 0 ? json_null() : json_integer(n);
}

/* Every message by itself, so that each gets its own finding. */
static void compile_all(const json_t *content, struct findings *f)
{
    static const struct jinja_limits limits = JINJA_LIMITS_DEFAULT;
    size_t i;
    json_t *m;
    json_array_foreach (json_object_get(content, "messages"), i, m) {
        const json_t *text = json_object_get(m, "content");
        struct jinja_template *t = NULL;
        struct err e = ERR_INIT;
        char at[40];
        snprintf(at, sizeof at, "messages[%zu]", i);
        if (text &&
            !jinja_compile(json_string_value(text), json_string_length(text), &limits, &t, &e))
            findings_add(f, FINDING_ERROR, "syntax", at, "%s", "模板语法错误：%s", e.msg);
        jinja_destroy(&t);
    }
}

void lint_content(const json_t *content, prompt_fetch_fn *fetch, void *ctx,
                  const struct token_counter *tokens, struct findings *f, json_t **measures)
{
    const struct prompt_source root = {.content = json_iterable(content)};
    struct looking l = {.f = f, .tokens = tokens};
    struct prompt *p = NULL;
    struct err e = ERR_INIT;
    size_t before = f->errors;
    *measures = NULL;
    compile_all(content, f);
    judge_tools(content, f);
    if (f->errors == before && !prompt_create(&root, fetch, ctx, &p, &e))
        findings_add(f, FINDING_ERROR, "bad-include", "messages", "%s", "引用有误：%s", e.msg);
    json_t *example = json_null();
    if (p) {
        add_uses(&l, p);
        for (size_t i = 0; i < prompt_n_messages(p); i++)
            look_at_message(&l, prompt_message_at(p, i));
        judge_uses(&l);
        if (f->errors == before)
            example = try_example(&l, p);
    }
    *measures = json_pack("{s:b, s:I, s:I, s:o}", "estimated", !(tokens && tokens->count),
                          "prefix_tokens", (json_int_t)l.prefix, "fixed_tokens",
                          (json_int_t)l.fixed, "example_tokens", example);
    prompt_unref(&p);
}
