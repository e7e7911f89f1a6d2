/* Owns: POST /v1/responses from body to running generation; what its input may be.
 * Refuses to know: how the answer is written (writer_responses.c), chat templates.
 *
 * The input becomes the messages of a chat. Reasoning of earlier answers goes to the answer that it led
 * to, so that chat templates decide what becomes of it. */
#include <config.h>

#include "api/responses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/generation.h"
#include "api/json.h"
#include "api/messages.h"
#include "api/prompt.h"
#include "api/use.h"
#include "base/mem.h"

enum { TEXT_MAX = 64 << 20 };

/* ---- input ------------------------------------------------------------------------------------ */

struct reading {
    json_t *messages;           /* owned */
    struct buf text, reasoning; /* of the item; reasoning waits for the answer it led to */
    size_t i;                   /* the item */
    struct api_error *e;
};

static bool fail_at(const struct reading *r, enum api_code code, const char *member,
                    const char *what)
{
    char param[64];
    snprintf(param, sizeof param, "input[%zu]%s%s", r->i, *member ? "." : "", member);
    return api_fail(r->e, code, param, "'%s' %s.", param, what);
}

static bool add_message(struct reading *r, const char *role, const char *text, size_t len)
{
    json_t *m = json_object();
    bool assistant = !strcmp(role, "assistant");
    bool ok = !r->text.failed && !r->reasoning.failed &&
              !json_object_set_new(m, "role", json_string(role)) &&
              !json_object_set_new(m, "content", json_stringn(text, len));
    if (ok && assistant && r->reasoning.len)
        ok = !json_object_set_new(m, "reasoning_content",
                                  json_stringn(buf_str(&r->reasoning), r->reasoning.len));
    buf_clear(&r->reasoning);
    if (!ok || json_array_append(r->messages, m))
        ok = api_fail(r->e, API_OVERLOADED, NULL, "The server is short of memory.");
    json_decref(m);
    return ok;
}

static bool add_part(struct reading *r, const json_t *part, bool first, struct buf *out)
{
    static const struct {
        const char *type, *member; /* where its text stands; NULL: known, but not possible */
    } kinds[] = {{"input_text", "text"},  {"output_text", "text"}, {"text", "text"},
                 {"refusal", "refusal"},  {"reasoning_text", "text"}, {"summary_text", "text"},
                 {"input_image", NULL},   {"input_file", NULL},    {"input_audio", NULL}};
    const char *type = json_string_value(json_object_get(part, "type"));
    for (size_t k = 0; type && k < sizeof kinds / sizeof kinds[0]; k++) {
        if (strcmp(type, kinds[k].type))
            continue;
        if (!kinds[k].member)
            return fail_at(r, API_NOT_SUPPORTED, "content",
                           "parts other than text are not supported: this model reads text only");
        const json_t *text = json_object_get(part, kinds[k].member);
        if (!json_is_string(text))
            break;
        if (!first)
            buf_putc(out, '\n');
        buf_append(out, json_string_value(text), json_string_length(text));
        return true;
    }
    return fail_at(r, API_INVALID_VALUE, "content",
                   "parts must be objects with a 'type' such as input_text or output_text, and text");
}

static bool add_parts(struct reading *r, const json_t *parts, struct buf *out)
{
    for (size_t p = 0; p < json_array_size(parts); p++)
        if (!add_part(r, json_array_get(parts, p), p == 0, out))
            return false;
    return true;
}

static bool read_message(struct reading *r, const json_t *item)
{
    static const struct {
        const char *name, *as;
    } roles[] = {{"user", "user"},
                 {"assistant", "assistant"},
                 {"system", "system"},
                 {"developer", "system"}};
    const char *given = json_string_value(json_object_get(item, "role")), *role = NULL;
    const json_t *content = json_object_get(item, "content");
    for (size_t k = 0; given && k < sizeof roles / sizeof roles[0]; k++)
        if (!strcmp(given, roles[k].name))
            role = roles[k].as;
    if (!role)
        return fail_at(r, given ? API_INVALID_VALUE : API_MISSING_FIELD, "role",
                       "must be user, assistant, system or developer");
    if (json_is_string(content))
        return add_message(r, role, json_string_value(content), json_string_length(content));
    if (!json_is_array(content))
        return fail_at(r, content ? API_INVALID_VALUE : API_MISSING_FIELD, "content",
                       "must be a string or a list of parts");
    buf_clear(&r->text);
    return add_parts(r, content, &r->text) &&
           add_message(r, role, buf_str(&r->text), r->text.len);
}

/* As an earlier answer brought it; without text there is nothing to give to the model. */
static bool read_reasoning(struct reading *r, const json_t *item)
{
    const json_t *content = json_object_get(item, "content");
    if (!json_array_size(content))
        content = json_object_get(item, "summary");
    if (r->reasoning.len)
        buf_putc(&r->reasoning, '\n');
    return add_parts(r, content, &r->reasoning);
}

static bool read_item(struct reading *r, const json_t *item)
{
    static const char *const tools[] = {"function_call", "function_call_output", "custom_tool_call",
                                        "custom_tool_call_output"};
    const json_t *given = json_object_get(item, "type");
    const char *type = given ? json_string_value(given) : "message";
    if (!json_is_object(item) || !type)
        return fail_at(r, API_INVALID_VALUE, "", "must be an object with a 'type'");
    if (!strcmp(type, "message"))
        return read_message(r, item);
    if (!strcmp(type, "reasoning"))
        return read_reasoning(r, item);
    if (!strcmp(type, "item_reference"))
        return fail_at(r, API_NOT_SUPPORTED, "type",
                       "as item_reference needs answers kept by the server, and this one keeps none");
    for (size_t k = 0; k < sizeof tools / sizeof tools[0]; k++)
        if (!strcmp(type, tools[k]))
            return fail_at(r, API_NOT_SUPPORTED, "type", "as the call of a tool is not supported yet");
    return fail_at(r, API_NOT_SUPPORTED, "type", "must be message or reasoning");
}

static bool read_input(struct reading *r, const json_t *input)
{
    if (json_is_string(input))
        return add_message(r, "user", json_string_value(input), json_string_length(input));
    if (!json_is_array(input) || !json_array_size(input) || json_array_size(input) > MESSAGES_MAX)
        return api_fail(r->e, API_INVALID_VALUE, "input",
                        "'input' must be a string or an array of 1 to %d items.", MESSAGES_MAX);
    for (r->i = 0; r->i < json_array_size(input); r->i++)
        if (!read_item(r, json_array_get(input, r->i)))
            return false;
    return true;
}

json_t *responses_messages(const char *instructions, const json_t *input, struct api_error *e)
{
    struct reading r = {.messages = json_array(), .e = e};
    buf_init(&r.text, TEXT_MAX);
    buf_init(&r.reasoning, TEXT_MAX);
    bool given = instructions && *instructions;
    bool ok = (!given || add_message(&r, "system", instructions, strlen(instructions))) &&
              (!input || read_input(&r, input));
    buf_release(&r.text);
    buf_release(&r.reasoning);
    if (ok)
        return r.messages;
    json_decref(r.messages);
    return NULL;
}

/* ---- starting --------------------------------------------------------------------------------- */

/* Errors of messages are those of the input here. */
static bool make_prompt(const struct api_call *call, const struct params *p, struct prompt *out,
                        struct api_error *e)
{
    if (prompt_make(call->model->prompt, p, out, e))
        return true;
    if (!strcmp(e->param, "messages"))
        snprintf(e->param, sizeof e->param, "input");
    return false;
}

static bool generate(const struct api_call *call, const json_t *body, const struct use *use,
                     const struct params *p, struct generation **out, struct api_error *e)
{
    struct prompt prompt;
    if (!api_check_model(call->model, p->model, e))
        return false;
    if (!call->model->prompt)
        return api_fail(e, API_NOT_SUPPORTED, NULL,
                        "The model has no chat template; use POST /v1/completions.");
    if (!make_prompt(call, p, &prompt, e))
        return false;
    struct generation_spec spec = {
        .model = call->model, .call = call, .use = use, .writer = &WRITER_RESPONSES,
        .state_take = responses_state_create(p, body), .params = p, .tokens = prompt.tokens,
        .n_tokens = prompt.n_tokens, .mode = prompt.mode, .id = call->id, .notify = call->notify,
        .user = call->user};
    bool ok = spec.state_take ? generation_start(&spec, out, e)
                              : api_fail(e, API_OVERLOADED, NULL, "The server is short of memory.");
    free(prompt.tokens);
    return ok;
}

/* The request once more, with the messages and settings of a prompt of the registry. *messages is
 * replaced by the prompt's followed by those given. */
static bool merge_prompt(const struct use *use, const json_t *body, struct params *p,
                         json_t **messages, json_t **merged, struct api_error *e)
{
    json_t *given = json_copy((json_t *)(uintptr_t)body);
    json_object_set(given, "messages", *messages);
    *merged = use_merge(use, given);
    json_decref(given);
    json_decref(*messages);
    *messages = json_incref(json_object_get(*merged, "messages"));
    json_object_del(*merged, "messages");
    return params_read(&PARAMS_RESPONSES_SCHEMA, *merged, p, e);
}

static bool start(const struct api_call *call, const json_t *body, struct params *p,
                  struct generation **out, struct api_error *e)
{
    const json_t *prompt = json_object_get(body, "prompt");
    struct use use = {0};
    json_t *merged = NULL;
    bool named = prompt && !json_is_null(prompt);
    if (!params_read(&PARAMS_RESPONSES_SCHEMA, body, p, e))
        return false;
    if (!named && !p->input)
        return api_fail(e, API_MISSING_FIELD, "input", "'input' is required.");
    json_t *messages = responses_messages(p->instructions, p->input, e);
    bool ok = messages != NULL;
    if (ok && named)
        ok = use_read(call, prompt, &use, e) && merge_prompt(&use, body, p, &messages, &merged, e);
    p->messages = messages;
    ok = ok && generate(call, body, named ? &use : NULL, p, out, e);
    use_release(&use);
    json_decref(messages);
    json_decref(merged);
    return ok;
}

void api_responses(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct params *p = mem_zalloc(sizeof *p);
    json_t *body = json_parse_body(call->body, call->body_len, &e);
    if (!body || !start(call, body, p, &answer->run, &e))
        api_answer_error(answer, &e);
    json_decref(body);
    free(p);
}
