/* Owns: the tables of request fields and the rules between fields.
 * Refuses to know: prompts, how generation runs, sockets. */
#include <config.h>

#include "api/params.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields with their own rules -------------------------------------------------------------- */

static bool parse_json(const struct schema_field *f, const json_t *v, void *target,
                       struct api_error *e)
{
    (void)e;
    *(const json_t **)((char *)target + f->offset) = v;
    return true;
}

static bool parse_seed(const struct schema_field *f, const json_t *v, void *target,
                       struct api_error *e)
{
    struct params *p = target;
    if (!json_is_integer(v))
        return schema_fail_type(f, "an integer", e);
    p->seed = (uint64_t)json_integer_value(v);
    p->has_seed = true;
    return true;
}

static bool add_stop(const struct schema_field *f, const json_t *v, struct params *p,
                     struct api_error *e)
{
    if (!json_is_string(v))
        return schema_fail_type(f, "a string or an array of strings", e);
    size_t len = json_string_length(v);
    if (len < 1 || len > ENGINE_MAX_STOP_BYTES)
        return api_fail(e, API_INVALID_VALUE, f->name, "'%s' strings must have 1 to %d bytes.",
                        f->name, ENGINE_MAX_STOP_BYTES);
    p->stop[p->n_stop++] = json_string_value(v);
    return true;
}

static bool parse_stop(const struct schema_field *f, const json_t *v, void *target,
                       struct api_error *e)
{
    struct params *p = target;
    if (!json_is_array(v))
        return add_stop(f, v, p, e);
    if (json_array_size(v) > ENGINE_MAX_STOP)
        return api_fail(e, API_INVALID_VALUE, f->name, "'%s' takes at most %d strings.", f->name,
                        ENGINE_MAX_STOP);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!add_stop(f, json_array_get(v, i), p, e))
            return false;
    return true;
}

static bool parse_stop_tokens(const struct schema_field *f, const json_t *v, void *target,
                              struct api_error *e)
{
    struct params *p = target;
    if (!json_is_array(v) || json_array_size(v) > ENGINE_MAX_STOP_TOKENS)
        return api_fail(e, API_INVALID_VALUE, f->name,
                        "'%s' must be an array of at most %d token ids.", f->name,
                        ENGINE_MAX_STOP_TOKENS);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return schema_fail_type(f, "an array of token ids", e);
        p->stop_tokens[p->n_stop_tokens++] = (int32_t)json_integer_value(id);
    }
    return true;
}

static bool parse_token_key(const char *key, int32_t *out)
{
    char *end;
    if (*key < '0' || *key > '9' || strlen(key) > 10)
        return false;
    long id = strtol(key, &end, 10);
    if (*end || id > INT32_MAX)
        return false;
    *out = (int32_t)id;
    return true;
}

static bool parse_bias(const struct schema_field *f, const json_t *v, void *target,
                       struct api_error *e)
{
    struct params *p = target;
    if (!json_is_object(v))
        return schema_fail_type(f, "an object of token id -> bias", e);
    if (json_object_size(v) > ENGINE_MAX_BIAS)
        return api_fail(e, API_INVALID_VALUE, f->name, "'%s' takes at most %d entries.", f->name,
                        ENGINE_MAX_BIAS);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)v, key, value)
    {
        struct engine_bias *b = &p->bias[p->n_bias];
        if (!parse_token_key(key, &b->token))
            return api_fail(e, API_INVALID_VALUE, f->name,
                            "The keys of '%s' must be token ids in decimal.", f->name);
        double x = json_number_value(value);
        if (!json_is_number(value) || !(x >= -100 && x <= 100))
            return api_fail(e, API_INVALID_VALUE, f->name,
                            "The values of '%s' must be numbers from -100 to 100.", f->name);
        b->bias = (float)x;
        p->n_bias++;
    }
    return true;
}

static bool parse_stream_options(const struct schema_field *f, const json_t *v, void *target,
                                 struct api_error *e)
{
    struct params *p = target;
    if (!json_is_object(v))
        return schema_fail_type(f, "an object", e);
    const json_t *usage = json_object_get(v, "include_usage");
    if (usage && !json_is_null(usage) && !json_is_boolean(usage))
        return api_fail(e, API_INVALID_VALUE, "stream_options.include_usage",
                        "'stream_options.include_usage' must be true or false.");
    p->include_usage = json_is_true(usage);
    return true;
}

static bool parse_response_format(const struct schema_field *f, const json_t *v, void *target,
                                  struct api_error *e)
{
    (void)target;
    const json_t *type = json_object_get(v, "type");
    if (!json_is_object(v) || !json_is_string(type))
        return schema_fail_type(f, "an object with a 'type'", e);
    if (!strcmp(json_string_value(type), "text"))
        return true;
    return api_fail(e, API_NOT_SUPPORTED, f->name,
                    "'%s' other than {\"type\":\"text\"} is not supported yet.", f->name);
}

static bool parse_tool_choice(const struct schema_field *f, const json_t *v, void *target,
                              struct api_error *e)
{
    (void)target;
    const char *word = json_string_value(v);
    if (word && (!strcmp(word, "none") || !strcmp(word, "auto")))
        return true;
    return api_fail(e, API_NOT_SUPPORTED, f->name,
                    "'%s' is not supported yet, because tools are not; leave the field out.",
                    f->name);
}

static bool parse_modalities(const struct schema_field *f, const json_t *v, void *target,
                             struct api_error *e)
{
    (void)target;
    const char *word = json_string_value(json_array_get(v, 0));
    if (json_array_size(v) == 1 && word && !strcmp(word, "text"))
        return true;
    return api_fail(e, API_NOT_SUPPORTED, f->name, "'%s' other than [\"text\"] is not supported.",
                    f->name);
}

static bool parse_thinking(const struct schema_field *f, const json_t *v, void *target,
                           struct api_error *e)
{
    struct params *p = target;
    const char *word = json_string_value(json_object_get(v, "type"));
    if (word && !strcmp(word, "enabled"))
        p->thinking = PARAMS_THINKING_ON;
    else if (word && !strcmp(word, "disabled"))
        p->thinking = PARAMS_THINKING_OFF;
    else
        return schema_fail_type(f, "{\"type\":\"enabled\"} or {\"type\":\"disabled\"}", e);
    return true;
}

static bool parse_kwargs(const struct schema_field *f, const json_t *v, void *target,
                         struct api_error *e)
{
    static const char *const known[] = {"enable_thinking", "thinking", "reasoning_effort"};
    struct params *p = target;
    if (!json_is_object(v))
        return schema_fail_type(f, "an object", e);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)v, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found |= !strcmp(key, known[i]);
        if (!found)
            return api_fail(e, API_NOT_SUPPORTED, f->name,
                            "'%s' takes only enable_thinking, thinking and reasoning_effort.",
                            f->name);
        bool flag = strcmp(key, "reasoning_effort") != 0;
        if (flag ? !json_is_boolean(value) : !json_is_string(value))
            return api_fail(e, API_INVALID_VALUE, f->name, "'%s.%s' must be %s.", f->name, key,
                            flag ? "true or false" : "a string");
        if (flag)
            p->thinking = json_is_true(value) ? PARAMS_THINKING_ON : PARAMS_THINKING_OFF;
        else
            p->reasoning_effort = json_string_value(value);
    }
    return true;
}

static bool is_given(const json_t *v)
{
    return v && !json_is_null(v);
}

static bool parse_effort(const struct schema_field *f, const json_t *v, void *target,
                         struct api_error *e)
{
    static const char *const known[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    struct params *p = target;
    const char *word = json_string_value(v);
    for (size_t i = 0; word && i < sizeof known / sizeof known[0]; i++) {
        if (!strcmp(word, known[i])) {
            p->reasoning_effort = word;
            return true;
        }
    }
    return schema_fail_type(f, "none, minimal, low, medium, high, xhigh or max", e);
}

/* Of responses. How much of the reasoning a summary would show does not matter: all of it is sent. */
static bool parse_reasoning(const struct schema_field *f, const json_t *v, void *target,
                            struct api_error *e)
{
    static const struct schema_field effort = {.name = "reasoning.effort"};
    const json_t *word = json_object_get(v, "effort");
    if (!json_is_object(v))
        return schema_fail_type(f, "an object", e);
    return !is_given(word) || parse_effort(&effort, word, target, e);
}

static bool parse_text(const struct schema_field *f, const json_t *v, void *target,
                       struct api_error *e)
{
    static const struct schema_field format = {.name = "text.format"};
    const json_t *form = json_object_get(v, "format");
    if (!json_is_object(v))
        return schema_fail_type(f, "an object", e);
    return !is_given(form) || parse_response_format(&format, form, target, e);
}

/* Fields that lean on answers kept by the server. */
static bool parse_stateless(const struct schema_field *f, const json_t *v, void *target,
                            struct api_error *e)
{
    (void)target;
    if (json_is_false(v))
        return true;
    return api_fail(e, API_NOT_SUPPORTED, f->name,
                    "'%s' needs answers kept by the server, and this one keeps none; send the whole "
                    "conversation in 'input' and leave the field out.", f->name);
}

static bool parse_include(const struct schema_field *f, const json_t *v, void *target,
                          struct api_error *e)
{
    struct params *p = target;
    size_t i;
    const json_t *item;
    if (!json_is_array(v))
        return schema_fail_type(f, "an array of strings", e);
    json_array_foreach (v, i, item) {
        const char *word = json_string_value(item);
        if (!word)
            return schema_fail_type(f, "an array of strings", e);
        p->logprobs |= !strcmp(word, "message.output_text.logprobs");
    }
    return true;
}

static bool parse_metadata(const struct schema_field *f, const json_t *v, void *target,
                           struct api_error *e)
{
    enum { PAIRS = 16, KEY_BYTES = 64, VALUE_BYTES = 512 };
    struct params *p = target;
    const char *key;
    json_t *value;
    bool ok = json_is_object(v) && json_object_size(v) <= PAIRS;
    json_object_foreach ((json_t *)(uintptr_t)v, key, value)
        ok = ok && strlen(key) <= KEY_BYTES && json_is_string(value) &&
             json_string_length(value) <= VALUE_BYTES;
    p->metadata = v;
    return ok || api_fail(e, API_INVALID_VALUE, f->name,
                          "'%s' must be an object of at most %d strings of at most %d bytes, with "
                          "keys of at most %d bytes.", f->name, PAIRS, VALUE_BYTES, KEY_BYTES);
}

/* Of the older completions endpoint: a count instead of true. */
static bool parse_count_logprobs(const struct schema_field *f, const json_t *v, void *target,
                                 struct api_error *e)
{
    struct params *p = target;
    if (!json_is_integer(v) || json_integer_value(v) < 0 ||
        json_integer_value(v) > PARAMS_MAX_TOP_LOGPROBS)
        return schema_fail_type(f, "an integer from 0 to 20", e);
    p->logprobs = true;
    p->top_logprobs = json_integer_value(v);
    return true;
}

/* Of responses: a count of 0 asks for nothing. */
static bool parse_top_logprobs(const struct schema_field *f, const json_t *v, void *target,
                               struct api_error *e)
{
    struct params *p = target;
    bool before = p->logprobs;
    if (!parse_count_logprobs(f, v, target, e))
        return false;
    p->logprobs = before || p->top_logprobs > 0;
    return true;
}

/* ---- the tables ------------------------------------------------------------------------------- */

#define AT(member) .offset = offsetof(struct params, member)
#define REFUSED(field) {.name = field, .type = SCHEMA_REFUSED}
#define IGNORED(field, why) {.name = field, .type = SCHEMA_IGNORED, .doc = why}

/* Rows that all endpoints share. */
#define SHARED_FIELDS                                                                              \
    {.name = "model", .type = SCHEMA_STRING, .min = 1, .max = 256, AT(model),                      \
     .fallback = "the loaded model", .doc = "id from GET /v1/models"},                             \
    {.name = "stream", .type = SCHEMA_BOOL, AT(stream), .fallback = "false",                       \
     .doc = "answer as server-sent events"},                                                       \
    {.name = "max_tokens", .type = SCHEMA_INT, .min = 1, .max = INT32_MAX, AT(max_tokens),         \
     .fallback = "until the context is full", .doc = "new tokens at most; cut to the context"},    \
    {.name = "temperature", .type = SCHEMA_NUMBER, .min = 0, .max = 2, AT(temperature),            \
     .fallback = "1", .doc = "0 always takes the most likely token"},                              \
    {.name = "top_p", .type = SCHEMA_NUMBER, .min = 0, .max = 1, AT(top_p), .fallback = "1",       \
     .doc = "probability mass to draw from; above 0"},                                             \
    {.name = "top_k", .type = SCHEMA_INT, .min = -1, .max = INT32_MAX, AT(top_k),                  \
     .fallback = "0", .doc = "candidates to draw from; 0 or -1 = all"},                            \
    {.name = "min_p", .type = SCHEMA_NUMBER, .min = 0, .max = 1, AT(min_p), .fallback = "0",       \
     .doc = "drop tokens below this share of the best one; below 1"},                              \
    {.name = "repetition_penalty", .type = SCHEMA_NUMBER, .min = 0, .max = 10,                     \
     AT(repetition_penalty), .fallback = "1", .doc = "over prompt and answer; above 0"},           \
    {.name = "presence_penalty", .type = SCHEMA_NUMBER, .min = -2, .max = 2,                       \
     AT(presence_penalty), .fallback = "0", .doc = "over the answer"},                             \
    {.name = "frequency_penalty", .type = SCHEMA_NUMBER, .min = -2, .max = 2,                      \
     AT(frequency_penalty), .fallback = "0", .doc = "over the answer"},                            \
    {.name = "seed", .type = SCHEMA_CUSTOM, .parse = parse_seed, .values = "integer",              \
     .fallback = "random", .doc = "same seed and request, same answer"},                           \
    {.name = "stop", .type = SCHEMA_CUSTOM, .parse = parse_stop,                                   \
     .values = "string, or up to 16 strings, of 1 to 256 bytes",                                   \
     .doc = "ends the answer; not part of it"},                                                    \
    {.name = "stop_token_ids", .type = SCHEMA_CUSTOM, .parse = parse_stop_tokens,                  \
     .values = "up to 16 token ids", .doc = "end the answer"},                                     \
    {.name = "logit_bias", .type = SCHEMA_CUSTOM, .parse = parse_bias,                             \
     .values = "object of up to 1024 token ids to -100..100", .doc = "added to the logits"},       \
    {.name = "ignore_eos", .type = SCHEMA_BOOL, AT(ignore_eos), .fallback = "false",               \
     .doc = "go on after the model's end token"},                                                  \
    IGNORED("user", "no effect"), IGNORED("store", "nothing is stored"),                           \
    IGNORED("service_tier", "there is one tier"),                                                  \
    REFUSED("grammar"), REFUSED("json_schema"), REFUSED("structured_outputs"),                     \
    REFUSED("guided_json"), REFUSED("guided_regex"), REFUSED("guided_choice"),                     \
    REFUSED("guided_grammar"), REFUSED("logits_processors"), REFUSED("use_beam_search"),           \
    REFUSED("min_tokens"), REFUSED("bad_words"), REFUSED("allowed_token_ids"),                     \
    REFUSED("truncate_prompt_tokens"), REFUSED("prompt_logprobs"), REFUSED("echo"),                \
    REFUSED("include_stop_str_in_output"), REFUSED("return_token_ids"),                            \
    REFUSED("repetition_detection"), REFUSED("mirostat"), REFUSED("dry_multiplier"),               \
    REFUSED("xtc_probability"), REFUSED("samplers"), REFUSED("logprob_token_ids"),                 \
    {.name = "typical_p", .type = SCHEMA_FIXED, .values = "1"},                                    \
    {.name = "skip_special_tokens", .type = SCHEMA_FIXED, .values = "true"},                       \
    {.name = "response_format", .type = SCHEMA_CUSTOM, .parse = parse_response_format,             \
     .values = "{type: \"text\"}", .fallback = "text", .doc = "constrained output comes later"}

/* Those of chat and the older completions. */
#define COMMON_FIELDS                                                                              \
    SHARED_FIELDS,                                                                                 \
    {.name = "stream_options", .type = SCHEMA_CUSTOM, .parse = parse_stream_options,               \
     .values = "{include_usage: true or false}", .doc = "one more chunk with the token counts"},   \
    {.name = "n", .type = SCHEMA_INT, .min = 1, .max = PARAMS_MAX_CHOICES, AT(n),                  \
     .fallback = "1", .doc = "independent answers"},                                               \
    IGNORED("metadata", "no effect")

/* Those of chat and responses: how a chat template is used. */
#define THINKING_FIELDS                                                                            \
    {.name = "max_completion_tokens", .type = SCHEMA_INT, .min = 1, .max = INT32_MAX,              \
     AT(max_completion_tokens), .fallback = "until the context is full",                           \
     .doc = "as max_tokens; the smaller one counts"},                                              \
    {.name = "thinking", .type = SCHEMA_CUSTOM, .parse = parse_thinking,                           \
     .values = "{type: \"enabled\" or \"disabled\"}", .fallback = "the template's own",            \
     .doc = "for models whose template has the choice"},                                           \
    {.name = "reasoning_effort", .type = SCHEMA_CUSTOM, .parse = parse_effort,                     \
     .values = "none, minimal, low, medium, high, xhigh, max",                                     \
     .doc = "none switches thinking off; the others have no effect yet"},                          \
    {.name = "chat_template_kwargs", .type = SCHEMA_CUSTOM, .parse = parse_kwargs,                 \
     .values = "object", .doc = "enable_thinking, thinking, reasoning_effort"},                    \
    {.name = "tool_choice", .type = SCHEMA_CUSTOM, .parse = parse_tool_choice,                     \
     .values = "none or auto", .doc = "tools come later"},                                         \
    REFUSED("tools"), REFUSED("chat_template"), REFUSED("documents"), REFUSED("audio"),            \
    REFUSED("continue_final_message"), REFUSED("thinking_token_budget"),                           \
    {.name = "add_generation_prompt", .type = SCHEMA_FIXED, .values = "true"},                     \
    IGNORED("parallel_tool_calls", "tools come later")

static const struct schema_field chat_fields[] = {
    {.name = "messages", .type = SCHEMA_CUSTOM, .parse = parse_json, AT(messages),
     .required = true, .values = "array of {role, content}", .fallback = "required without `prompt`",
     .doc = "roles system, developer, user, assistant; content is a string or a list of text parts"},
    {.name = "prompt", .type = SCHEMA_ELSEWHERE, /* api/use.h */
     .values = "{id, version or label, variables}", .doc = "a template in front of the messages"},
    COMMON_FIELDS,
    THINKING_FIELDS,
    {.name = "logprobs", .type = SCHEMA_BOOL, AT(logprobs), .fallback = "false",
     .doc = "report log-probabilities of the answer's tokens"},
    {.name = "top_logprobs", .type = SCHEMA_INT, .min = 0, .max = PARAMS_MAX_TOP_LOGPROBS,
     AT(top_logprobs), .fallback = "0", .doc = "alternatives per token; needs logprobs"},
    {.name = "modalities", .type = SCHEMA_CUSTOM, .parse = parse_modalities,
     .values = "[\"text\"]"},
    REFUSED("functions"),
    REFUSED("function_call"),
    REFUSED("web_search_options"),
    IGNORED("prediction", "a hint for speed only"),
    IGNORED("verbosity", "no effect"),
};

static const struct schema_field responses_fields[] = {
    {.name = "input", .type = SCHEMA_CUSTOM, .parse = parse_json, AT(input),
     .values = "string, or array of items: messages {role, content}, reasoning",
     .doc = "may be left out with a prompt; content is a string or a list of text parts"},
    {.name = "instructions", .type = SCHEMA_STRING, .min = 0, .max = INT32_MAX, AT(instructions),
     .doc = "a system message in front of the input"},
    {.name = "prompt", .type = SCHEMA_ELSEWHERE, /* api/use.h */
     .values = "{id, version or label, variables}", .doc = "a template in front of all"},
    {.name = "max_output_tokens", .type = SCHEMA_INT, .min = 1, .max = INT32_MAX,
     AT(max_completion_tokens), .fallback = "until the context is full",
     .doc = "new tokens at most, reasoning included; cut to the context"},
    {.name = "reasoning", .type = SCHEMA_CUSTOM, .parse = parse_reasoning,
     .values = "{effort: as reasoning_effort}", .doc = "none switches thinking off"},
    {.name = "text", .type = SCHEMA_CUSTOM, .parse = parse_text,
     .values = "{format: {type: \"text\"}}", .fallback = "text",
     .doc = "constrained output comes later"},
    {.name = "metadata", .type = SCHEMA_CUSTOM, .parse = parse_metadata,
     .values = "object of up to 16 strings", .doc = "comes back in the answer"},
    {.name = "include", .type = SCHEMA_CUSTOM, .parse = parse_include, .values = "array of strings",
     .doc = "message.output_text.logprobs reports log-probabilities; others have no effect"},
    {.name = "top_logprobs", .type = SCHEMA_CUSTOM, .parse = parse_top_logprobs,
     .values = "integer 0 to 20", .fallback = "0", .doc = "alternatives to report per token"},
    {.name = "truncation", .type = SCHEMA_FIXED, .values = "disabled"},
    {.name = "previous_response_id", .type = SCHEMA_CUSTOM, .parse = parse_stateless,
     .values = "refused", .doc = "nothing is stored"},
    {.name = "conversation", .type = SCHEMA_CUSTOM, .parse = parse_stateless,
     .values = "refused", .doc = "nothing is stored"},
    {.name = "background", .type = SCHEMA_CUSTOM, .parse = parse_stateless,
     .values = "false", .doc = "nothing is stored"},
    SHARED_FIELDS,
    THINKING_FIELDS,
    {.name = "n", .type = SCHEMA_FIXED, .values = "1"},
    REFUSED("messages"),
    REFUSED("context_management"),
    REFUSED("moderation"),
    IGNORED("max_tool_calls", "tools come later"),
    IGNORED("stream_options", "no effect"),
    IGNORED("safety_identifier", "no effect"),
    IGNORED("prompt_cache_key", "no effect"),
    IGNORED("prompt_cache_retention", "no effect"),
};

static const struct schema_field completion_fields[] = {
    {.name = "prompt", .type = SCHEMA_CUSTOM, .parse = parse_json, AT(prompt), .required = true,
     .values = "string, array of one string, or array of token ids", .doc = "taken as it is"},
    COMMON_FIELDS,
    {.name = "logprobs", .type = SCHEMA_CUSTOM, .parse = parse_count_logprobs,
     .values = "integer 0 to 20", .doc = "alternatives to report per token"},
    {.name = "best_of", .type = SCHEMA_FIXED, .values = "1"},
    REFUSED("suffix"),
};

const struct schema PARAMS_CHAT_SCHEMA = {
    "POST /v1/chat/completions", chat_fields, sizeof chat_fields / sizeof chat_fields[0]};
const struct schema PARAMS_RESPONSES_SCHEMA = {
    "POST /v1/responses", responses_fields, sizeof responses_fields / sizeof responses_fields[0]};
const struct schema PARAMS_COMPLETION_SCHEMA = {
    "POST /v1/completions", completion_fields,
    sizeof completion_fields / sizeof completion_fields[0]};

/* ---- reading ---------------------------------------------------------------------------------- */

static bool check_pairs(struct params *p, struct api_error *e)
{
    if (p->top_p <= 0)
        return api_fail(e, API_INVALID_VALUE, "top_p", "'top_p' must be above 0 and at most 1.");
    if (p->min_p >= 1)
        return api_fail(e, API_INVALID_VALUE, "min_p", "'min_p' must be at least 0 and below 1.");
    if (p->repetition_penalty <= 0)
        return api_fail(e, API_INVALID_VALUE, "repetition_penalty",
                        "'repetition_penalty' must be above 0.");
    if (p->top_logprobs && !p->logprobs)
        return api_fail(e, API_INVALID_VALUE, "top_logprobs",
                        "'top_logprobs' needs 'logprobs' to be true.");
    if (p->max_completion_tokens &&
        (!p->max_tokens || p->max_completion_tokens < p->max_tokens))
        p->max_tokens = p->max_completion_tokens;
    if (p->top_k < 0)
        p->top_k = 0;
    if (p->thinking == PARAMS_THINKING_UNSET && p->reasoning_effort &&
        !strcmp(p->reasoning_effort, "none"))
        p->thinking = PARAMS_THINKING_OFF;
    return true;
}

bool params_read(const struct schema *schema, const json_t *object, struct params *out,
                 struct api_error *e)
{
    *out = (struct params){
        .n = 1, .temperature = 1, .top_p = 1, .repetition_penalty = 1};
    return schema_read(schema, object, out, e) && check_pairs(out, e);
}

void params_to_request(const struct params *p, unsigned choice, struct engine_request *out)
{
    *out = (struct engine_request){
        .max_tokens = (uint32_t)p->max_tokens,
        .sampling = {.temperature = (float)p->temperature,
                     .top_k = (uint32_t)p->top_k,
                     .top_p = (float)p->top_p,
                     .min_p = (float)p->min_p,
                     .repetition_penalty = (float)p->repetition_penalty,
                     .presence_penalty = (float)p->presence_penalty,
                     .frequency_penalty = (float)p->frequency_penalty,
                     .seed = p->seed + choice,
                     .has_seed = p->has_seed,
                     .n_bias = (uint32_t)p->n_bias,
                     .bias = p->bias},
        .stop = p->stop,
        .n_stop = p->n_stop,
        .stop_tokens = p->stop_tokens,
        .n_stop_tokens = p->n_stop_tokens,
        .ignore_eos = p->ignore_eos,
        .logprobs = p->logprobs,
        .n_logprobs = (uint32_t)p->top_logprobs,
    };
}
