/* Owns: what the API tells about the loaded model and about the server's health.
 * Refuses to know: who asks. */
#include <config.h>

#include "api/api.h"

#include <string.h>

#include "api/json.h"
#include "auth/key.h"
#include "base/utf8.h"
#include "engine.h"

/* A step of a large model on a software driver, or the first use of a kernel, takes long; past this the
 * device itself would have given up. */
enum { STALLED_US = 125000000 };

/* ---- models ----------------------------------------------------------------------------------- */

/* Blanks, line ends and controls beyond ASCII, and the replacement character. */
static bool is_odd(uint32_t c)
{
    return (c >= 0x80 && c <= 0xa0) || c == 0x1680 || c == 0x180e || (c >= 0x2000 && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x3000 ||
           c == 0xfeff || c == 0xfffd;
}

size_t api_model_id_char(const char *s, size_t len)
{
    uint32_t c;
    size_t n = utf8_decode(s, len, &c);
    if (!n || c <= ' ' || c == 0x7f || is_odd(c) || (c < 0x80 && strchr("\"'`\\?#%", (int)c)))
        return 0;
    return n;
}

enum { NAME_SHOWN = 100 }; /* bytes of a name in a sentence */

bool api_check_model(const struct api_model *m, const char *wanted, struct api_error *e)
{
    if (!wanted || !strcmp(wanted, m->id))
        return true;
    size_t len = utf8_cut(wanted, strnlen(wanted, NAME_SHOWN)); /* the name may be a template's */
    return api_fail(e, API_MODEL_NOT_FOUND, "model",
                    "There is no model '%.*s' here; this server has '%s'.", (int)len, wanted, m->id);
}

static void put_model(const struct api_model *m, struct buf *out)
{
    const struct engine_info *info = engine_info(m->engine);
    buf_puts(out, "{\"id\":");
    json_put_string(out, m->id, strlen(m->id));
    buf_printf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"seekd\"",
               (long long)m->created);
    buf_printf(out, ",\"max_model_len\":%u,\"meta\":{\"name\":", info->max_context);
    json_put_string(out, info->model_name, strlen(info->model_name));
    buf_puts(out, ",\"architecture\":");
    json_put_string(out, info->architecture, strlen(info->architecture));
    buf_puts(out, ",\"description\":");
    json_put_string(out, info->description, strlen(info->description));
    buf_printf(out, ",\"n_params\":%llu,\"size\":%llu,\"n_vocab\":%u,\"n_ctx\":%u,\"n_layers\":%u}}",
               (unsigned long long)info->n_params, (unsigned long long)info->weight_bytes,
               info->vocab_size, info->max_context, info->n_layers);
}

/* What a key may not use is not there for it. */
static bool may_use(const struct api_call *call, struct api_error *e)
{
    return key_allows_model(call->grant, call->model->id) ||
           api_fail(e, API_MODEL_NOT_FOUND, "model",
                    "There is no model of that name for this key.");
}

void api_models_list(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    buf_puts(&answer->body, "{\"object\":\"list\",\"data\":[");
    if (may_use(call, &e))
        put_model(call->model, &answer->body);
    buf_puts(&answer->body, "]}");
}

void api_models_get(const struct api_call *call, struct api_answer *answer)
{
    struct api_error e = API_ERROR_INIT;
    if (may_use(call, &e) && api_check_model(call->model, call->param[0], &e))
        put_model(call->model, &answer->body);
    else
        api_answer_error(answer, &e);
}

/* ---- health ----------------------------------------------------------------------------------- */

static const char *serving_status(const struct api_model *model)
{
    struct engine_stats stats;
    engine_stats(model->engine, &stats);
    if (stats.failed)
        return "failed";
    if ((stats.waiting || stats.running) && stats.last_step_age_us > STALLED_US)
        return "stalled";
    return "ok";
}

void api_health(enum api_health state, const struct api_model *model, uint64_t done_bytes,
                uint64_t total_bytes, struct api_answer *answer)
{
    const char *status = "loading";
    if (state == API_HEALTH_STOPPING)
        status = "stopping";
    else if (state == API_HEALTH_SERVING)
        status = serving_status(model);
    bool ok = !strcmp(status, "ok");
    answer->status = ok ? 200 : 503;
    answer->retry_after_s = ok ? 0 : 5;
    buf_printf(&answer->body, "{\"status\":\"%s\"", status);
    if (state == API_HEALTH_LOADING)
        buf_printf(&answer->body, ",\"loaded_bytes\":%llu,\"total_bytes\":%llu",
                   (unsigned long long)done_bytes, (unsigned long long)total_bytes);
    buf_putc(&answer->body, '}');
}
