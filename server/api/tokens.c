/* Owns: POST /tokenize and POST /detokenize. Refuses to know: generation. */
#include <config.h>

#include "api/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/json.h"
#include "api/prompt.h"
#include "base/mem.h"
#include "engine.h"

enum { OUT_MAX = 64 << 20 };

struct tokenize_params {
    const char *model, *prompt, *content;
    const json_t *messages, *tokens;
    bool add_special, parse_special, with_pieces;
};

static bool keep_array(const struct schema_field *f, const json_t *v, void *target,
                       struct api_error *e)
{
    if (!json_is_array(v))
        return schema_fail_type(f, "an array", e);
    *(const json_t **)((char *)target + f->offset) = v;
    return true;
}

#define AT(member) .offset = offsetof(struct tokenize_params, member)
#define MODEL_FIELD                                                                                \
    {.name = "model", .type = SCHEMA_STRING, .min = 1, .max = 256, AT(model),                      \
     .fallback = "the loaded model"}

static const struct schema_field tokenize_fields[] = {
    MODEL_FIELD,
    {.name = "prompt", .type = SCHEMA_STRING, .min = 0, .max = 1 << 30, AT(prompt),
     .doc = "text to tokenise"},
    {.name = "content", .type = SCHEMA_STRING, .min = 0, .max = 1 << 30, AT(content),
     .doc = "another name for prompt"},
    {.name = "messages", .type = SCHEMA_CUSTOM, .parse = keep_array, AT(messages),
     .values = "array", .doc = "chat messages, rendered by the chat template; instead of prompt"},
    {.name = "add_special_tokens", .type = SCHEMA_BOOL, AT(add_special), .fallback = "true",
     .doc = "begin with the model's start token"},
    {.name = "add_special", .type = SCHEMA_BOOL, AT(add_special), .fallback = "true",
     .doc = "another name for add_special_tokens"},
    {.name = "parse_special", .type = SCHEMA_BOOL, AT(parse_special), .fallback = "true",
     .doc = "special tokens written out count as such"},
    {.name = "with_pieces", .type = SCHEMA_BOOL, AT(with_pieces), .fallback = "false",
     .doc = "report the text of every token"},
};
static const struct schema_field detokenize_fields[] = {
    MODEL_FIELD,
    {.name = "tokens", .type = SCHEMA_CUSTOM, .parse = keep_array, AT(tokens), .required = true,
     .values = "array of token ids"},
};

const struct schema TOKENIZE_SCHEMA = {
    "POST /tokenize", tokenize_fields, sizeof tokenize_fields / sizeof tokenize_fields[0]};
const struct schema DETOKENIZE_SCHEMA = {
    "POST /detokenize", detokenize_fields, sizeof detokenize_fields / sizeof detokenize_fields[0]};

static bool tokens_of(const struct api_model *m, const struct tokenize_params *t, int32_t **ids,
                      size_t *n, struct api_error *e)
{
    if (t->messages) {
        if (!m->prompt)
            return api_fail(e, API_NOT_SUPPORTED, "messages", "The model has no chat template.");
        struct params p = {.messages = t->messages};
        struct prompt prompt;
        if (!prompt_make(m->prompt, &p, &prompt, e))
            return false;
        *ids = prompt.tokens;
        *n = prompt.n_tokens;
        return true;
    }
    const char *text = t->prompt ? t->prompt : t->content;
    if (!text)
        return api_fail(e, API_MISSING_FIELD, "prompt", "'prompt' or 'messages' is required.");
    unsigned flags = (t->parse_special ? ENGINE_TOKENIZE_SPECIAL : 0u) |
                     (t->add_special ? ENGINE_TOKENIZE_BOS : 0u);
    struct err why = ERR_INIT;
    if (!engine_tokenize(m->engine, text, strlen(text), flags, SIZE_MAX, ids, n, &why))
        return api_fail_engine(e, &why);
    return true;
}

static void put_pieces(const struct engine *eng, const int32_t *ids, size_t n, struct buf *out)
{
    buf_puts(out, ",\"pieces\":[");
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        const char *bytes = engine_token_bytes(eng, ids[i], &len);
        buf_puts(out, i ? "," : "");
        json_put_string(out, bytes ? bytes : "", bytes ? len : 0);
    }
    buf_putc(out, ']');
}

static bool answer_tokens(const struct api_model *m, const struct tokenize_params *t,
                          struct buf *out, struct api_error *e)
{
    int32_t *ids;
    size_t n;
    if (!tokens_of(m, t, &ids, &n, e))
        return false;
    buf_printf(out, "{\"count\":%zu,\"max_model_len\":%u,\"tokens\":[", n,
               engine_info(m->engine)->max_context);
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%d", i ? "," : "", (int)ids[i]);
    buf_putc(out, ']');
    if (t->with_pieces)
        put_pieces(m->engine, ids, n, out);
    buf_putc(out, '}');
    free(ids);
    return true;
}

static bool answer_text(const struct api_model *m, const struct tokenize_params *t,
                        struct buf *out, struct api_error *e)
{
    struct buf text;
    buf_init(&text, OUT_MAX / 6);
    for (size_t i = 0; i < json_array_size(t->tokens); i++) {
        const json_t *v = json_array_get(t->tokens, i);
        json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
        size_t len = 0;
        const char *bytes =
            id >= 0 && id <= INT32_MAX ? engine_token_bytes(m->engine, (int32_t)id, &len) : NULL;
        if (!bytes) {
            buf_release(&text);
            return api_fail(e, API_INVALID_VALUE, "tokens", "'tokens[%zu]' is not a token id.", i);
        }
        buf_append(&text, bytes, len);
    }
    buf_puts(out, "{\"prompt\":");
    json_put_string(out, buf_str(&text), text.len);
    buf_puts(out, ",\"content\":");
    json_put_string(out, buf_str(&text), text.len);
    buf_putc(out, '}');
    out->failed |= text.failed;
    buf_release(&text);
    return true;
}

typedef bool answer_fn(const struct api_model *m, const struct tokenize_params *t, struct buf *out,
                       struct api_error *e);

static void answer_with(const struct api_call *call, const struct schema *schema, answer_fn *fn,
                        struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    struct tokenize_params t = {.add_special = true, .parse_special = true};
    buf_init(&answer->body, OUT_MAX);
    json_t *body = json_parse_body(call->body, call->body_len, &e);
    bool ok = body && schema_read(schema, body, &t, &e) &&
              api_check_model(call->model, t.model, &e) &&
              fn(call->model, &t, &answer->body, &e);
    if (ok && answer->body.failed)
        ok = api_fail(&e, API_OVERLOADED, NULL, "The answer is larger than the server holds.");
    if (!ok)
        api_answer_error(answer, &e);
    json_decref(body);
}

void api_tokenize(const struct api_call *call, struct api_answer *answer)
{
    answer_with(call, &TOKENIZE_SCHEMA, answer_tokens, answer);
}

void api_detokenize(const struct api_call *call, struct api_answer *answer)
{
    answer_with(call, &DETOKENIZE_SCHEMA, answer_text, answer);
}
