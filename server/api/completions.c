/* Owns: POST /v1/completions, a plain prompt continued. Refuses to know: chat templates. */
#include <config.h>

#include "api/api.h"

#include <stdlib.h>

#include "api/generation.h"
#include "api/json.h"
#include "api/params.h"
#include "api/prompt.h"
#include "base/mem.h"
#include "engine.h"

static bool read_ids(const struct engine *eng, const json_t *list, int32_t **out, size_t *n,
                     struct api_error *e)
{
    size_t count = json_array_size(list);
    int32_t *ids = mem_try_calloc(count ? count : 1, sizeof *ids);
    if (!ids)
        return api_fail(e, API_OVERLOADED, NULL, "The server is short of memory.");
    for (size_t i = 0; i < count; i++) {
        const json_t *v = json_array_get(list, i);
        json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
        if (id < 0 || id >= (json_int_t)engine_info(eng)->vocab_size) {
            free(ids);
            return api_fail(e, API_INVALID_VALUE, "prompt",
                            "'prompt' as an array must hold token ids below %u.",
                            engine_info(eng)->vocab_size);
        }
        ids[i] = (int32_t)id;
    }
    *out = ids;
    *n = count;
    return true;
}

static bool read_prompt(const struct engine *eng, const json_t *prompt, int32_t **out, size_t *n,
                        struct api_error *e)
{
    const json_t *first = json_array_get(prompt, 0);
    if (json_is_array(prompt) && json_array_size(prompt) == 1 && json_is_string(first))
        prompt = first;
    else if (json_is_string(first) || json_is_array(first))
        return api_fail(e, API_NOT_SUPPORTED, "prompt",
                        "'prompt' with more than one prompt is not supported; send one each.");
    if (json_is_array(prompt))
        return read_ids(eng, prompt, out, n, e);
    if (!json_is_string(prompt))
        return api_fail(e, API_INVALID_VALUE, "prompt",
                        "'prompt' must be a string, an array of one string, or token ids.");
    struct err why = ERR_INIT;
    if (!engine_tokenize(eng, json_string_value(prompt), json_string_length(prompt),
                         ENGINE_TOKENIZE_SPECIAL | ENGINE_TOKENIZE_BOS, SIZE_MAX, out, n, &why))
        return api_fail_engine(e, &why);
    return true;
}

static bool start_completion(const struct api_call *call, const json_t *body, struct params *p,
                             struct generation **out, struct api_error *e)
{
    if (!params_read(&PARAMS_COMPLETION_SCHEMA, body, p, e) ||
        !api_check_model(call->model, p->model, e))
        return false;
    int32_t *ids;
    size_t n;
    if (!read_prompt(call->model->engine, p->prompt, &ids, &n, e))
        return false;
    struct generation_spec spec = {
        .model = call->model, .call = call, .writer = &WRITER_TEXT, .params = p, .tokens = ids,
        .n_tokens = n, .mode = STREAM_PLAIN, .id = call->id, .notify = call->notify,
        .user = call->user};
    bool ok = prompt_check_length(call->model->engine, n, "prompt", e) &&
              generation_start(&spec, out, e);
    free(ids);
    return ok;
}

void api_completion(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct params *p = mem_zalloc(sizeof *p);
    json_t *body = json_parse_body(call->body, call->body_len, &e);
    if (!body || !start_completion(call, body, p, &answer->run, &e))
        api_answer_error(answer, &e);
    json_decref(body);
    free(p);
}
