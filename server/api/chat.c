/* Owns: POST /v1/chat/completions from body to running generation.
 * Refuses to know: how the answer is sent. */
#include <config.h>

#include "api/chat.h"

#include <stdlib.h>

#include "api/generation.h"
#include "api/json.h"
#include "api/params.h"
#include "api/prompt.h"
#include "api/use.h"
#include "base/mem.h"

static bool start_chat(const struct api_call *call, const json_t *body, const struct use *use,
                       enum ledger_class class, struct params *p, struct generation **out,
                       struct api_error *e)
{
    if (!params_read(&PARAMS_CHAT_SCHEMA, body, p, e) ||
        !api_check_model(call->model, p->model, e))
        return false;
    if (!call->model->prompt)
        return api_fail(e, API_NOT_SUPPORTED, NULL,
                        "The model has no chat template; use POST /v1/completions.");
    struct prompt prompt;
    if (!prompt_make(call->model->prompt, p, &prompt, e))
        return false;
    struct generation_spec spec = {
        .model = call->model, .call = call, .use = use, .class = class,
        .writer = &WRITER_CHAT, .params = p,
        .tokens = prompt.tokens, .n_tokens = prompt.n_tokens, .mode = prompt.mode,
        .id = call->id, .notify = call->notify, .user = call->user};
    bool ok = generation_start(&spec, out, e);
    free(prompt.tokens);
    return ok;
}

/* With a prompt of the registry in front. */
static bool start_with_prompt(const struct api_call *call, const json_t *body,
                              enum ledger_class class, struct params *p, struct generation **out,
                              struct api_error *e)
{
    struct use use;
    if (!use_read(call, json_object_get(body, "prompt"), &use, e))
        return false;
    json_t *merged = use_merge(&use, body);
    bool ok = start_chat(call, merged, &use, class, p, out, e);
    json_decref(merged);
    use_release(&use);
    return ok;
}

void chat_answer(const struct api_call *call, const json_t *body, enum ledger_class class,
                 struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct params *p = mem_zalloc(sizeof *p);
    const json_t *prompt = json_object_get(body, "prompt");
    bool ok = prompt && !json_is_null(prompt)
                  ? start_with_prompt(call, body, class, p, &answer->run, &e)
                  : start_chat(call, body, NULL, class, p, &answer->run, &e);
    if (!ok)
        api_answer_error(answer, &e);
    free(p);
}

void api_chat(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    json_t *body = json_parse_body(call->body, call->body_len, &e);
    if (body)
        chat_answer(call, body, LEDGER_INTERACTIVE, answer);
    else
        api_answer_error(answer, &e);
    json_decref(body);
}
