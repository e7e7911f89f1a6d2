/* Owns: putting a version and its parts together, and turning values into messages. Refuses to
 * know: where versions are stored and which of them a label means. */
#include <config.h>

#include "template/render.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "template/jinja.h"
#include "template/variables.h"

struct prompt {
    atomic_uint refs;
    struct prompt_source source[PROMPT_MAX_SOURCES];
    size_t n_sources;
    struct prompt_message message[PROMPT_MAX_MESSAGES];
    size_t n_messages;
    json_t *declarations;        /* owned */
    struct variables *variables; /* owned */
};

/* The only "now" a prompt ever sees: templates that ask for the time are refused when saved. */
static const struct tm no_time = {.tm_year = 70, .tm_mday = 1, .tm_wday = 4};

struct building {
    struct prompt *p;
    prompt_fetch_fn *fetch;
    void *ctx;
    struct err *e;
};

/* ---- composition ---- */

static const json_t *declared(const json_t *declarations, const char *name)
{
    for (size_t i = 0; i < json_array_size(declarations); i++) {
        const json_t *x = json_array_get(declarations, i);
        const char *known = json_string_value(json_object_get(x, "name"));
        if (known && strcmp(known, name) == 0)
            return x;
    }
    return NULL;
}

static bool add_declarations(struct building *b, const json_t *content)
{
    json_t *list = json_object_get(content, "variables");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        const json_t *other = name ? declared(b->p->declarations, name) : NULL;
        if (!other)
            json_array_append(b->p->declarations, one);
        else if (!json_equal(json_object_get(other, "type"), json_object_get(one, "type")))
            FAIL(b->e, ERR_ARG,
                 "the variable \"%s\" has another type in the included template than here", name);
    }
    if (json_array_size(b->p->declarations) > VARIABLES_MAX)
        FAIL(b->e, ERR_LIMIT, "the template has more than %d variables with what it includes",
             VARIABLES_MAX);
    return true;
}

static bool add_message(struct building *b, size_t source, size_t index, const json_t *m)
{
    static const struct jinja_limits limits = JINJA_LIMITS_DEFAULT;
    const json_t *text = json_object_get(m, "content");
    if (b->p->n_messages == PROMPT_MAX_MESSAGES)
        FAIL(b->e, ERR_LIMIT, "the prompt has more than %d messages", PROMPT_MAX_MESSAGES);
    struct prompt_message out = {
        .role = json_string_value(json_object_get(m, "role")),
        .text = json_string_value(text),
        .len = json_string_length(text),
        .source = source,
        .index = index,
    };
    if (!out.role || !out.text)
        FAIL(b->e, ERR_FORMAT, "the template version is damaged");
    if (!jinja_compile(out.text, out.len, &limits, &out.compiled, b->e))
        return err_prefix(b->e, "messages[%zu]", index);
    b->p->message[b->p->n_messages++] = out;
    return true;
}

static bool add_source(struct building *b, const struct prompt_source *source, unsigned depth);

static bool add_include(struct building *b, const json_t *m, size_t index, unsigned depth)
{
    const char *name = json_string_value(json_object_get(m, "include"));
    const char *label = json_string_value(json_object_get(m, "label"));
    struct prompt_source part = {.content = NULL};
    if (!b->fetch)
        return true;
    if (depth == PROMPT_MAX_DEPTH)
        FAIL(b->e, ERR_LIMIT, "includes are nested deeper than %d", PROMPT_MAX_DEPTH);
    bool ok = b->fetch(b->ctx, name, label, json_integer_value(json_object_get(m, "number")), &part,
                       b->e) &&
              add_source(b, &part, depth + 1);
    json_decref(part.content);
    return ok || err_prefix(b->e, "messages[%zu], include %s", index, name);
}

static bool add_source(struct building *b, const struct prompt_source *source, unsigned depth)
{
    size_t id = b->p->n_sources, i;
    json_t *m;
    if (id == PROMPT_MAX_SOURCES)
        FAIL(b->e, ERR_LIMIT, "the prompt has more than %d parts", PROMPT_MAX_SOURCES);
    b->p->source[b->p->n_sources++] = *source;
    json_incref(source->content);
    if (!add_declarations(b, source->content))
        return false;
    json_array_foreach (json_object_get(source->content, "messages"), i, m) {
        bool is_include = json_object_get(m, "include") != NULL;
        if (!(is_include ? add_include(b, m, i, depth) : add_message(b, id, i, m)))
            return false;
    }
    return true;
}

bool prompt_create(const struct prompt_source *root, prompt_fetch_fn *fetch, void *ctx,
                   struct prompt **out, struct err *e)
{
    struct prompt *p = mem_zalloc(sizeof *p);
    struct building b = {.p = p, .fetch = fetch, .ctx = ctx, .e = e};
    *out = NULL;
    atomic_init(&p->refs, 1);
    p->declarations = json_array();
    TRY(add_source(&b, root, 0));
    TRY(variables_create(p->declarations, &p->variables, e));
    *out = p;
    return true;
fail:
    prompt_unref(&p);
    return false;
}

struct prompt *prompt_ref(struct prompt *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void prompt_unref(struct prompt **prompt)
{
    struct prompt *p = *prompt;
    *prompt = NULL;
    if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
        return;
    for (size_t i = 0; i < p->n_messages; i++)
        jinja_destroy(&p->message[i].compiled);
    variables_destroy(&p->variables);
    json_decref(p->declarations);
    for (size_t i = 0; i < p->n_sources; i++)
        json_decref(p->source[i].content);
    free(p);
}

const json_t *prompt_content(const struct prompt *p)
{
    return p->source[0].content;
}

const json_t *prompt_variables(const struct prompt *p)
{
    return p->declarations;
}

size_t prompt_n_messages(const struct prompt *p)
{
    return p->n_messages;
}

const struct prompt_message *prompt_message_at(const struct prompt *p, size_t i)
{
    return &p->message[i];
}

size_t prompt_n_sources(const struct prompt *p)
{
    return p->n_sources;
}

const struct prompt_source *prompt_source_at(const struct prompt *p, size_t i)
{
    return &p->source[i];
}

/* ---- rendering ---- */

static bool render_message(const struct prompt_message *m, json_t *values, json_t *messages,
                           struct err *e)
{
    static const struct jinja_limits limits = JINJA_LIMITS_DEFAULT;
    const struct jinja_input in = {.vars = values, .now = &no_time};
    struct buf text;
    buf_init(&text, limits.max_output_bytes);
    bool ok = jinja_render(m->compiled, &in, &limits, &text, NULL, e) ||
              err_prefix(e, "message %zu", m->index + 1);
    json_t *content = ok ? json_stringn(buf_str(&text), text.len) : NULL;
    buf_release(&text);
    if (!ok)
        return false;
    if (!content)
        FAIL(e, ERR_NOMEM, "no memory for a message");
    json_array_append_new(messages, json_pack("{s:s, s:o}", "role", m->role, "content", content));
    return true;
}

bool prompt_render(const struct prompt *p, const json_t *given, struct prompt_rendering *out,
                   struct findings *f, struct err *e)
{
    struct findings own;
    *out = (struct prompt_rendering){.messages = NULL};
    findings_init(&own);
    variables_read(p->variables, given, &out->variables, f ? f : &own);
    bool fits = out->variables || findings_ok(f ? f : &own, e);
    findings_release(&own);
    if (!fits)
        return false;
    TRY(canon_hash(out->variables, out->variables_hash, e));
    out->messages = json_array();
    for (size_t i = 0; i < p->n_messages; i++)
        TRY(render_message(&p->message[i], out->variables, out->messages, e));
    return true;
fail:
    prompt_rendering_release(out);
    return false;
}

void prompt_rendering_release(struct prompt_rendering *r)
{
    json_decref(r->messages);
    json_decref(r->variables);
    *r = (struct prompt_rendering){.messages = NULL};
}
