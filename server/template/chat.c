/* Owns: what chat templates expect of their variables, and the differences between templates that
 * clients must not notice (form of tool arguments, content parts, missing content). Refuses to know
 * the template language (jinja.c) and tokens.
 */
#include <config.h>

#include "template/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "template/jinja.h"

struct chat_template {
    struct jinja_template *jinja;
    struct jinja_limits limits;
    char *bos, *eos; /* owned; NULL: none */
    bool think_tags;
    bool arguments_as_text; /* else as objects */
};

/* ---- messages as templates want them ---- */

static json_t *join_parts(json_t *parts, struct err *e)
{
    struct buf text;
    size_t i;
    json_t *part, *joined;
    buf_init(&text, SIZE_MAX / 2);
    json_array_foreach(parts, i, part) {
        const char *type = json_string_value(json_object_get(part, "type"));
        json_t *s = json_object_get(part, "text");
        if (!type || strcmp(type, "text") != 0 || !json_is_string(s)) {
            err_set(e, ERR_UNSUPPORTED, 0, __FILE__, __LINE__,
                    "content part %zu is not text; this model reads text only", i);
            buf_release(&text);
            return NULL;
        }
        if (i)
            buf_putc(&text, '\n');
        buf_append(&text, json_string_value(s), json_string_length(s));
    }
    joined = text.failed ? NULL : json_stringn(buf_str(&text), text.len);
    if (!joined)
        err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "content cannot be joined");
    buf_release(&text);
    return joined;
}

/* The arguments in the other form: parsed, or as text. NULL: leave them as they are (text that is
 * no JSON object stays text: a model may have produced it). */
static json_t *convert_arguments(json_t *arguments, bool as_text)
{
    if (as_text && (json_is_object(arguments) || json_is_array(arguments))) {
        char *text = json_dumps(arguments, 0);
        json_t *s = text ? json_string(text) : NULL;
        free(text);
        return s;
    }
    if (as_text || !json_is_string(arguments))
        return NULL;
    json_t *parsed = json_loadb(json_string_value(arguments), json_string_length(arguments),
                                JSON_ALLOW_NUL, NULL);
    if (parsed && json_is_object(parsed))
        return parsed;
    json_decref(parsed);
    return NULL;
}

/* A copy of one tool call with its arguments converted; the call itself when nothing changes. */
static json_t *convert_call(json_t *call, bool as_text)
{
    json_t *function = json_object_get(call, "function");
    json_t *arguments = convert_arguments(json_object_get(function, "arguments"), as_text);
    if (!arguments)
        return json_incref(call);
    json_t *copy = json_copy(call), *inner = json_copy(function);
    /* json_object_set_new() takes the arguments even when it fails, also with inner == NULL */
    bool failed = json_object_set_new(inner, "arguments", arguments) != 0;
    if (failed || !copy || json_object_set(copy, "function", inner)) {
        json_decref(copy);
        copy = NULL;
    }
    json_decref(inner);
    return copy;
}

static json_t *convert_calls(json_t *calls, bool as_text)
{
    json_t *out = json_array(), *call;
    size_t i;
    json_array_foreach(calls, i, call) {
        if (json_array_append_new(out, convert_call(call, as_text))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* Puts a value into a message, which is copied first if it is still the caller's. */
static bool replace(json_t **message, json_t *original, const char *key, json_t *value_take)
{
    if (*message == original) {
        json_t *copy = json_copy(original);
        if (!copy) {
            json_decref(value_take);
            return false;
        }
        json_decref(*message);
        *message = copy;
    }
    return json_object_set_new(*message, key, value_take) == 0;
}

/* New reference to the message as the template wants it. */
static json_t *prepare_message(json_t *original, bool as_text, struct err *e)
{
    json_t *m = json_incref(original);
    json_t *content = json_object_get(original, "content");
    json_t *calls = json_object_get(original, "tool_calls");
    if (!json_is_object(original)) {
        err_set(e, ERR_ARG, 0, __FILE__, __LINE__, "every message must be an object");
        goto fail;
    }
    if (json_is_array(content)) {
        json_t *joined = join_parts(content, e);
        if (!joined)
            goto fail;
        if (!replace(&m, original, "content", joined))
            goto nomem;
    } else if (!content && !replace(&m, original, "content", json_null())) {
        goto nomem;
    }
    if (json_array_size(calls) &&
        !replace(&m, original, "tool_calls", convert_calls(calls, as_text)))
        goto nomem;
    return m;
nomem:
    err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "a message cannot be copied");
fail:
    json_decref(m);
    return NULL;
}

static json_t *prepare_messages(json_t *messages, bool as_text, struct err *e)
{
    json_t *out = json_array(), *message;
    size_t i;
    json_array_foreach(messages, i, message) {
        json_t *m = prepare_message(message, as_text, e);
        if (!m || json_array_append_new(out, m)) {
            if (m)
                err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "the messages cannot be copied");
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

/* ---- variables ---- */

static const char *const think_names[] = {"enable_thinking", "thinking"};
enum { N_THINK_NAMES = 2 };

static bool add_kwargs(json_t *vars, json_t *kwargs, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach(kwargs, key, value) {
        bool known = false;
        for (size_t i = 0; i < N_THINK_NAMES; i++)
            known |= strcmp(key, think_names[i]) == 0;
        if (!known)
            FAIL(e, ERR_ARG, "chat template argument '%.60s' is not known; allowed: %s, %s", key,
                 think_names[0], think_names[1]);
        if (json_is_object(value) || json_is_array(value))
            FAIL(e, ERR_ARG, "chat template argument '%s' must be true or false", key);
        json_object_set(vars, key, value);
    }
    return true;
}

static json_t *make_vars(const struct chat_template *t, const struct chat_request *q, bool as_text,
                         struct err *e)
{
    json_t *vars = json_object(), *messages = prepare_messages(q->messages, as_text, e);
    if (!messages)
        goto fail;
    if (json_object_set_new(vars, "messages", messages) ||
        json_object_set(vars, "tools", q->tools ? q->tools : json_null()) ||
        json_object_set_new(vars, "add_generation_prompt",
                            json_boolean(q->add_generation_prompt)) ||
        (t->bos && json_object_set_new(vars, "bos_token", json_string(t->bos))) ||
        (t->eos && json_object_set_new(vars, "eos_token", json_string(t->eos)))) {
        err_set(e, ERR_ARG, 0, __FILE__, __LINE__,
                "the variables of the chat template cannot be built");
        goto fail;
    }
    TRY(add_kwargs(vars, q->kwargs, e));
    return vars;
fail:
    json_decref(vars);
    return NULL;
}

/* ---- rendering ---- */

static bool take_spans(struct chat_prompt *out, const struct jinja_spans *spans)
{
    out->data = mem_try_calloc(spans->n ? spans->n : 1, sizeof *out->data);
    if (!out->data)
        return false;
    for (size_t i = 0; i < spans->n; i++)
        out->data[i] = (struct chat_span){.begin = spans->span[i].begin, .end = spans->span[i].end};
    out->n_data = spans->n;
    return true;
}

static bool render(const struct chat_template *t, const struct chat_request *q, bool as_text,
                   struct chat_prompt *out, struct err *e)
{
    /* texts of the model itself, not of those who talk to it */
    static const char *const trusted[] = {"bos_token", "eos_token", "add_generation_prompt", NULL};
    struct buf text;
    struct jinja_spans spans = {.n = 0};
    *out = (struct chat_prompt){.len = 0};
    buf_init(&text, t->limits.max_output_bytes);
    json_t *vars = make_vars(t, q, as_text, e);
    if (!vars)
        return false;
    struct jinja_input in = {.vars = vars, .trusted = trusted, .now = q->now};
    bool ok = jinja_render(t->jinja, &in, &t->limits, &text, &spans, e);
    json_decref(vars);
    if (ok && !take_spans(out, &spans))
        ok = err_set(e, ERR_NOMEM, 0, __FILE__, __LINE__, "the host is out of memory");
    jinja_spans_release(&spans);
    if (ok) {
        out->len = text.len;
        out->text = buf_take(&text);
    }
    buf_release(&text);
    return ok;
}

bool chat_template_render(const struct chat_template *t, const struct chat_request *request,
                          struct chat_prompt *out, struct err *e)
{
    if (!json_is_array(request->messages))
        FAIL(e, ERR_ARG, "messages must be an array");
    return render(t, request, t->arguments_as_text, out, e);
}

void chat_prompt_release(struct chat_prompt *p)
{
    free(p->text);
    free(p->data);
    *p = (struct chat_prompt){.len = 0};
}

/* ---- getting to know a template ---- */

static bool contains(const char *text, size_t len, const char *what)
{
    return len && memmem(text, len, what, strlen(what)) != NULL;
}

/* Renders a conversation with one tool call, arguments in the given form, and looks whether they
 * come out as `expected`, and not as `forbidden`. */
static bool probe(const struct chat_template *t, bool as_text, const char *expected,
                  const char *forbidden)
{
    json_t *messages = json_pack(
        "[{s:s, s:s}, {s:s, s:n, s:[{s:s, s:s, s:{s:s, s:{s:s}}}]}, {s:s, s:s, s:s}]", "role",
        "user", "content", "question", "role", "assistant", "content", "tool_calls", "id", "call_1",
        "type", "function", "function", "name", "probe", "arguments", "probe_key", "probe_value",
        "role", "tool", "content", "result", "tool_call_id", "call_1");
    struct chat_request q = {.messages = messages, .add_generation_prompt = true};
    struct chat_prompt p;
    bool ok = messages && render(t, &q, as_text, &p, NULL);
    if (ok) {
        ok = contains(p.text, p.len, expected) &&
             !(forbidden && contains(p.text, p.len, forbidden));
        chat_prompt_release(&p);
    }
    json_decref(messages);
    return ok;
}

/* Objects unless the template can only paste text. An object printed by a template that expects
 * text shows in Python's spelling, with single quotes. */
static bool wants_text(const struct chat_template *t)
{
    return !probe(t, false, "probe_key", "'probe_key'") &&
           probe(t, true, "{\"probe_key\": \"probe_value\"}", NULL);
}

bool chat_template_create(const char *src, size_t len, const char *bos, const char *eos,
                          const struct jinja_limits *limits, struct chat_template **out,
                          struct err *e)
{
    struct chat_template *t = mem_zalloc(sizeof *t);
    t->limits = limits ? *limits : JINJA_LIMITS_DEFAULT;
    t->bos = bos ? mem_strdup(bos) : NULL;
    t->eos = eos ? mem_strdup(eos) : NULL;
    *out = NULL;
    if (!jinja_compile(src, len, &t->limits, &t->jinja, e)) {
        chat_template_destroy(&t);
        return false;
    }
    t->think_tags = contains(src, len, "<think>") || contains(src, len, "</think>");
    t->arguments_as_text = contains(src, len, "tool_calls") && wants_text(t);
    *out = t;
    return true;
}

void chat_template_destroy(struct chat_template **t)
{
    if (!*t)
        return;
    jinja_destroy(&(*t)->jinja);
    free((*t)->bos);
    free((*t)->eos);
    free(*t);
    *t = NULL;
}

/* Whether the prompt's last bytes are `tail`, written by the template. */
static bool ends_with(const struct chat_prompt *p, const char *tail)
{
    size_t n = strlen(tail);
    if (p->len < n || memcmp(p->text + p->len - n, tail, n) != 0)
        return false;
    return p->n_data == 0 || p->data[p->n_data - 1].end <= p->len - n;
}

struct chat_thinking chat_template_thinks(const struct chat_template *t,
                                          const struct chat_prompt *p)
{
    struct chat_thinking thinking = {.template_tags = t->think_tags};
    if (p)
        thinking.prompt_opens = ends_with(p, "<think>") || ends_with(p, "<think>\n");
    return thinking;
}
